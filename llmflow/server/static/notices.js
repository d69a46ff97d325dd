// Errors and warnings, as something one can act on.

import { element } from "./dom.js";
import { has, label, say } from "./i18n.js";

/** An error: what happened, what the server says of it, what to do, and the id to report it with. */
export function errorNotice(error, retry = null) {
  if (!error.code) throw error; // not the server's: a bug of the page belongs in the console
  const box = element("div", { class: "notice error", role: "alert" });
  box.append(say(element("strong"), has(`error.${error.code}`) ? `error.${error.code}` : "error.other"));
  if (error.message) box.append(element("p", { class: "detail" }, error.message));
  if (error.retryAfter !== null) box.append(say(element("p"), "error.retryAfter", { seconds: error.retryAfter }));
  else if (has(`advice.${error.code}`)) box.append(say(element("p"), `advice.${error.code}`));
  if (error.requestId) box.append(requestId(error.requestId));
  if (retry) {
    const again = () => {
      box.remove();
      retry();
    };
    box.append(say(element("button", { type: "button", class: "small", onclick: again }), "retry"));
  }
  return box;
}

/** What went less well than it should, stage by stage; null where nothing did. */
export function degradationNotice(degradations) {
  if (!degradations.length) return null;
  const items = degradations.map(({ stage, reason }) =>
    element("li", {}, element("strong", {}, stage), element("span", { class: "detail" }, reason)),
  );
  return element("div", { class: "notice warning" }, say(element("strong"), "degraded"), element("ul", {}, ...items));
}

/** A line that says something is being waited for. */
export function waiting(key, values) {
  return say(element("p", { class: "waiting", role: "status" }), key, values);
}

/** A round button that is only an icon. */
export function named(button, key, values) {
  label(button, "title", key, values);
  return label(button, "aria-label", key, values);
}

function requestId(id) {
  return element("p", { class: "request-id" }, say(element("span"), "requestId"), element("code", {}, id));
}
