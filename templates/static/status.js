// The status page: refreshes the overview, and shows an answer without leaving the page.
"use strict";

const REFRESH_MS = 2000;
const DONE = new Set(["succeeded", "failed", "cancelled", "expired"]);

const overview = document.getElementById("overview");
const offline = document.getElementById("offline");
const form = document.getElementById("form");
const answer = document.getElementById("answer");
const { model, text, parameters } = form.elements;

let shown = null;

async function refresh() {
  if (overview.contains(document.activeElement)) return; // nobody's focus is taken away
  try {
    const response = await fetch("/fragments/overview");
    const html = await response.text();
    if (html !== shown) overview.innerHTML = html;
    shown = html;
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
}

async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, REFRESH_MS);
}

function say(words, kind = "faint") {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = words;
  answer.replaceChildren(line);
}

function asked() {
  const kind = model.selectedOptions[0].dataset.input;
  const request = { model: model.value, inputs: kind === "json" ? JSON.parse(text.value) : text.value };
  if (parameters.value.trim()) request.parameters = JSON.parse(parameters.value);
  return request;
}

async function jobOf(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  return body;
}

async function submit() {
  let job = await jobOf(
    await fetch("/v1/jobs", {
      method: "POST",
      headers: { "content-type": "application/json", prefer: "wait=20" },
      body: JSON.stringify(asked()),
    }),
  );
  while (!DONE.has(job.status)) {
    say(job.status === "running" ? "Running …" : `Waiting, place ${job.position ?? "?"} in the queue …`);
    job = await jobOf(await fetch(`${job.urls.self}?wait=20`));
  }
  const response = await fetch(`/fragments/jobs/${job.id}/answer`);
  answer.innerHTML = await response.text();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  say("Sent …");
  try {
    await submit();
  } catch (error) {
    say(error instanceof TypeError ? "The server does not answer." : error.message, "fault");
  }
  button.disabled = false;
  refresh();
});

let before = model.selectedOptions[0];
model.addEventListener("change", () => {
  const chosen = model.selectedOptions[0];
  if (text.value === before.dataset.text) text.value = chosen.dataset.text;
  if (parameters.value === before.dataset.parameters) parameters.value = chosen.dataset.parameters;
  parameters.closest("details").open ||= parameters.value !== "";
  before = chosen;
});

setTimeout(keepFresh, REFRESH_MS);
