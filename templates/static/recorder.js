// Runs in the audio thread: passes the microphone's samples on. `media_form.js` makes a WAV file of them.
"use strict";

registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage(input[0].slice());
    return true;
  }
});
