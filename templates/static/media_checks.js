// Checks of a chosen file before it is sent, with the server's formats and limits. The server checks it again.
"use strict";

const faults = new WeakMap(); // by file: a promise of what is wrong with it; "" if nothing is known to be
const measured = new WeakMap(); // by file: what its preview shows to be wrong with it

function inWords(bytes) {
  if (bytes < 1e3) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const limitsOf = (zone) => JSON.parse(zone.dataset.limits);

const begins = (bytes, hex, at) => (hex.match(/../g) ?? []).every((pair, i) => bytes[at + i] === parseInt(pair, 16));

// As `recognise` in jobs/media/formats.py: the first format that fits counts.
function recognised(bytes, formats) {
  return formats.find((each) => begins(bytes, each.opens, 0) && each.begins.some((hex) => begins(bytes, hex, each.offset)));
}

async function faultOf(file, limits) {
  if (!file.size) return `${file.name} is empty: it has 0 bytes.`;
  if (file.size > limits.each) return `Too large: ${file.name} has ${inWords(file.size)}. At most ${inWords(limits.each)} can be sent here.`;
  const start = new Uint8Array(await file.slice(0, limits.prefix).arrayBuffer());
  const found = recognised(start, limits.formats);
  if (found && limits.supported.includes(found.name)) return "";
  const what = found ? `this is ${found.name} (${found.kind})` : "its first bytes are of none";
  return `${file.name} is not ${limits.kind} data in a supported format: ${what}. Supported: ${limits.supported.join(", ")}.`;
}

// What is wrong with the zone's files; "" if nothing is known to be.
async function faultIn(zone, files) {
  const limits = limitsOf(zone);
  for (const file of files) {
    // a file that cannot be read now fails when it is sent
    if (!faults.has(file)) faults.set(file, faultOf(file, limits).catch(() => ""));
    const words = (await faults.get(file)) || measured.get(file);
    if (words) return words;
  }
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  return bytes > limits.all ? `Too large: ${inWords(bytes)} in all. At most ${inWords(limits.all)} can be sent here.` : "";
}

// Pixels and seconds, once the browser has read them for the preview: a part of the form that shows the file.
function measure(zone, file, shown, done) {
  const limits = limitsOf(zone);
  const note = (what) => {
    if (what) {
      measured.set(file, `${file.name} has ${what}.`);
      done();
    }
  };
  const over = (count, limit, unit) => (count > limit ? `${count.toLocaleString("en")} ${unit}, more than this model's limit of ${limit.toLocaleString("en")}` : "");
  shown.addEventListener("load", () => note(over(shown.naturalWidth * shown.naturalHeight, limits.pixels, "pixels")));
  shown.addEventListener("loadedmetadata", () => {
    const pixels = (shown.videoWidth ?? 0) * (shown.videoHeight ?? 0);
    const seconds = Number.isFinite(shown.duration) ? Math.round(10 * shown.duration) / 10 : 0;
    note(over(pixels, limits.pixels, "pixels in each frame") || over(seconds, limits.seconds, "seconds"));
  });
}
