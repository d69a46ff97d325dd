// Who is signed in. The key lives as long as the tab.

const STORED = "llmflow.key";

class Session extends EventTarget {
  /** What the key allows, as `GET /v1/me` says: subject, tenant, departments, role. */
  principal = null;

  get key() {
    return sessionStorage.getItem(STORED);
  }

  /** Keep a key that has yet to be tried. */
  keep(key) {
    sessionStorage.setItem(STORED, key);
  }

  begin(principal) {
    this.principal = principal;
    this.dispatchEvent(new Event("begin"));
  }

  /** Forget the key and everything shown with it; `reason` is the error that ended it, if one did. */
  end(reason = null) {
    sessionStorage.removeItem(STORED);
    this.principal = null;
    this.dispatchEvent(new CustomEvent("end", { detail: reason }));
  }

  /** The server does not take the key (any more). */
  refuse(error) {
    if (this.principal) this.end(error);
  }

  get mayEdit() {
    return this.principal !== null && this.principal.role !== "reader";
  }
}

export const session = new Session();
