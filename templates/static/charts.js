// Reads a chart where the pointer is, or with the arrow keys: the time, and each line's value with its unit.
"use strict";

const parts = document.getElementById("charts");
const reading = document.getElementById("reading"); // beside the charts, for these are made anew each second
const cursor = document.getElementById("cursor");
let read = null; // the chart's id and the Unix time that is read

const points = (chart) => (chart.dataset.points || "").split(";").filter(Boolean).map((point) => {
  const [at, ...values] = point.split("|");
  return { at: Number(at), values };
});

function nearest(chart, at) {
  const all = points(chart);
  return all.reduce((best, point, i) => (Math.abs(point.at - at) < Math.abs(all[best].at - at) ? i : best), 0);
}

function show(chart, at) {
  const point = chart && points(chart)[nearest(chart, at)];
  reading.hidden = cursor.hidden = !point;
  read = point ? { id: chart.id, at } : null;
  if (!point) return;
  const values = chart.dataset.lines.split("|").map((name, i) => `${name} ${point.values[i]}`);
  const words = `${new Date(point.at * 1000).toISOString().slice(11, 19)} UTC: ${values.join(", ")}`;
  if (reading.textContent !== words) reading.textContent = words;
  const box = chart.getBoundingClientRect();
  const around = reading.parentElement.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, 1 - (Number(chart.dataset.now) - point.at) / Number(chart.dataset.span)));
  const left = box.left - around.left + share * box.width;
  const first = box.left - around.left;
  const last = Math.max(first, first + box.width - reading.offsetWidth);
  cursor.style.cssText = `left: ${left}px; top: ${box.top - around.top}px; height: ${box.height}px`;
  // below the lines, within the chart's width: the figures above stay to be compared with
  const middle = Math.min(last, Math.max(first, left - reading.offsetWidth / 2));
  reading.style.cssText = `left: ${middle}px; top: ${box.bottom - around.top}px`;
}

const hide = () => show(null, 0);

parts.addEventListener("pointermove", (event) => {
  const chart = event.target.closest("svg");
  if (!chart) return hide();
  const box = chart.getBoundingClientRect();
  show(chart, Number(chart.dataset.now) - Number(chart.dataset.span) * (1 - (event.clientX - box.left) / box.width));
});
parts.addEventListener("pointerleave", hide);
parts.addEventListener("focusin", (event) => {
  if (event.target.matches("svg:focus-visible")) show(event.target, Number(event.target.dataset.now));
});
parts.addEventListener("focusout", hide);
parts.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") hide();
  if (!step || !event.target.matches("svg")) return;
  event.preventDefault();
  const all = points(event.target);
  const from = nearest(event.target, read?.id === event.target.id ? read.at : Number(event.target.dataset.now));
  const to = all[Math.min(all.length - 1, Math.max(0, from + step))];
  if (to) show(event.target, to.at);
});
parts.addEventListener("htmx:afterSettle", () => {
  if (read) show(document.getElementById(read.id), read.at);
});
