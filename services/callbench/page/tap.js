// Audio worklet: hands every received sample to the page, with the audio clock's sample number.
const BLOCK_SAMPLES = 960; // 20 ms at 48 kHz

class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK_SAMPLES);
    this.filled = 0;
    this.first = 0;
  }

  process(inputs) {
    const heard = inputs[0][0];
    if (!heard) return true;
    if (this.filled && currentFrame !== this.first + this.filled) this.flush(); // a gap
    for (let at = 0; at < heard.length; at += 1) {
      if (!this.filled) this.first = currentFrame + at;
      this.block[this.filled] = heard[at];
      this.filled += 1;
      if (this.filled === BLOCK_SAMPLES) this.flush();
    }
    return true;
  }

  flush() {
    this.port.postMessage({ first: this.first, samples: this.block.slice(0, this.filled) });
    this.filled = 0;
  }
}

registerProcessor("callbench-tap", Tap);
