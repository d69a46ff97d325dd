// One question with its answer: text as it comes, then its sources, its mode and how it was found.

import { stream } from "./api.js";
import { mark, writeAnswer } from "./citations.js";
import { element } from "./dom.js";
import { say } from "./i18n.js";
import { thumbs } from "./feedback.js";
import { degradationNotice, errorNotice, waiting } from "./notices.js";
import { openCitation, openDocument } from "./panel.js";
import { inLine } from "./passages.js";
import { hitTable, timingTable } from "./stages.js";
import { showTrace } from "./traces.js";

/** An article for a question, to be put into the thread. */
export function newTurn(question) {
  return element("article", { class: "turn" }, element("h2", { class: "question" }, question));
}

/** Ask, and write the answer into the turn; errors are shown there. `signal` stops it. */
export async function answerInto(turn, question, signal, again) {
  turn.querySelectorAll(":scope > :not(.question)").forEach((node) => node.remove());
  const text = element("div", { class: "answer", "aria-live": "polite", "aria-busy": "true" });
  const status = waiting("ask.searching");
  turn.append(text, status);
  try {
    for await (const { event, data } of stream("v1/answer", "finished", {
      method: "POST",
      body: { question, stream: true },
      signal,
    })) {
      if (event === "delta") {
        text.append(data.text);
        say(status, "ask.writing");
      } else if (event === "discarded") {
        text.replaceChildren();
        say(status, "ask.discarded");
      } else if (event === "finished") {
        finish(turn, text, data);
      }
    }
  } catch (error) {
    if (error.name === "AbortError") turn.append(say(element("p", { class: "muted" }), "ask.stopped"));
    else turn.append(errorNotice(error, again));
  } finally {
    status.remove();
    text.setAttribute("aria-busy", "false");
  }
}

function finish(turn, text, answer) {
  writeAnswer(text, answer, openCitation);
  turn.append(badges(answer));
  const notice = degradationNotice([...(answer.retrieval?.degradations ?? []), ...answer.degradations]);
  if (notice) turn.append(notice);
  if (answer.citations.length) turn.append(sources(answer.citations));
  if (answer.trace_id) turn.append(thumbs(answer.trace_id));
  turn.append(...details(answer));
}

function badges(answer) {
  const box = element("p", { class: "badges" });
  box.append(say(element("span", { class: `tag ${answer.mode}` }), `mode.${answer.mode}`));
  box.append(say(element("span", { class: "muted" }), `mode.${answer.mode}.means`));
  if (answer.cached) box.append(say(element("span", { class: "tag" }), "cached"));
  if (answer.unsupported.length) {
    box.append(say(element("span", { class: "tag warning" }), "unsupported", { count: answer.unsupported.length }));
  }
  return box;
}

function sources(citations) {
  const inOrder = [...citations].sort((a, b) => a.number - b.number);
  const items = [...Map.groupBy(inOrder, (citation) => citation.number).values()].map((quotes) => {
    const [first] = quotes;
    const place = element("span", { class: "place" }, element("span", {}, first.document_name));
    if (first.page !== null) place.append(say(element("span"), "page", { page: String(first.page) }));
    const words = quotes.map(({ quote }) => element("q", {}, inLine(quote)));
    return element("li", {}, mark(first, quotes, openCitation), place, ...words);
  });
  return element("section", { class: "sources" }, say(element("h3"), "sources"), element("ul", {}, ...items));
}

function details({ retrieval, timings_ms: timings, trace_id: traceId, cached }) {
  const finished = performance.now();
  const groups = retrieval ? { retrieve: retrieval.timings_ms, answer: timings } : { answer: timings };
  const found = element("details", { class: "how" }, say(element("summary"), "how"));
  if (retrieval?.candidates.length) found.append(...hitTable(retrieval.candidates, openHit));
  found.append(cached ? say(element("p"), "timings.cached") : timingTable(groups));
  if (!traceId) return [found];
  const trace = element("details", { class: "how" }, say(element("summary"), "trace"));
  const body = trace.appendChild(element("div"));
  trace.addEventListener("toggle", () => trace.open && !body.hasChildNodes() && showTrace(body, traceId, finished));
  return [found, trace];
}

function openHit(chunk) {
  openDocument(chunk.document_name, chunk.document_id, chunk.id);
}
