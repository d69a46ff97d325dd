// What the page says, in the chosen language. Nodes remember what they say, so a switch changes all of them at once.

import { MESSAGES } from "./messages.js";

const STORED = "llmflow.language";
const said = new WeakMap(); // node -> Map(attribute, or "" for the text -> [key, values])

let language = localStorage.getItem(STORED) ?? (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en");

/** The current language, `ko` or `en`. */
export function currentLanguage() {
  return language;
}

/** Speak another language from now on, here and on the next visit. */
export function setLanguage(next) {
  language = next;
  localStorage.setItem(STORED, next);
  translate();
}

/** A message; numbers and dates among its values are written as the language does. */
export function t(key, values = {}) {
  const message = MESSAGES[language][key];
  if (message === undefined) throw new Error(`no message "${key}" in "${language}"`);
  return message.replace(/\{(\w+)\}/g, (_, name) => written(values[name]));
}

/** Whether there is such a message. */
export function has(key) {
  return key in MESSAGES[language];
}

/** Let a node's text be a message. */
export function say(node, key, values) {
  return remember(node, "", key, values);
}

/** Let an attribute of a node be a message. */
export function label(node, attribute, key, values) {
  return remember(node, attribute, key, values);
}

/** Bind the nodes written in HTML: `data-say="key"` and `data-label="attribute:key attribute:key"`. */
export function bindDocument() {
  for (const node of document.querySelectorAll("[data-say]")) say(node, node.dataset.say);
  for (const node of document.querySelectorAll("[data-label]")) {
    for (const pair of node.dataset.label.split(" ")) label(node, ...pair.split(":"));
  }
  translate();
}

function translate() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-said]")) {
    for (const [attribute, [key, values]] of said.get(node)) write(node, attribute, t(key, values));
  }
}

function remember(node, attribute, key, values) {
  if (!said.has(node)) said.set(node, new Map());
  said.get(node).set(attribute, [key, values]);
  node.dataset.said = "";
  write(node, attribute, t(key, values));
  return node;
}

function write(node, attribute, text) {
  if (attribute) node.setAttribute(attribute, text);
  else node.textContent = text;
}

function written(value) {
  if (typeof value === "number") return new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value);
  if (value instanceof Date) return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(value);
  return String(value);
}
