import {
  LocalParticipant,
  type LocalTrack,
  ParticipantKind,
  type RemoteParticipant,
  RoomEvent,
} from "livekit-client";
import { expect, test, vi } from "vitest";
import { type AgentFacts, type CallListener, CallSession, type Phase } from "../src/call/session";

test("both kinds of reconnection are shown until they are over", () => {
  vi.stubGlobal("window", globalThis);
  const phases: (Phase | string)[] = [];
  const listener = {
    onPhase: (phase: Phase) => phases.push(phase),
    onAgent: (facts: AgentFacts) => phases.push(facts.state),
    onProblem: () => undefined,
  };
  const { room } = new CallSession(listener as unknown as CallListener);
  room.emit(RoomEvent.SignalReconnecting);
  room.emit(RoomEvent.Reconnected);
  room.emit(RoomEvent.Reconnecting);
  room.emit(RoomEvent.Reconnected);
  expect(phases).toEqual(["reconnecting", "waiting", "reconnecting", "waiting"]);
  phases.length = 0;
  const attributes = { "lk.agent.state": "listening" };
  const agent = { kind: ParticipantKind.AGENT, attributes } as unknown as RemoteParticipant;
  room.remoteParticipants.set("avatar", agent);
  room.emit(RoomEvent.SignalReconnecting);
  room.emit(RoomEvent.Reconnected);
  expect(phases).toEqual(["reconnecting", "live", "listening"]);
  vi.unstubAllGlobals();
});

test("a microphone that is allowed after the call has ended is closed at once", async () => {
  vi.stubGlobal("window", globalThis);
  const listener = { onEnded: () => undefined, onPhase: () => undefined };
  const stopped: string[] = [];
  const late = { stop: () => stopped.push("microphone") };
  const spy = vi
    .spyOn(LocalParticipant.prototype, "createTracks")
    .mockResolvedValue([late] as unknown as LocalTrack[]);
  const session = new CallSession(listener as unknown as CallListener);
  const { localParticipant } = session.room;
  expect(await localParticipant.createTracks({ audio: true })).toHaveLength(1);
  await session.leave();
  await expect(localParticipant.createTracks({ audio: true })).rejects.toThrow("ended");
  expect(stopped).toEqual(["microphone"]);
  spy.mockRestore();
  vi.unstubAllGlobals();
});
