import { RoomEvent } from "livekit-client";
import { expect, test, vi } from "vitest";
import { type CallListener, CallSession, type Phase } from "../src/call/session";

test("both kinds of reconnection are shown until they are over", () => {
  vi.stubGlobal("window", globalThis);
  const phases: Phase[] = [];
  const listener = { onPhase: (phase: Phase) => phases.push(phase) };
  const { room } = new CallSession(listener as unknown as CallListener);
  room.emit(RoomEvent.SignalReconnecting);
  room.emit(RoomEvent.Reconnected);
  room.emit(RoomEvent.Reconnecting);
  room.emit(RoomEvent.Reconnected);
  expect(phases).toEqual(["reconnecting", "waiting", "reconnecting", "waiting"]);
  vi.unstubAllGlobals();
});
