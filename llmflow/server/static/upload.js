// Files in: chosen or dropped, sent one after the other, followed until they can be found.

import { address, errorOf, offline } from "./api.js";
import { byId, element } from "./dom.js";
import { say } from "./i18n.js";
import { watchJob } from "./jobs.js";
import { errorNotice } from "./notices.js";
import { session } from "./session.js";

const STAGES = ["keep", "parse", "chunk", "mask", "embed", "store"];
const zone = byId("drop");
const input = byId("files");
const list = byId("uploads");
const department = byId("department");
let onReady = () => {};
let sending = Promise.resolve();
let signedIn = new AbortController();

/** Make the drop zone work; `whenReady` is called when a document is done, well or not. */
export function setUpUpload(whenReady) {
  onReady = whenReady;
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", name === "dragover");
    });
  }
  // A file dropped beside it would replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => add([...event.dataTransfer.files]));
}

/** Show what the signed-in may upload to. */
export function showUpload() {
  byId("upload").hidden = !session.mayEdit;
  byId("read-only").hidden = session.mayEdit;
  department.replaceChildren(...session.principal.departments.map((name) => element("option", { value: name }, name)));
}

/** Forget the uploads; what has not been sent will not be. */
export function clearUploads() {
  signedIn.abort();
  signedIn = new AbortController();
  sending = Promise.resolve();
  list.replaceChildren();
}

function add(files) {
  for (const file of files) {
    const item = new Item(file, department.value);
    list.prepend(item.node);
    sending = sending.then(() => item.send());
  }
}

/** A file on its way: a bar for the transfer, then for the stages of its job. */
class Item {
  constructor(file, target) {
    this.file = file;
    this.target = target;
    this.signal = signedIn.signal;
    this.bar = element("progress", { max: "1", value: "0", "aria-label": file.name });
    this.status = say(element("span", { class: "muted", role: "status" }), "upload.waiting");
    const name = element("span", { class: "name" }, file.name);
    this.node = element("li", { class: "upload" }, name, element("span", { class: "tag" }, target), this.bar, this.status);
  }

  async send() {
    if (this.signal.aborted) return;
    try {
      const { jobs } = await transfer(this.file, this.target, this.signal, (share) => {
        this.bar.value = share;
        say(this.status, "upload.sending", { percent: Math.round(share * 100) });
      });
      this.advance(jobs[0]);
      watchJob(jobs[0].id, {
        onChange: (job) => this.advance(job),
        onLost: () => say(this.status, "upload.lost"),
        onError: (error) => this.fail(error, null),
        signal: this.signal,
      });
    } catch (error) {
      this.fail(error, () => this.send());
    }
  }

  advance(job) {
    const done = STAGES.indexOf(job.stage) + 1;
    this.bar.value = done / STAGES.length;
    if (job.status === "queued" || job.status === "running") {
      const next = STAGES[done];
      say(this.status, job.status === "queued" ? "upload.queued" : next ? `upload.stage.${next}` : "upload.running");
      return;
    }
    this.node.classList.add(job.status);
    this.bar.value = 1;
    if (job.status === "done") say(this.status, "upload.done");
    else {
      say(this.status, "upload.failed");
      this.node.append(element("p", { class: "detail" }, job.error ?? ""));
    }
    onReady();
  }

  fail(error, retry) {
    this.bar.value = 0;
    say(this.status, "upload.failed");
    this.node.append(errorNotice(error, retry));
  }
}

/** Send a file with its progress, which fetch cannot tell. */
function transfer(file, target, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("department", target);
    form.append("files", file);
    const call = new XMLHttpRequest();
    call.open("POST", address("v1/documents"));
    call.setRequestHeader("Authorization", `Bearer ${session.key}`);
    call.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    call.addEventListener("error", () => reject(offline()));
    call.addEventListener("load", () => {
      if (call.status < 300) resolve(JSON.parse(call.responseText));
      else reject(errorOf(call.status, (name) => call.getResponseHeader(name), call.responseText));
    });
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}
