/**
 * What the caller says before the avatar hears it is recorded and sent afterwards. LiveKit stops
 * recording when the avatar takes the track, a fifth of a second before any of it arrives there;
 * recording on a little leaves no gap, and the agent (services/room_agent/splice.py) finds what it
 * then has twice.
 */

import type { LocalTrack } from "livekit-client";

const RECORD_ON_MS = 600;

interface Recorder {
  stopPreConnectBuffer(): void;
}

function records(track: unknown): track is Recorder {
  return typeof (track as Partial<Recorder>).stopPreConnectBuffer === "function";
}

/** Lets a microphone's recording last a little longer than LiveKit would. */
export function recordOn(track: LocalTrack): void {
  const recorder: unknown = track;
  if (!records(recorder)) return;
  const stop = recorder.stopPreConnectBuffer.bind(recorder);
  recorder.stopPreConnectBuffer = () => {
    setTimeout(stop, RECORD_ON_MS);
  };
}
