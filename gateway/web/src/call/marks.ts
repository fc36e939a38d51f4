/**
 * Moments of the call for measurements from outside: `window.__marks` holds performance.now() of
 * each, `window.__room` the LiveKit room. Nothing in the page reads them.
 */

import type { Room } from "livekit-client";

declare global {
  interface Window {
    __room?: Room;
    __marks?: Record<string, number>;
  }
}

export function mark(name: string): void {
  window.__marks ??= {};
  window.__marks[name] ??= performance.now();
}

export function resetMarks(): void {
  window.__marks = {};
}
