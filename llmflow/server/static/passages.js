// A chunk's text with quoted spans highlighted; the Markdown tables in it are drawn as tables.

import { element } from "./dom.js";

const TABLE_LINE = /^\s*\|.*\|\s*$/;
const TABLE_RULE = /^\s*\|(?:\s*:?-+:?\s*\|)+\s*$/;

/**
 * The text as nodes. Citations' spans are [start, end] in characters (code points), as the server counts them;
 * the span of the `chosen` one is marked as such.
 */
export function writePassage(text, citations, chosen) {
  const marks = citations.map(({ span: [start, end] }, index) => ({
    start: unitsBefore(text, start),
    end: unitsBefore(text, end),
    chosen: citations[index] === chosen,
  }));
  const blocks = [];
  let position = 0;
  for (const line of text.split(/(?<=\n)/)) {
    const kind = TABLE_LINE.test(line) ? "table" : "prose";
    if (blocks.at(-1)?.kind !== kind) blocks.push({ kind, lines: [] });
    blocks.at(-1).lines.push({ text: line, start: position });
    position += line.length;
  }
  return blocks.map(({ kind, lines }) => (kind === "table" ? table(lines, marks) : prose(lines, marks)));
}

/** The characters of a span. */
export function spanOf(text, [start, end]) {
  return Array.from(text).slice(start, end).join("");
}

/** A quote in running text: the cells of a table's row without their borders. */
export function inLine(quote) {
  if (!TABLE_LINE.test(quote)) return quote;
  return cellsOf(quote)
    .map(({ content }) => content)
    .filter(Boolean)
    .join(" · ");
}

/** Python counts code points, JavaScript UTF-16 units: the units before a code point. */
function unitsBefore(text, codePoints) {
  let units = 0;
  for (const character of text) {
    if (codePoints-- <= 0) break;
    units += character.length;
  }
  return units;
}

function prose(lines, marks) {
  const text = lines.map((line) => line.text).join("");
  return element("p", { class: "prose" }, ...highlighted(text.replace(/\n+$/, ""), lines[0].start, marks));
}

function table(lines, marks) {
  const ruled = lines.length > 1 && TABLE_RULE.test(lines[1].text);
  const rows = lines.filter((_, index) => !(ruled && index === 1)).map((line, index) => row(line, marks, ruled && index === 0));
  const body = element("table", {}, ...rows);
  return element("div", { class: "scroll", role: "group", tabindex: "0" }, body);
}

function row({ text, start }, marks, header) {
  const cells = cellsOf(text).map(({ content, at }) =>
    element(header ? "th" : "td", {}, ...highlighted(content, start + at, marks)),
  );
  return element("tr", {}, ...cells);
}

/** The cells of a table's line, each with where it begins. */
function cellsOf(line) {
  return [...line.matchAll(/\|((?:\\\||[^|\n])*)(?=\|)/g)].map((match) => {
    const content = match[1].trim();
    return { content, at: match.index + 1 + match[1].indexOf(content) };
  });
}

/** `text`, which begins at `offset` of the passage, in pieces with the marked ones in <mark>. */
function highlighted(text, offset, marks) {
  const cuts = new Set([0, text.length]);
  for (const edge of marks.flatMap((mark) => [mark.start, mark.end])) {
    if (edge > offset && edge < offset + text.length) cuts.add(edge - offset);
  }
  const edges = [...cuts].sort((a, b) => a - b);
  return edges.slice(1).map((end, index) => {
    const start = edges[index];
    const piece = text.slice(start, end).replaceAll("\\|", "|");
    const over = marks.filter((mark) => mark.start < offset + end && mark.end > offset + start);
    if (!over.length) return piece;
    return element("mark", { class: over.some((mark) => mark.chosen) ? "chosen" : null }, piece);
  });
}
