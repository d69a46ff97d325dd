// The page: signing in, its two views, its language.

import { request } from "./api.js";
import { clearThread, setUpAsk } from "./ask.js";
import { clearDocuments, refreshDocuments, setUpDocuments } from "./documents.js";
import { byId } from "./dom.js";
import { bindDocument, currentLanguage, say, setLanguage } from "./i18n.js";
import { errorNotice } from "./notices.js";
import { closePanel, setUpPanel } from "./panel.js";
import { session } from "./session.js";
import { clearUploads, setUpUpload, showUpload } from "./upload.js";

const VIEWS = ["ask", "documents"];
const key = byId("key");
const refusal = byId("sign-in-error");

/** Show the view the address names, and only it. */
function route() {
  const view = session.principal ? (VIEWS.find((name) => location.hash === `#${name}`) ?? "ask") : "sign-in";
  for (const name of [...VIEWS, "sign-in"]) byId(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.classList.toggle("signed-in", session.principal !== null);
  if (view === "documents") void refreshDocuments();
  if (view === "ask") byId("question").focus();
  if (view === "sign-in") key.focus();
}

/** Try the key that is kept. One that is refused is forgotten; while the server is away it can be tried again. */
async function enter() {
  refusal.replaceChildren();
  try {
    session.begin(await request("v1/me"));
  } catch (error) {
    if (error.status === 401) session.end(error);
    else {
      refusal.replaceChildren(errorNotice(error, enter));
      route();
    }
  }
}

session.addEventListener("begin", () => {
  const { tenant, departments, role, subject } = session.principal;
  byId("account-tenant").textContent = tenant;
  byId("account-departments").textContent = departments.join(", ");
  byId("account-subject").textContent = subject;
  say(byId("account-role"), `role.${role}`);
  showUpload();
  route();
});

session.addEventListener("end", ({ detail: error }) => {
  closePanel();
  clearThread();
  clearDocuments();
  clearUploads();
  byId("account").open = false;
  refusal.replaceChildren();
  if (error) refusal.append(errorNotice(error));
  route();
});

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  session.keep(key.value.trim());
  key.value = "";
  void enter();
});
byId("sign-out").addEventListener("click", () => session.end());
byId("language").addEventListener("click", () => setLanguage(currentLanguage() === "ko" ? "en" : "ko"));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  byId("content").focus();
});
addEventListener("hashchange", route);

bindDocument();
setUpPanel();
setUpAsk();
setUpDocuments();
setUpUpload(() => void refreshDocuments());
if (session.key) void enter();
else route();
