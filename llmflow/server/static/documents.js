// The list of documents: where each stands, and why one cannot be found.

import { request } from "./api.js";
import { byId, element, icon } from "./dom.js";
import { has, say } from "./i18n.js";
import { errorNotice, named, waiting } from "./notices.js";
import { openDocument } from "./panel.js";
import { session } from "./session.js";

const PAGE = 50;
const UNITS = ["B", "KB", "MB", "GB"];
const rows = byId("document-rows");
const status = byId("status");
const state = byId("documents-state");
const more = byId("more-documents");
const dialog = byId("confirm");
let latest = 0;

/** Make filter, paging and deletion work. */
export function setUpDocuments() {
  status.addEventListener("change", () => refreshDocuments());
  more.addEventListener("click", () => load(rows.children.length));
  byId("refresh").addEventListener("click", () => refreshDocuments());
}

/** Read the list anew. */
export function refreshDocuments() {
  return load(0);
}

/** Forget the list. */
export function clearDocuments() {
  latest += 1;
  rows.replaceChildren();
}

async function load(offset) {
  const turn = ++latest;
  if (!rows.hasChildNodes()) state.replaceChildren(waiting("documents.loading"));
  const query = new URLSearchParams({ limit: PAGE, offset });
  if (status.value) query.set("status", status.value);
  try {
    const { documents, total } = await request(`v1/documents?${query}`);
    if (turn !== latest) return;
    if (offset === 0) rows.replaceChildren();
    rows.append(...documents.map(row));
    byId("documents-table").hidden = total === 0;
    more.hidden = rows.children.length >= total;
    const key = total > 0 ? "documents.total" : status.value ? "documents.none" : "documents.empty";
    state.replaceChildren(say(element("p", { class: "muted" }), key, { total }));
  } catch (error) {
    if (turn === latest) state.replaceChildren(errorNotice(error, () => load(offset)));
  }
}

function row(document_) {
  const { id, name } = document_;
  const open = element("button", { type: "button", class: "link", onclick: () => openDocument(name, id) }, name);
  const line = element("tr", {}, cell("documents.name", document_.status === "ready" ? open : element("span", {}, name)));
  line.append(
    cell("documents.department", element("span", {}, document_.department)),
    cell("documents.status", ...standing(document_)),
    cell("documents.chunks", say(element("span"), "number", { value: document_.chunks_count })),
    cell("documents.masked", say(element("span"), "number", { value: document_.entities_count })),
    cell("documents.size", size(document_.size_bytes)),
    cell("documents.changed", moment(document_.updated_at)),
  );
  if (session.mayEdit) line.append(element("td", { class: "action" }, deletion(document_, line)));
  return line;
}

/** A cell that names its column where the table is drawn as cards. */
function cell(heading, ...children) {
  return element("td", {}, say(element("span", { class: "heading" }), heading), ...children);
}

function standing({ status: value, reason, message, warnings }) {
  const parts = [say(element("span", { class: `tag status-${value}` }), `status.${value}`)];
  if (reason && has(`reason.${reason}`)) parts.push(say(element("p", { class: "detail" }), `reason.${reason}`));
  if (message) parts.push(element("p", { class: "detail muted" }, message));
  if (warnings.length) {
    const list = element("ul", {}, ...warnings.map((warning) => element("li", {}, warning)));
    parts.push(element("details", {}, say(element("summary"), "documents.warnings", { count: warnings.length }), list));
  }
  return parts;
}

function size(bytes) {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  return say(element("span"), "size", { value: bytes / 1024 ** power, unit: UNITS[power] });
}

function moment(time) {
  return time ? say(element("time", { datetime: time }), "moment", { value: new Date(time) }) : element("span", {}, "–");
}

function deletion(document_, line) {
  const button = element("button", { type: "button", class: "round", onclick: () => confirmDeletion(document_, line) });
  button.append(icon("trash"));
  return named(button, "documents.delete", { name: document_.name });
}

async function confirmDeletion({ id, name }, line) {
  say(byId("confirm-text"), "documents.confirm", { name });
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "delete") return;
  try {
    await request(`v1/documents/${id}`, { method: "DELETE" });
    line.remove();
    await refreshDocuments();
    byId("refresh").focus();
  } catch (error) {
    state.replaceChildren(errorNotice(error, () => confirmDeletion({ id, name }, line)));
  }
}
