// Thumbs up and down for an answer.

import { request } from "./api.js";
import { element, icon } from "./dom.js";
import { label, say } from "./i18n.js";
import { errorNotice, named } from "./notices.js";

/** Two thumbs; a thumb down asks what was wrong. */
export function thumbs(traceId) {
  const status = element("span", { class: "muted", role: "status" });
  const up = thumb("up", () => send(1));
  const down = thumb("down", () => send(-1));
  const box = element("div", { class: "feedback" }, up, down, status);

  async function send(value, comment) {
    box.querySelectorAll(".notice, form").forEach((node) => node.remove());
    try {
      await request("v1/feedback", { method: "POST", body: { trace_id: traceId, value, comment } });
    } catch (error) {
      box.append(errorNotice(error, () => send(value, comment)));
      return;
    }
    up.setAttribute("aria-pressed", String(value === 1));
    down.setAttribute("aria-pressed", String(value === -1));
    say(status, comment ? "feedback.commented" : "feedback.thanks");
    if (value === -1 && !comment) box.append(commentForm((text) => send(-1, text)));
  }

  return box;
}

function thumb(name, press) {
  const button = element("button", { type: "button", class: "round", "aria-pressed": "false", onclick: press }, icon(name));
  return named(button, `feedback.${name}`);
}

function commentForm(submit) {
  const field = label(element("input", { type: "text", maxlength: "2000" }), "placeholder", "feedback.comment");
  label(field, "aria-label", "feedback.comment");
  const onsubmit = (event) => {
    event.preventDefault();
    if (field.value.trim()) submit(field.value.trim());
  };
  return element("form", { onsubmit }, field, say(element("button", { class: "small" }), "feedback.send"));
}
