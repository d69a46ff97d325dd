// The text of an answer: its numbers become buttons that open the passage, its unsupported sentences are marked.

import { element } from "./dom.js";
import { label } from "./i18n.js";

const PARTS = /\[(\d{1,3})\]|(\[(?:근거 없음|unsupported)\])/g;

/** Write a finished answer; `open(citations, chosen)` shows the passage of one number. */
export function writeAnswer(node, answer, open) {
  const numbers = Map.groupBy(answer.citations, (citation) => citation.number);
  const seen = new Map();
  node.replaceChildren();
  for (const { text, unsupported } of sentences(answer)) {
    const target = unsupported ? node.appendChild(element("span", { class: "unsupported" })) : node;
    let end = 0;
    for (const match of text.matchAll(PARTS)) {
      const citations = numbers.get(Number(match[1]));
      if (match[1] && !citations) continue;
      target.append(text.slice(end, match.index));
      end = match.index + match[0].length;
      if (!citations) {
        target.append(element("span", { class: "tag warning" }, match[2].slice(1, -1)));
        continue;
      }
      // A number that stands as often as it has quotes stands for each of them in turn.
      const times = seen.get(match[1]) ?? 0;
      seen.set(match[1], times + 1);
      target.append(mark(citations[Math.min(times, citations.length - 1)], citations, open));
    }
    target.append(text.slice(end));
  }
}

/** A button with a citation's number. */
export function mark(citation, citations, open) {
  const button = element("button", { type: "button", class: "cite", onclick: () => open(citations, citation) });
  button.append(String(citation.number));
  const key = citation.page === null ? "citation.open" : "citation.openPage";
  return label(button, "aria-label", key, {
    number: String(citation.number),
    name: citation.document_name,
    page: citation.page,
  });
}

/** The text in order, cut where an unsupported sentence with its mark begins and ends. */
function sentences({ text, unsupported }) {
  const parts = [];
  let end = 0;
  for (const body of unsupported) {
    const start = text.indexOf(body, end);
    if (start < 0 || !body) continue;
    parts.push({ text: text.slice(end, start), unsupported: false });
    const tail = /^ \[(?:근거 없음|unsupported)\]/.exec(text.slice(start + body.length))?.[0] ?? "";
    end = start + body.length + tail.length;
    parts.push({ text: text.slice(start, end), unsupported: true });
  }
  parts.push({ text: text.slice(end), unsupported: false });
  return parts;
}
