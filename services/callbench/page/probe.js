// Runs in the call page before its own scripts. It lends the page a microphone that speaks on
// demand and records what the page receives: every audio sample, every shown frame, the transport's
// statistics. It decides nothing: all figures are computed afterwards from this record.
// Times are wall-clock milliseconds (performance.timeOrigin + performance.now()).
(() => {
  const CROP = { x: 0.25, y: 0.4, width: 0.5, height: 0.5 }; // nose to chin, of the frame
  const CROP_PIXELS = 128;
  const THUMB_PIXELS = 48;
  const STATS_EVERY_MS = 250;
  const CLOCK_EVERY_MS = 25;
  const CLOCK_WINDOW = 40;
  const VOICED_RMS = 0.006;
  const START_AHEAD_S = 0.03;
  const NOISE = 0.0002; // -74 dBFS at its peaks
  // A light probe keeps neither sound nor pictures, only when they came: for calls of hours.
  const LIGHT = window.callbenchLight ?? false;
  const STATS_FIELDS = [
    "estimatedPlayoutTimestamp", "framesReceived", "framesDecoded", "framesDropped", "freezeCount",
    "totalFreezesDuration", "frameWidth", "frameHeight", "totalSamplesReceived", "concealedSamples",
    "silentConcealedSamples", "concealmentEvents", "jitterBufferDelay", "jitterBufferEmittedCount",
    "packetsLost", "packetsReceived", "bytesReceived",
  ];

  const wall = (at = performance.now()) => performance.timeOrigin + at;
  const freshRecord = () => ({ audio: [], frames: [], stats: [], marks: [], clock: [] });
  let record = freshRecord();
  // Marks outlive a change of page: a room may be created on one page and joined on the next.
  const CARRIED = "callbench-marks";
  record.marks = JSON.parse(sessionStorage.getItem(CARRIED) ?? "[]");
  sessionStorage.removeItem(CARRIED);
  addEventListener("pagehide", () => sessionStorage.setItem(CARRIED, JSON.stringify(record.marks)));
  let context = null;
  let microphone = null;
  let audioClockOffset = NaN; // wall clock minus audio clock, ms
  let video = null; // the element that shows the agent
  const received = new Map(); // track -> receiver; the server also opens spare, mute ones
  const receivers = { audio: null, video: null }; // of what the page plays
  const voice = { voicedAt: 0, startedAt: 0 };
  const mark = (name, at = wall(), detail = "") => record.marks.push({ name, at, detail });

  function audioContext() {
    if (context) return context;
    context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    microphone = context.createMediaStreamDestination();
    microphone.channelCount = 1;
    addRoomNoise();
    const recent = [];
    setInterval(() => {
      recent.push(wall() - context.currentTime * 1000);
      if (recent.length > CLOCK_WINDOW) recent.shift();
      // The audio clock moves in steps; right after a step the difference is smallest, and true.
      audioClockOffset = Math.min(...recent);
      record.clock.push({ audio: context.currentTime, offset: audioClockOffset });
    }, CLOCK_EVERY_MS);
    return context;
  }

  // --- the microphone ---------------------------------------------------------------------------
  /** A destination that nothing plays into sends no packets, and the next word then comes late at
   *  the other end. A real microphone never stops: the noise of a very quiet room keeps this one on.
   */
  function addRoomNoise() {
    const second = context.createBuffer(1, context.sampleRate, context.sampleRate);
    const samples = second.getChannelData(0);
    for (let at = 0; at < samples.length; at += 1) samples[at] = (Math.random() * 2 - 1) * NOISE;
    const noise = context.createBufferSource();
    noise.buffer = second;
    noise.loop = true;
    noise.connect(microphone);
    noise.start();
  }

  const realGetUserMedia = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (realGetUserMedia) {
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      if (!constraints?.audio || constraints.video) return realGetUserMedia(constraints);
      const running = audioContext();
      await running.resume();
      mark("microphone_opened");
      return new MediaStream(microphone.stream.getAudioTracks().map((track) => track.clone()));
    };
  }

  async function say(name, wavBase64) {
    const running = audioContext();
    await running.resume();
    const bytes = Uint8Array.from(atob(wavBase64), (letter) => letter.charCodeAt(0));
    const clip = await running.decodeAudioData(bytes.buffer);
    const source = running.createBufferSource();
    source.buffer = clip;
    source.connect(microphone);
    const startsAt = running.currentTime + START_AHEAD_S;
    source.start(startsAt);
    const start = startsAt * 1000 + audioClockOffset;
    mark("say", start, name);
    return { name, start, end: start + clip.duration * 1000 };
  }

  // --- what arrives -----------------------------------------------------------------------------
  const tapSource = "__TAP_SOURCE__";
  let heard = null;
  let tapReady = null; // a processor's name may be registered once; a call may bring many tracks

  async function tapAudio(track) {
    const running = audioContext();
    await running.resume();
    const url = URL.createObjectURL(new Blob([tapSource], { type: "text/javascript" }));
    tapReady ??= running.audioWorklet.addModule(url);
    await tapReady;
    const tap = new AudioWorkletNode(running, "callbench-tap", { numberOfOutputs: 0 });
    heard?.disconnect(); // a track that is over would go on as silence beside the new one
    heard = running.createMediaStreamSource(new MediaStream([track]));
    heard.connect(tap);
    tap.port.onmessage = ({ data }) => {
      const pcm = new Int16Array(data.samples.length);
      let energy = 0;
      data.samples.forEach((sample, at) => {
        energy += sample * sample;
        pcm[at] = Math.max(-1, Math.min(1, sample)) * 32767;
      });
      if (!LIGHT) record.audio.push({ first: data.first, pcm });
      if (Math.sqrt(energy / data.samples.length) < VOICED_RMS) return;
      const at = (data.first / running.sampleRate) * 1000 + audioClockOffset;
      if (at - voice.voicedAt > 1000) voice.startedAt = at;
      voice.voicedAt = at;
    };
    mark("audio_subscribed");
  }

  const canvas = (side) => {
    const made = new OffscreenCanvas(side, side);
    return made.getContext("2d", { willReadFrequently: true });
  };
  const cropCanvas = canvas(CROP_PIXELS);
  const thumbCanvas = canvas(THUMB_PIXELS);

  function greyOf(target, side) {
    const { data } = target.getImageData(0, 0, side, side);
    const grey = new Uint8Array(side * side);
    for (let at = 0; at < grey.length; at += 1) {
      grey[at] = (77 * data[4 * at] + 150 * data[4 * at + 1] + 29 * data[4 * at + 2]) >> 8;
    }
    return grey;
  }

  function onFrame(element) {
    return (now, shown) => {
      if (element !== video) return;
      const [w, h] = [element.videoWidth, element.videoHeight];
      record.frames.push({
        at: wall(shown.expectedDisplayTime),
        presented: shown.presentedFrames,
        rtp: shown.rtpTimestamp ?? -1,
        width: w,
        height: h,
        ...(LIGHT ? {} : pixelsOf(element)),
      });
      element.requestVideoFrameCallback(onFrame(element));
    };
  }

  function pixelsOf(element) {
    const [w, h] = [element.videoWidth, element.videoHeight];
    const box = [CROP.x * w, CROP.y * h, CROP.width * w, CROP.height * h];
    cropCanvas.drawImage(element, ...box, 0, 0, CROP_PIXELS, CROP_PIXELS);
    thumbCanvas.drawImage(element, 0, 0, THUMB_PIXELS, THUMB_PIXELS);
    return { crop: greyOf(cropCanvas, CROP_PIXELS), thumb: greyOf(thumbCanvas, THUMB_PIXELS) };
  }

  /** Follow what the page plays: tracks that it received and attached to an element. */
  function watchElement(element) {
    for (const track of element.srcObject?.getTracks?.() ?? []) {
      if (!received.has(track) || receivers[track.kind] === received.get(track)) continue;
      receivers[track.kind] = received.get(track);
      if (track.kind === "audio") void tapAudio(track);
      else watchVideo(element);
    }
  }

  function watchVideo(element) {
    if (element === video) return;
    video = element;
    element.requestVideoFrameCallback((now, shown) => {
      mark("first_frame", wall(shown.expectedDisplayTime));
      onFrame(element)(now, shown);
    });
  }

  const sourceOf = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...sourceOf,
    set(stream) {
      sourceOf.set.call(this, stream);
      played.add(this);
      watchElement(this);
    },
  });
  const played = new Set(); // elements need not be in the document
  setInterval(() => played.forEach(watchElement), 50); // tracks that join a stream later

  const RealConnection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends RealConnection {
    constructor(...options) {
      super(...options);
      this.addEventListener("track", ({ track, receiver }) => {
        received.set(track, receiver);
      });
      this.addEventListener("connectionstatechange", () =>
        mark(`connection_${this.connectionState}`),
      );
    }
  };

  setInterval(async () => {
    for (const kind of ["audio", "video"]) {
      if (!receivers[kind]) continue;
      const report = await receivers[kind].getStats();
      report.forEach((entry) => {
        if (entry.type !== "inbound-rtp") return;
        const kept = { kind, at: entry.timestamp };
        STATS_FIELDS.forEach((field) => (kept[field] = entry[field] ?? null));
        record.stats.push(kept);
      });
    }
  }, STATS_EVERY_MS);

  // --- the call's other marks -------------------------------------------------------------------
  new MutationObserver((changes) => {
    changes.forEach(({ target }) => mark("state", wall(), target.dataset.state));
  }).observe(document, { attributes: true, attributeFilter: ["data-state"], subtree: true });

  const realFetch = window.fetch.bind(window);
  window.fetch = async (resource, options) => {
    const url = new URL(resource.url ?? resource, location.href);
    const creates = url.pathname === "/api/rooms" && options?.method === "POST";
    if (!creates) return realFetch(resource, options);
    mark("room_create_sent");
    const response = await realFetch(resource, options);
    mark("room_created", wall(), String(response.status));
    return response;
  };

  // --- hand-over --------------------------------------------------------------------------------
  function base64(bytes) {
    let letters = "";
    for (let at = 0; at < bytes.length; at += 0x8000) {
      letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
    }
    return btoa(letters);
  }

  function joined(arrays) {
    const bytes = arrays.map((a) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
    const all = new Uint8Array(bytes.reduce((total, part) => total + part.length, 0));
    let at = 0;
    for (const part of bytes) {
      all.set(part, at);
      at += part.length;
    }
    return base64(all);
  }

  function drain() {
    const full = record;
    record = freshRecord();
    return {
      audio: full.audio.map(({ first, pcm }) => [first, pcm.length]),
      pcm: joined(full.audio.map(({ pcm }) => pcm)),
      frames: full.frames.map(({ at, presented, rtp, width, height }) => {
        return { at, presented, rtp, width, height };
      }),
      crops: LIGHT ? "" : joined(full.frames.map(({ crop }) => crop)),
      thumbs: LIGHT ? "" : joined(full.frames.map(({ thumb }) => thumb)),
      stats: full.stats,
      marks: full.marks,
      clock: full.clock.filter((_, at) => at % 10 === 0),
      sample_hz: context?.sampleRate ?? 48000,
    };
  }

  async function snapshot() {
    if (!video?.videoWidth) return "";
    const still = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    still.getContext("2d").drawImage(video, 0, 0);
    const blob = await still.convertToBlob({ type: "image/png" });
    return base64(new Uint8Array(await blob.arrayBuffer()));
  }

  window.callbench = { say, drain, snapshot, mark, now: wall, voice: () => ({ ...voice }) };
})();
