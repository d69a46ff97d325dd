// Why these passages: what every stage said of every hit, and how long the stages took.

import { bar, element } from "./dom.js";
import { currentLanguage, has, label, say } from "./i18n.js";

/** A caption and the table of hits with rank and score in every stage; a hit's name opens it with `open(chunk)`. */
export function hitTable(candidates, open) {
  const stages = [...new Set(candidates.flatMap((candidate) => candidate.stages.map(({ stage }) => stage)))];
  const head = element("tr", {}, element("th", { scope: "col" }, "#"));
  head.append(say(element("th", { scope: "col" }), "hits.passage"), say(element("th", { scope: "col" }), "hits.score"));
  head.append(...stages.map((stage) => stageName(element("th", { scope: "col" }), stage)));
  const rows = candidates.map((candidate, index) => hit(candidate, index + 1, stages, open));
  const table = element("table", { class: "hits" }, element("thead", {}, head), element("tbody", {}, ...rows));
  const frame = element("div", { class: "scroll", role: "region", tabindex: "0" }, table);
  return [say(element("p"), "hits.caption"), label(frame, "aria-label", "hits.title")];
}

/** A bar for every timed step of every named group of milliseconds. */
export function timingTable(groups) {
  const steps = Object.entries(groups).flatMap(([group, timings]) =>
    Object.entries(timings).map(([step, milliseconds]) => ({ name: `${group}.${step}`, milliseconds })),
  );
  const longest = Math.max(...steps.map((step) => step.milliseconds), 0.001);
  const rows = steps.map(({ name, milliseconds }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", { class: "wide" }, bar(0, milliseconds / longest)),
      say(element("td", { class: "number" }), "milliseconds", { ms: milliseconds }),
    ),
  );
  const table = element("table", { class: "timings" }, say(element("caption"), "timings.caption"));
  table.append(element("tbody", {}, ...rows));
  return element("div", { class: "scroll" }, table);
}

function hit({ chunk, score, stages }, place, known, open) {
  const name = element("button", { type: "button", class: "link", onclick: () => open(chunk) }, chunk.document_name);
  const where = element("span", { class: "place" });
  if (chunk.page !== null) where.append(say(element("span"), "page", { page: String(chunk.page) }));
  const path = chunk.section_path.at(-1) ?? chunk.title;
  if (path) where.append(element("span", {}, path));
  const row = element("tr", {}, element("td", { class: "number" }, String(place)), element("td", {}, name, where));
  row.append(element("td", { class: "number" }, shown(score)));
  for (const stage of known) row.append(stageCell(stages.find((found) => found.stage === stage)));
  return row;
}

function stageCell(found) {
  if (!found) return label(element("td", { class: "number muted" }, "–"), "aria-label", "hits.absent");
  const rank = say(element("span", { class: "rank" }), "hits.rank", { rank: found.rank });
  return element("td", { class: "number" }, rank, element("span", { class: "muted" }, shown(found.score)));
}

function stageName(node, stage) {
  if (!has(`stage.${stage}`)) node.append(stage);
  else say(node, `stage.${stage}`);
  return node;
}

function shown(score) {
  return new Intl.NumberFormat(currentLanguage(), { minimumFractionDigits: 3, maximumFractionDigits: 3 }).format(score);
}
