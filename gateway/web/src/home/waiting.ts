/** All places are taken: who waits, how long it takes, and asking again until one is free. */

import { AtCapacity, Refusal } from "../api";

export interface Waiting<Place> {
  /** Ask for a place, with the ticket of the answer before. */
  ask(ticket: string | null): Promise<Place>;
  /** Say where one stands. */
  show(standing: AtCapacity): void;
  pause(seconds: number): Promise<void>;
  /** Whether nobody has cancelled meanwhile. */
  wanted(): boolean;
  /** Give back a place that came too late. */
  release(place: Place): Promise<void>;
  /** Leave the line. */
  leave(ticket: string): void;
}

/** A minute of them at the usual pace: then it is no moment any more. */
const MAX_TROUBLES = 12;
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** The place, once there is one; null when it is no longer wanted. Throws other refusals. */
export async function placeInTurn<Place>(waiting: Waiting<Place>): Promise<Place | null> {
  let line: { standing: AtCapacity; ticket: string } | null = null;
  let troubles = 0;
  for (;;) {
    try {
      const place = await waiting.ask(line?.ticket ?? null);
      if (waiting.wanted()) return place;
      await waiting.release(place);
      return null;
    } catch (error) {
      if (error instanceof AtCapacity && error.ticket !== null) {
        line = { standing: error, ticket: error.ticket };
        troubles = 0;
      } else if (line === null || !isPassing(error) || ++troubles > MAX_TROUBLES) {
        if (line !== null) waiting.leave(line.ticket);
        throw error;
      }
    }
    if (waiting.wanted()) {
      waiting.show(line.standing);
      await waiting.pause(line.standing.askAgainS);
    }
    if (!waiting.wanted()) {
      waiting.leave(line.ticket);
      return null;
    }
  }
}

/** A network or a server that is away or busy for a moment costs nobody the place in the line. */
function isPassing(error: unknown): boolean {
  return error instanceof Refusal && (PASSING.has(error.status) || error.code === "unreachable");
}

/** "you are number 2, about 3 minutes" */
export function standingText(position: number, waitS: number): string {
  return `you are number ${position}, ${duration(waitS)}`;
}

function duration(seconds: number): string {
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  return minutes === 1 ? "about a minute" : `about ${minutes} minutes`;
}
