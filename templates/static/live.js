// Script of every page: reports when updates stop, pauses updates in a hidden tab, copies curl commands.
"use strict";

const STALE_MS = 2000; // fragments are fetched each second
const banner = document.getElementById("stale");
const loaded = Date.now();
let lastAnswer = loaded;
const refreshed = {}; // by id: the last refresh of parts whose answer is empty while Redis cannot be reached

document.documentElement.classList.add("js");

const live = () => document.querySelector("[data-live]");

setInterval(() => {
  const silent = Date.now() - lastAnswer;
  const stale = live() !== null && !document.hidden && silent > STALE_MS;
  if (stale) document.getElementById("stale-for").textContent = Math.round(silent / 1000);
  if (banner.hidden === stale) banner.hidden = !stale;
  document.body.classList.toggle("is-stale", stale);
  for (const part of document.querySelectorAll("[data-age]")) showAge(part);
}, 250);

function showAge(part) {
  const age = Date.now() - (refreshed[part.id] ?? loaded);
  const old = age > STALE_MS && !document.hidden;
  const label = document.getElementById(part.dataset.age);
  if (old) label.textContent = `as of ${Math.round(age / 1000)} s ago`;
  label.hidden = !old;
  part.classList.toggle("is-old", old);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  lastAnswer = Date.now();
  for (const part of document.querySelectorAll('[hx-trigger*="wake"]')) htmx.trigger(part, "wake");
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const polling = event.detail.requestConfig.triggeringEvent?.type !== "submit" && event.detail.elt.matches("[hx-trigger^=every]");
  if (polling && document.hidden) event.preventDefault();
});

// A form that is sent again keeps no error of the time before
document.addEventListener("htmx:beforeSend", (event) => {
  if (event.detail.elt.id !== "try") return;
  for (const error of event.detail.elt.querySelectorAll(".error")) error.remove();
  for (const hint of event.detail.elt.querySelectorAll(".hint[hidden]")) hint.hidden = false;
  for (const field of event.detail.elt.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    const described = field.getAttribute("aria-describedby").replace(`${field.id}-error`, "").trim();
    field.toggleAttribute("aria-describedby", described !== "");
    if (described) field.setAttribute("aria-describedby", described);
  }
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, xhr } = event.detail;
  if (xhr.status && elt.matches("[data-live], form")) lastAnswer = Date.now();
  if (xhr.status === 200 && elt.matches("[data-age]")) refreshed[elt.id] = Date.now();
});

// If the answer replaced the pressed button, the keyboard focus moves to the answer, not to the top of the page
document.addEventListener("htmx:afterSettle", (event) => {
  const { requestConfig } = event.detail;
  if (requestConfig?.triggeringEvent?.type !== "submit") return;
  const invalid = event.detail.target.querySelector("[aria-invalid]");
  if (invalid) return invalid.focus();
  if (document.activeElement !== document.body) return;
  document.getElementById(event.detail.target.id)?.focus();
});

// Only HTML is shown as HTML: a problem's JSON may quote a client's input
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  if ((xhr.getResponseHeader("content-type") || "").startsWith("text/html")) return;
  event.detail.shouldSwap = false;
  if (target.id !== "answer" || xhr.status < 400) return;
  say(target, problem(xhr.responseText));
});

for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => {
    const target = event.detail.target;
    if (target?.id !== "answer") return;
    say(target, "No answer in time.");
    target.firstElementChild.append(document.getElementById("unanswered").content.cloneNode(true));
  });
}

function problem(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return "Something went wrong.";
  }
}

function say(where, words) {
  const card = document.createElement("div");
  card.className = "card fault";
  card.setAttribute("role", "alert");
  card.append(document.createElement("p"));
  card.firstChild.textContent = words;
  where.replaceChildren(card);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  let copied = true;
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch { // denied, or missing because the page was loaded over plain HTTP from another machine
    getSelection().selectAllChildren(text);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
