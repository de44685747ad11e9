// Draws what needs a picture's size or a sound's samples: boxes over a picture, a waveform with its words.
"use strict";

const PER_SECOND = 120; // pixels of a waveform with words, so that a short word can be read
const WIDEST = 12000;
const POINTS = 1200;
const waves = new Map(); // by address: a promise of the duration and the peaks, kept while the page refreshes

// Boxes: the SVG's units become the picture's pixels; each box gets its label as a tag.
function drawBoxes(svg) {
  const image = svg.parentElement.querySelector("img");
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  if (!width || svg.hasAttribute("viewBox")) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const old of svg.parentElement.querySelectorAll(".tag")) old.remove();
  for (const box of svg.querySelectorAll("rect")) {
    const tag = document.createElement("span");
    tag.className = box.getAttribute("class").replace("box", "tag");
    tag.setAttribute("aria-hidden", "true");
    tag.textContent = box.dataset.label;
    tag.style.left = `${(100 * Math.max(0, box.x.baseVal.value)) / width}%`;
    tag.style.top = `${(100 * Math.max(0, box.y.baseVal.value)) / height}%`;
    svg.after(tag);
  }
  placeTags(svg.parentElement);
}

// A tag that would lie over an earlier box's tag moves below it; without room there, only the list has the label.
function placeTags(stage) {
  const room = stage.getBoundingClientRect();
  const placed = [];
  for (const tag of [...stage.querySelectorAll(".tag")].reverse()) { // the last one is of the first box
    tag.hidden = false;
    tag.style.margin = "";
    const { left, right, top, width, height } = tag.getBoundingClientRect();
    const aside = Math.min(0, Math.max(room.right - right, room.left - left));
    const at = { left: left + aside, right: left + aside + width, top, bottom: top + height };
    let other;
    while ((other = placed.find((each) => at.left < each.right && each.left < at.right && at.top < each.bottom && each.top < at.bottom))) {
      [at.top, at.bottom] = [other.bottom, other.bottom + height];
    }
    tag.hidden = at.bottom > room.bottom && at.top > top;
    tag.style.margin = `${at.top - top}px 0 0 ${aside}px`;
    if (!tag.hidden) placed.push(at);
  }
}

addEventListener("resize", () => document.querySelectorAll(".stage").forEach(placeTags));

async function samples(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(answer.statusText);
  const decoder = new OfflineAudioContext(1, 1, 16000);
  const sound = await decoder.decodeAudioData(await answer.arrayBuffer());
  const data = sound.getChannelData(0);
  const step = Math.max(1, Math.floor(data.length / POINTS));
  const peaks = [];
  for (let at = 0; at < data.length; at += step) {
    let low = 0, high = 0;
    for (let i = at; i < Math.min(at + step, data.length); i++) {
      low = Math.min(low, data[i]);
      high = Math.max(high, data[i]);
    }
    peaks.push([low, high]);
  }
  return { duration: sound.duration, peaks };
}

const element = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

async function drawWave(wave) {
  const url = wave.dataset.wave;
  if (!waves.has(url)) waves.set(url, samples(url));
  let sound;
  try {
    sound = await waves.get(url);
  } catch { // not readable for this browser: the player and the text remain
    return;
  }
  if (!wave.isConnected || wave.firstChild || !sound.peaks.length) return;
  const parts = [...wave.parentElement.querySelectorAll(".part")];
  const track = document.createElement("div");
  track.className = "track";
  if (parts.length) track.style.width = `${Math.min(WIDEST, PER_SECOND * sound.duration)}px`;
  const { peaks, duration } = sound;
  const svg = element("svg", { viewBox: `0 -1 ${peaks.length} 2`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const path = peaks.map(([low, high], x) => `M${x} ${-high - 0.01}V${-low + 0.01}`).join("");
  svg.append(element("path", { d: path, class: "first" }));
  const head = document.createElement("i");
  head.className = "head";
  track.append(svg, head);
  for (const part of parts) track.append(placed(part, duration));
  wave.append(track);
  wave.hidden = false;
  follow(wave);
}

// A word on the track. The list below has the same words for the keyboard.
function placed(part, duration) {
  const from = Number(part.dataset.from);
  const to = Number(part.dataset.to ?? duration);
  const word = document.createElement("span");
  word.className = "word";
  word.dataset.from = from;
  word.dataset.to = to;
  word.textContent = word.title = part.lastElementChild.textContent;
  word.setAttribute("aria-hidden", "true");
  word.style.left = `${(100 * from) / duration}%`;
  word.style.width = `${(100 * Math.max(0, to - from)) / duration}%`;
  return word;
}

const player = (part) => part.closest(".heard")?.querySelector("audio");

function follow(wave) {
  const audio = player(wave);
  const head = wave.querySelector(".head");
  if (!audio || !head || !audio.duration) return;
  head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
  for (const part of wave.parentElement.querySelectorAll("[data-from]")) {
    const now = audio.currentTime;
    part.classList.toggle("now", now > 0 && now >= Number(part.dataset.from) && now < Number(part.dataset.to ?? Infinity));
  }
}

document.addEventListener("timeupdate", (event) => {
  const wave = event.target.closest?.(".heard")?.querySelector(".wave");
  if (wave) follow(wave);
}, true);

document.addEventListener("click", (event) => {
  const part = event.target.closest(".heard .part");
  const track = event.target.closest(".heard .track");
  const audio = (part || track) && player(part || track);
  if (!audio) return;
  const box = track?.getBoundingClientRect();
  audio.currentTime = part ? Number(part.dataset.from) : ((event.clientX - box.left) / box.width) * (audio.duration || 0);
  if (part) audio.play().catch(() => {}); // the page may not play sounds
});

function draw() {
  for (const svg of document.querySelectorAll("svg[data-boxes]")) drawBoxes(svg);
  for (const wave of document.querySelectorAll("[data-wave]")) drawWave(wave);
}

document.addEventListener("load", (event) => {
  const svg = event.target.parentElement?.querySelector?.("svg[data-boxes]");
  if (svg) drawBoxes(svg);
}, true);
document.addEventListener("htmx:afterSwap", draw); // a refresh takes away what was drawn
draw();
