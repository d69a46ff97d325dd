// The server's routes. Every failure is an ApiError, whatever broke.

import { session } from "./session.js";
import { events } from "./sse.js";

/** What the server, or the way to it, said no with. */
export class ApiError extends Error {
  constructor(status, { code, message, details = {} }, requestId = null, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.requestId = requestId;
    this.retryAfter = retryAfter ?? details.retry_after_s ?? null;
  }
}

/** An absolute address, also where the page is served below a prefix. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** The error in a response, given its status, a function to read headers and the text of its body. */
export function errorOf(status, header, text) {
  const retryAfter = Number.parseInt(header("Retry-After") ?? "", 10);
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's page, not the server's form.
  }
  const error = body?.error ?? { code: "unreadable", message: `HTTP ${status}` };
  const requestId = body?.request_id ?? header("X-Request-ID");
  const found = new ApiError(status, error, requestId, Number.isNaN(retryAfter) ? null : retryAfter);
  if (status === 401) session.refuse(found);
  return found;
}

/** The error of a server that cannot be reached. */
export function offline() {
  return new ApiError(0, { code: "offline", message: "" });
}

/** JSON from a route. */
export async function request(path, options) {
  const response = await send(path, options);
  return response.json();
}

/** The events of a route as `{event, data}` with data parsed; an `error` event is thrown. */
export async function* stream(path, last, options) {
  const response = await send(path, { ...options, accept: "text/event-stream" });
  const requestId = response.headers.get("X-Request-ID");
  try {
    for await (const { event, data } of events(response.body)) {
      const parsed = data ? JSON.parse(data) : null;
      if (event === "error") throw new ApiError(response.status, parsed.error, parsed.request_id ?? requestId);
      yield { event, data: parsed };
      if (event === last) return;
    }
  } catch (error) {
    throw error instanceof TypeError ? offline() : error;
  }
  throw new ApiError(0, { code: "cut", message: "" }, requestId);
}

async function send(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${session.key}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : offline();
  }
  if (!response.ok) throw errorOf(response.status, (name) => response.headers.get(name), await response.text());
  return response;
}
