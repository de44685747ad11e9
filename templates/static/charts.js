// Shows the values of a chart at the pointer, or at the time chosen with the keys.
"use strict";

const parts = document.getElementById("charts");
const reading = document.getElementById("reading"); // outside the charts, because these are replaced each second
const cursor = document.getElementById("cursor");
let read = null; // id of the chart and the Unix time whose values are shown

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
  // below the lines and within the chart's width, so that it does not cover the current values above
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

const NOTHING = "\u2013"; // shown for an unknown value
const MOVES = { // the point to show next, from the points with a value and the time that is shown
  ArrowLeft: (all, at) => all.findLast((point) => point.at < at) ?? all[0],
  ArrowRight: (all, at) => all.find((point) => point.at > at) ?? all.at(-1),
  Home: (all) => all[0],
  End: (all) => all.at(-1),
};
parts.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return; // keys of the browser
  if (event.key === "Escape") hide();
  const chart = event.target;
  if (!Object.hasOwn(MOVES, event.key) || !chart.matches("svg")) return;
  event.preventDefault();
  const all = points(chart);
  const from = read?.id === chart.id && all.length ? all[nearest(chart, read.at)].at : Number(chart.dataset.now);
  const to = MOVES[event.key](all.filter((point) => point.values.some((value) => value !== NOTHING)), from);
  if (to) show(chart, to.at);
});
parts.addEventListener("htmx:afterSettle", () => {
  if (read) show(document.getElementById(read.id), read.at);
});
