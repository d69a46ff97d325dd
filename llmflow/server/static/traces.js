// A trace as a tree: every step with its duration as a bar, and what went in and out.

import { request } from "./api.js";
import { bar, element } from "./dom.js";
import { say } from "./i18n.js";
import { errorNotice, waiting } from "./notices.js";

const WRITTEN_MS = 1500; // traces are written in the background, every second
const PAUSES_MS = [500, 1000, 2000];

/** Fill a node with the trace of an answer that was finished at a `performance.now()`. */
export async function showTrace(node, traceId, finished) {
  node.replaceChildren(waiting("trace.loading"));
  try {
    await pause(finished + WRITTEN_MS - performance.now());
    node.replaceChildren(tree(await load(traceId)));
  } catch (error) {
    node.replaceChildren(errorNotice(error, () => showTrace(node, traceId, finished)));
  }
}

async function load(traceId) {
  for (const milliseconds of PAUSES_MS) {
    try {
      return await request(`v1/traces/${traceId}`);
    } catch (error) {
      if (error.code !== "not_found") throw error;
      await pause(milliseconds);
    }
  }
  return request(`v1/traces/${traceId}`);
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function tree({ summary, roots }) {
  const total = Math.max(summary.duration_ms, 0.001);
  const head = say(element("p", { class: "muted" }), "trace.head", {
    steps: summary.observations,
    ms: summary.duration_ms,
    start: new Date(summary.start),
  });
  const id = element("p", { class: "request-id" }, say(element("span"), "trace.id"), element("code", {}, summary.trace_id));
  return element("div", { class: "trace" }, head, element("ul", {}, ...roots.map((root) => branch(root, total, []))), id);
}

/** A step and those within it; `above` are the names of those around it, which its own need not repeat. */
function branch(step, total, above) {
  const begun = above.find((name) => step.name.startsWith(`${name}.`));
  const begin = step.offset_ms / total;
  const line = element("div", { class: `step ${step.level.toLowerCase()}` });
  line.append(
    element("span", { class: "name" }, begun ? step.name.slice(begun.length + 1) : step.name),
    bar(begin, begin + step.duration_ms / total),
    say(element("span", { class: "number" }), "milliseconds", { ms: step.duration_ms }),
  );
  const item = element("li", {}, line);
  if (step.message) item.append(element("p", { class: "detail" }, step.message));
  const values = Object.entries({ input: step.input, output: step.output, ...step.metadata }).filter(([, value]) => value !== null);
  if (values.length) item.append(valueList(values));
  if (step.children.length) item.append(element("ul", {}, ...step.children.map((child) => branch(child, total, [step.name, ...above]))));
  return item;
}

function valueList(values) {
  const list = element("dl");
  for (const [name, value] of values) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    list.append(element("dt", {}, name), element("dd", {}, text));
  }
  return element("details", {}, say(element("summary"), "trace.values"), list);
}
