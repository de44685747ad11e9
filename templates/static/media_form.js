// Files in the form of /try: dropped, pasted, chosen or recorded, and previewed before they are sent.
"use strict";

const zoneOf = (part) => part.closest?.("[data-drop]");
const inputOf = (zone) => zone.querySelector("input[type=file]");
const fileInputs = () => document.querySelectorAll("[data-drop] input[type=file]");

function complain(zone, words) {
  const complaint = zone.querySelector("[data-complaint]");
  complaint.textContent = words;
  complaint.hidden = !words;
}

// The field's files become these, as if somebody had chosen them.
function set(zone, files) {
  const chosen = new DataTransfer();
  for (const file of files) chosen.items.add(file);
  const input = inputOf(zone);
  input.files = chosen.files;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function add(zone, files) {
  const input = inputOf(zone);
  set(zone, input.multiple ? [...input.files, ...files] : files.slice(0, 1));
}

function preview(zone) {
  const list = zone.querySelector("[data-previews]");
  const input = inputOf(zone);
  for (const old of list.querySelectorAll("[src]")) URL.revokeObjectURL(old.src);
  list.replaceChildren(...[...input.files].map((file, at) => previewed(zone, file, at)));
  judge(zone);
}

async function judge(zone) {
  const input = inputOf(zone);
  const files = [...input.files];
  const words = await faultIn(zone, files);
  if (files.length !== input.files.length || files.some((file, at) => file !== input.files[at])) return; // others by now
  input.setCustomValidity(words);
  complain(zone, words);
}

function previewed(zone, file, at) {
  const entry = document.createElement("li");
  const kind = { image: "img", audio: "audio", video: "video" }[limitsOf(zone).kind];
  const shown = document.createElement(kind);
  measure(zone, file, shown, () => judge(zone));
  shown.src = URL.createObjectURL(file);
  if (kind === "img") shown.alt = file.name;
  else {
    shown.controls = true;
    shown.setAttribute("aria-label", file.name);
  }
  if (kind !== "audio") shown.className = "thumb";
  const name = document.createElement("small");
  name.textContent = `${file.name}, ${inWords(file.size)}`;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "quiet";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${file.name}`);
  remove.addEventListener("click", () => {
    set(zone, [...inputOf(zone).files].filter((_, other) => other !== at));
    inputOf(zone).focus();
  });
  entry.append(shown, name, remove);
  return entry;
}

document.addEventListener("change", (event) => {
  const zone = zoneOf(event.target);
  if (zone && event.target.type === "file") preview(zone);
});

// A file that is dropped beside its field would replace the page
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files") || !fileInputs().length) return;
    event.preventDefault();
    const zone = zoneOf(event.target);
    for (const each of document.querySelectorAll("[data-drop]")) each.classList.toggle("over", each === zone && kind === "dragover");
    if (kind === "drop" && zone) add(zone, [...event.dataTransfer.files]);
  });
}
document.addEventListener("dragleave", (event) => zoneOf(event.target)?.classList.remove("over"));

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  const zones = [...document.querySelectorAll("[data-drop]")];
  const fits = (zone) => files.some((file) => file.type.startsWith(`${limitsOf(zone).kind}/`));
  const zone = zoneOf(event.target) ?? zones.find((each) => fits(each) && !inputOf(each).files.length) ?? zones.find(fits);
  if (!files.length || !zone) return;
  event.preventDefault();
  add(zone, files);
});

// The microphone. MediaRecorder makes WebM, which servers cannot read without ffmpeg, so the samples become a WAV file.
let recording = null;

async function start(zone, button) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  const now = { zone, stream, context, parts: [], count: 0, end: null };
  try {
    await context.audioWorklet.addModule(zone.dataset.recorder);
    now.node = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  } catch (error) {
    stop(now);
    throw error;
  }
  const most = (limitsOf(zone).each - 44) / 2;
  now.node.port.onmessage = (event) => {
    if (recording !== now) return;
    now.parts.push(event.data);
    now.count += event.data.length;
    button.textContent = `Stop (${(now.count / context.sampleRate).toFixed(1)} s)`;
    if (now.count + event.data.length > most) finish(button);
  };
  recording = now;
  context.createMediaStreamSource(stream).connect(now.node).connect(context.destination); // silent: it has no output
}

function stop(now) {
  for (const track of now.stream.getTracks()) track.stop();
  now.context.close();
}

function finish(button) {
  const now = recording;
  recording = null;
  stop(now);
  button.textContent = "Record";
  const name = `recording-${new Date().toISOString().slice(11, 19).replaceAll(":", "")}.wav`;
  add(now.zone, [new File([wav(now.parts, now.count, now.context.sampleRate)], name, { type: "audio/wav" })]);
}

function wav(parts, count, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, words) => [...words].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true); // bits
  text(36, "data");
  view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const part of parts) {
    for (const sample of part) {
      view.setInt16(at, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
      at += 2;
    }
  }
  return view;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-record]");
  if (!button) return;
  if (recording) return finish(button);
  const zone = zoneOf(button);
  complain(zone, "");
  button.disabled = true;
  try {
    await start(zone, button);
  } catch {
    complain(zone, "The microphone cannot be used. Allow it for this page, or choose a file.");
  }
  button.disabled = false;
});

// The curl line needs the names of files, not their bytes
document.addEventListener("htmx:configRequest", (event) => {
  const { path, formData } = event.detail;
  if (path !== "/try") return;
  for (const input of fileInputs()) {
    formData.delete(input.name);
    if (input.files.length) formData.set(input.name, [...input.files].map((file) => file.name).join("/"));
  }
});

// Browsers offer the microphone to pages over HTTPS or from this machine only
function prepare() {
  for (const button of document.querySelectorAll("[data-record]")) button.hidden = !navigator.mediaDevices?.getUserMedia;
  for (const input of fileInputs()) {
    const zone = zoneOf(input);
    if (zone.querySelector("[data-previews]").childElementCount !== input.files.length) preview(zone);
  }
}
document.addEventListener("htmx:afterSwap", prepare); // the server's form has no previews
prepare();
