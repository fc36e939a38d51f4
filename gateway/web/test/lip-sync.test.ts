import { describe, expect, test } from "vitest";
import { LipSync } from "../src/latency/lip-sync";

const SAMPLES_A_SECOND = 48_000;

/** A call: what the network needs of each, and a browser that follows `jitterBufferTarget` slowly. */
class Call {
  readonly receiver = { jitterBufferTarget: null as number | null };
  readonly lipSync = new LipSync();
  lateMs = 0;
  #heldMs: number;
  #targetDelayS = 0;
  #emitted = 0;

  constructor(
    public soundNeedsMs: number,
    public pictureNeedsMs: number,
  ) {
    this.#heldMs = soundNeedsMs;
  }

  run(seconds: number, noiseMs: (second: number) => number = () => 0): void {
    for (let second = 0; second < seconds; second += 1) {
      const target = Math.max(this.soundNeedsMs, this.receiver.jitterBufferTarget ?? 0);
      // Sound is stretched only while less than three quarters of the target are held.
      const wanted = Math.min(Math.max(this.#heldMs, 0.75 * target, this.soundNeedsMs), target);
      this.#heldMs += (wanted - this.#heldMs) * 0.8;
      this.#emitted += SAMPLES_A_SECOND;
      this.#targetDelayS += (SAMPLES_A_SECOND * target) / 1000;
      this.lateMs = this.pictureNeedsMs - this.#heldMs;
      const sound = {
        timestamp: second * 1000,
        jitterBufferTargetDelay: this.#targetDelayS,
        jitterBufferEmittedCount: this.#emitted,
      };
      this.lipSync.take(this.receiver, sound, this.lateMs + noiseMs(second));
    }
  }
}

describe("sound and picture", () => {
  test("come together where the picture takes longer, and stay together", () => {
    const call = new Call(40, 75);
    call.run(15);
    expect(Math.abs(call.lateMs)).toBeLessThan(5);
    const target = call.receiver.jitterBufferTarget;
    call.run(60, (second) => 8 * Math.sin(second));
    expect(call.receiver.jitterBufferTarget).toBe(target);
  });

  test("follow the network: sound is held less when the picture comes sooner", () => {
    const call = new Call(40, 90);
    call.run(15);
    call.pictureNeedsMs = 60;
    call.run(15);
    expect(Math.abs(call.lateMs)).toBeLessThan(5);
    expect(call.receiver.jitterBufferTarget).toBeLessThan(65);
  });

  test("are left alone where they are together, whatever a single reading says", () => {
    const call = new Call(40, 45);
    call.run(60, (second) => (second % 5 === 3 ? 200 : 0));
    expect(call.receiver.jitterBufferTarget).toBeNull();
  });

  test("stay together on a machine that was starved once", () => {
    const call = new Call(60, 250);
    call.run(60);
    expect(Math.abs(call.lateMs)).toBeLessThan(10);
  });

  test("are not held for ever by a picture that hardly comes", () => {
    const call = new Call(40, 900);
    call.run(60);
    expect(call.receiver.jitterBufferTarget).toBe(400);
  });

  test("that a picture comes too soon never holds it, nor sound below nothing", () => {
    const call = new Call(20, -30);
    call.run(60);
    expect(call.receiver.jitterBufferTarget).toBe(0);
  });

  test("begin anew with another receiver", () => {
    const [before, after] = [new Call(40, 80), new Call(40, 40)];
    before.run(4);
    const sound = { timestamp: 0, jitterBufferTargetDelay: 0, jitterBufferEmittedCount: 0 };
    for (let second = 0; second < 4; second += 1) before.lipSync.take(after.receiver, sound, 40);
    expect(after.receiver.jitterBufferTarget).toBeNull();
  });

  test("are the browser's business where it cannot be told", () => {
    const receiver = {} as RTCRtpReceiver;
    const lipSync = new LipSync();
    for (let second = 0; second < 20; second += 1) {
      const sound = {
        timestamp: 0,
        jitterBufferTargetDelay: second,
        jitterBufferEmittedCount: second,
      };
      lipSync.take(receiver, sound, 50);
    }
    expect(receiver).toEqual({});
  });
});
