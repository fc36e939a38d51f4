/** What the agent tells this page in data messages: JSON, topic by topic (docs/protocol.md). */

import { ParticipantKind, type RemoteParticipant, type Room, RoomEvent } from "livekit-client";

// biome-ignore lint/suspicious/noExplicitAny: each topic has a form of its own
type Take = (topic: string, message: any) => void;

/** Hands over what comes from an agent on one of these topics; returns what ends that. */
export function onAgentData(room: Room, topics: readonly string[], take: Take): () => void {
  const onData = (
    payload: Uint8Array,
    sender?: RemoteParticipant,
    _kind?: unknown,
    topic?: string,
  ): void => {
    if (sender?.kind !== ParticipantKind.AGENT || topic === undefined) return;
    if (topics.includes(topic)) take(topic, JSON.parse(new TextDecoder().decode(payload)));
  };
  room.on(RoomEvent.DataReceived, onData);
  return () => room.off(RoomEvent.DataReceived, onData);
}
