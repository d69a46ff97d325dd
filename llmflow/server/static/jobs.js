// Ingestion jobs as they go on.

import { stream } from "./api.js";

const WATCHED = 2; // a browser has six connections to a server; the rest are for the reader
const AGAIN_MS = 2000;
const queue = [];
let watching = 0;

/**
 * Call `onChange(job)` at every change of a job until it ends, `onError(error)` if that cannot be known.
 * A connection that breaks is made again, with `onLost()` said; `signal` ends it all.
 */
export function watchJob(id, { onChange, onLost, onError, signal }) {
  queue.push({ id, onChange, onLost, onError, signal });
  void next();
}

async function next() {
  if (watching === WATCHED || !queue.length) return;
  watching += 1;
  const watch = queue.shift();
  try {
    for await (const { event, data } of stream(`v1/jobs/${watch.id}`, "end", { signal: watch.signal })) {
      if (event === "progress") watch.onChange(data);
    }
  } catch (error) {
    if (watch.signal.aborted) return;
    if (error.code !== "offline" && error.code !== "cut") watch.onError(error);
    else {
      watch.onLost();
      setTimeout(() => watchJob(watch.id, watch), AGAIN_MS);
    }
  } finally {
    watching -= 1;
    void next();
  }
}
