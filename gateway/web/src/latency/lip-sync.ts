/**
 * Keeps sound and picture together more closely than browsers do.
 *
 * Chromium holds the sooner of the two back once it is 30 ms ahead, and stops as soon as it is less.
 * So a picture that takes longer than its sound, as on a slow machine, stays 30 ms late for the whole
 * call. Here the sound is held for as long as the picture is late. The picture is never held: who waits
 * for a face waits long enough.
 */

import { median } from "./frames";
import type { Inbound } from "./statistics";

const READINGS = 5;
/** Until sound that is held longer or shorter has become so: it is stretched, not cut. */
const SETTLING = 2;
/** A quarter of a frame: not seen, and readings vary by as much. */
const NEAR_MS = 10;
/**
 * The picture is held 250 ms at most (the gateway's `PLAYOUT_DELAY_MS`), and of what is asked for the
 * browser holds three quarters or more. Sound that is held longer makes interruptions late.
 */
const MOST_MS = 400;

type Holding = Pick<RTCRtpReceiver, "jitterBufferTarget">;

export class LipSync {
  #receiver: Holding | undefined;
  #late: number[] = [];
  #before: Inbound | undefined;

  /** One reading of the sound's statistics, and by how much the picture was late then. */
  take(receiver: Holding, sound: Inbound, lateMs: number): void {
    // Not every browser knows it; the others leave the two as they are.
    if (!("jitterBufferTarget" in receiver)) return;
    if (receiver !== this.#receiver) this.#begin(receiver, sound);
    this.#late.push(lateMs);
    if (this.#late.length < READINGS) return;
    const heldMs = meanHeldMs(this.#before, sound);
    const late = median(this.#late.slice(SETTLING));
    this.#begin(receiver, sound);
    if (heldMs === undefined || late === undefined || Math.abs(late) < NEAR_MS) return;
    // What was asked for is a bound: the browser lets the sound come somewhat sooner, or later.
    const askedMs = Math.max(receiver.jitterBufferTarget ?? 0, heldMs);
    receiver.jitterBufferTarget = Math.min(Math.max(askedMs + late, 0), MOST_MS);
  }

  #begin(receiver: Holding, sound: Inbound): void {
    this.#receiver = receiver;
    this.#before = sound;
    this.#late = [];
  }
}

/** For how long the sound between two readings was meant to be held. */
function meanHeldMs(before: Inbound | undefined, now: Inbound): number | undefined {
  const samples = (now.jitterBufferEmittedCount ?? 0) - (before?.jitterBufferEmittedCount ?? 0);
  const seconds = (now.jitterBufferTargetDelay ?? 0) - (before?.jitterBufferTargetDelay ?? 0);
  return samples > 0 ? (1000 * seconds) / samples : undefined;
}
