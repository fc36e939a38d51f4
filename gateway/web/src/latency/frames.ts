/**
 * The frames that were shown lately, and when each left the agent.
 *
 * A frame carries the RTP timestamp of its capture: differences of those are exact, only their
 * zero is unknown here. The frame that came quickest fixes it: it was under way for the shortest
 * way there is, half of the clock's shortest round trip.
 */

export interface ShownFrame {
  /** 90 kHz, wraps around at 2^32. */
  rtp: number;
  receivedMs: number;
  displayedMs: number;
  presented: number;
}

interface KeptFrame {
  mediaMs: number;
  receivedMs: number;
  displayedMs: number;
  presented: number;
}

const KEPT = 256;
const FRAME_MS = 40;
const RTP_PER_MS = 90;
/** A jump of the stream's clock, as after a reconnection: what came before cannot be compared. */
const JUMP_MS = 10_000;

export class FrameHistory {
  #frames: KeptFrame[] = [];
  #lastRtp: number | undefined;
  #mediaMs = 0;

  add(frame: ShownFrame): void {
    const stepMs = this.#lastRtp === undefined ? 0 : ((frame.rtp - this.#lastRtp) | 0) / RTP_PER_MS;
    if (Math.abs(stepMs) > JUMP_MS) this.#frames = [];
    this.#lastRtp = frame.rtp;
    this.#mediaMs += stepMs;
    const { receivedMs, displayedMs, presented } = frame;
    this.#frames.push({ mediaMs: this.#mediaMs, receivedMs, displayedMs, presented });
    if (this.#frames.length > KEPT) this.#frames.shift();
  }

  /** When the first frame was displayed that left the agent at this moment or later. */
  displayedOf(leftMs: number, shortestWayMs: number): number | undefined {
    const zero = this.#zeroMs(shortestWayMs);
    const at = this.#frames.findIndex(({ mediaMs }) => mediaMs + zero >= leftMs - FRAME_MS / 2);
    const [before, found] = [this.#frames[at - 1], this.#frames[at]];
    if (found === undefined || before === undefined) return found?.displayedMs;
    // A busy page is not told of every frame. Frames that were shown without its knowing were as
    // old as the one that it got to see.
    const untold = found.presented - before.presented - 1;
    const missed = Math.round((found.mediaMs - before.mediaMs) / FRAME_MS) - 1;
    if (untold < 1 || untold < missed / 2) return found.displayedMs;
    const earlierMs = Math.max(0, found.mediaMs + zero - leftMs);
    return Math.max(before.displayedMs, found.displayedMs - earlierMs);
  }

  /** How old frames were when they were displayed: the median over the last second. */
  ageMs(shortestWayMs: number): number | undefined {
    const zero = this.#zeroMs(shortestWayMs);
    return median(this.#frames.slice(-25).map((f) => f.displayedMs - f.mediaMs - zero));
  }

  /** Frames per second between two moments, those included that the page did not get to see. */
  rate(fromMs: number, toMs: number): number | undefined {
    const inside = this.#frames.filter((f) => f.displayedMs >= fromMs && f.displayedMs <= toMs);
    const [first, last] = [inside[0], inside.at(-1)];
    if (!first || !last || last.displayedMs <= first.displayedMs) return undefined;
    return (1000 * (last.presented - first.presented)) / (last.displayedMs - first.displayedMs);
  }

  #zeroMs(shortestWayMs: number): number {
    const quickest = Math.min(...this.#frames.map((f) => f.receivedMs - f.mediaMs));
    return quickest - shortestWayMs;
  }
}

export function median(values: number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
