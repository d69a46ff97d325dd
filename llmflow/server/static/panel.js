// The document beside the answer: the cited passage with its quotes marked, and what stands around it.

import { request } from "./api.js";
import { byId, element } from "./dom.js";
import { say } from "./i18n.js";
import { errorNotice, waiting } from "./notices.js";
import { spanOf, writePassage } from "./passages.js";

const WIDE = matchMedia("(min-width: 60rem)");
const MORE = 3; // passages a press of "earlier" or "later" adds

const panel = byId("panel");
const title = byId("panel-title");
const body = byId("panel-body");
let opener = null;
let current = 0;

/** Make the panel's button and the Escape key work. */
export function setUpPanel() {
  byId("panel-close").addEventListener("click", closePanel);
  panel.addEventListener("cancel", (event) => {
    event.preventDefault();
    closePanel();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel.open && !panel.matches(":modal") && !document.querySelector("dialog:modal")) closePanel();
  });
}

/** Close it and go back to what opened it. */
export function closePanel() {
  if (!panel.open) return;
  panel.close();
  current += 1;
  body.replaceChildren();
  opener?.focus();
}

/** Open a document at the chunk that citations quote; `chosen` is the one to look at first. */
export function openCitation(citations, chosen) {
  return open(chosen.document_name, chosen.document_id, chosen.chunk_id, citations, chosen);
}

/** Open a document at a chunk, at its beginning where none is named. */
export function openDocument(name, documentId, chunkId = null) {
  return open(name, documentId, chunkId, [], null);
}

async function open(name, documentId, chunkId, citations, chosen) {
  const turn = ++current;
  if (!panel.contains(document.activeElement)) opener = document.activeElement;
  title.textContent = name;
  body.replaceChildren(waiting("panel.loading"));
  if (!panel.open) WIDE.matches ? panel.show() : panel.showModal();
  title.focus();
  try {
    const { chunks } = await request(`v1/documents/${documentId}/chunks`);
    if (turn === current) show([...chunks].sort((a, b) => a.ordinal - b.ordinal), chunkId, citations, chosen);
  } catch (error) {
    if (turn === current) body.replaceChildren(errorNotice(error, () => open(name, documentId, chunkId, citations, chosen)));
  }
}

function show(chunks, chunkId, citations, chosen) {
  const found = chunks.findIndex((chunk) => chunk.id === chunkId);
  body.replaceChildren();
  if (!chunks.length) body.append(say(element("p", { class: "muted" }), "panel.empty"));
  if (chunkId !== null && found < 0) body.append(changed(chosen));
  const center = Math.max(found, 0);
  const list = element("ol", { class: "passages" });
  const earlier = say(element("button", { type: "button", class: "small more" }), "panel.earlier");
  const later = say(element("button", { type: "button", class: "small more" }), "panel.later");
  let [from, to] = [center, center];
  const grow = (first, last) => {
    const before = chunks.slice(Math.max(first, 0), from).map((chunk) => passage(chunk));
    const after = chunks.slice(to, last).map((chunk, index) =>
      to + index === found ? passage(chunk, citations, chosen) : passage(chunk),
    );
    list.prepend(...before);
    list.append(...after);
    [from, to] = [Math.max(first, 0), Math.min(Math.max(last, to), chunks.length)];
    earlier.hidden = from === 0;
    later.hidden = to === chunks.length;
  };
  earlier.addEventListener("click", () => grow(from - MORE, to));
  later.addEventListener("click", () => grow(from, to + MORE));
  body.append(earlier, list, later);
  grow(center - 1, center + (found < 0 ? MORE : 2));
  const focus = list.querySelector("mark.chosen") ?? list.querySelector("mark") ?? list.querySelector(".cited");
  focus?.scrollIntoView({ block: "center" });
}

function passage(chunk, citations = null, chosen = null) {
  const place = element("p", { class: "place" });
  if (chunk.page !== null) place.append(say(element("span"), "page", { page: String(chunk.page) }));
  const path = chunk.section_path.length ? chunk.section_path : [chunk.title];
  place.append(element("span", {}, path.filter(Boolean).join(" › ")));
  const item = element("li", { class: citations ? "passage cited" : "passage", "data-chunk": chunk.id }, place);
  item.append(...writePassage(chunk.text, citations ?? [], chosen));
  if (chosen && spanOf(chunk.text, chosen.span) !== chosen.quote) item.prepend(changed(chosen));
  return item;
}

/** The document is not the one that was cited any more: the quote as it was. */
function changed(citation) {
  const box = element("div", { class: "notice warning" }, say(element("strong"), "panel.changed"));
  if (citation) box.append(element("blockquote", {}, citation.quote));
  return box;
}
