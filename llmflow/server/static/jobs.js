// Ingestion jobs as they go on.

import { stream } from "./api.js";

const WATCHED = 2; // a browser has six connections to a server; the rest are for the reader
const queue = [];
let watching = 0;

/** Tell `onChange(job)` of every change of a job until it ends, `onError(error)` if that cannot be known. */
export function watchJob(id, onChange, onError) {
  queue.push({ id, onChange, onError });
  next();
}

async function next() {
  if (watching === WATCHED || !queue.length) return;
  watching += 1;
  const { id, onChange, onError } = queue.shift();
  try {
    for await (const { event, data } of stream(`v1/jobs/${id}`, "end")) {
      if (event === "progress") onChange(data);
    }
  } catch (error) {
    onError(error);
  } finally {
    watching -= 1;
    next();
  }
}
