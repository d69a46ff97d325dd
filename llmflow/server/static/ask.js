// The thread of questions and the field to ask in.

import { answerInto, newTurn } from "./answer.js";
import { byId, icon } from "./dom.js";
import { named } from "./notices.js";

const thread = byId("thread");
const form = byId("question-form");
const field = byId("question");
const button = byId("send");
let running = null;

/** Make the form work. */
export function setUpAsk() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) running.abort();
    else if (field.value.trim()) ask(field.value.trim());
  });
  field.addEventListener("keydown", (event) => {
    // Enter that ends the composition of a syllable does not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running) form.requestSubmit();
  });
  showButton();
}

/** Forget the thread. */
export function clearThread() {
  running?.abort();
  thread.replaceChildren();
  field.value = "";
  byId("welcome").hidden = false;
}

function ask(question) {
  field.value = "";
  byId("welcome").hidden = true;
  const turn = thread.appendChild(newTurn(question));
  void answer(turn, question);
}

async function answer(turn, question) {
  running?.abort();
  const mine = (running = new AbortController());
  showButton();
  turn.scrollIntoView({ block: "start" });
  await answerInto(turn, question, mine.signal, () => answer(turn, question));
  if (running !== mine) return;
  running = null;
  showButton();
}

function showButton() {
  button.replaceChildren(icon(running ? "stop" : "send"));
  named(button, running ? "ask.stop" : "ask.send");
}
