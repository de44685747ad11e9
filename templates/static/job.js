// A job's page: shows each change of state as it comes, until the job is done.
"use strict";

const job = document.getElementById("job");
const offline = document.getElementById("offline");

async function show() {
  const response = await fetch(`/fragments/jobs/${encodeURIComponent(job.dataset.id)}`);
  if (response.ok) job.innerHTML = await response.text();
}

function follow() {
  const events = new EventSource(job.dataset.events);
  const changed = async (event) => {
    offline.hidden = true;
    await show();
    if (event.type !== "queued" && event.type !== "running") events.close();
  };
  for (const state of ["queued", "running", "succeeded", "failed", "cancelled", "expired"]) {
    events.addEventListener(state, changed);
  }
  events.addEventListener("error", () => {
    offline.hidden = events.readyState === EventSource.OPEN;
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 2000); // refused: the browser gives up, we don't
  });
}

job.addEventListener("submit", async (event) => {
  event.preventDefault();
  await fetch(job.dataset.self, { method: "DELETE" });
  await show();
});

if (job.dataset.done !== "true") follow();
