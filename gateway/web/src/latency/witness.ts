/**
 * Tells the agent what this page heard and saw, on the agent's clock (services/room_agent/witness.py
 * is the other end), and lets `LipSync` have its readings, which alone touches how they are played.
 */

import { type Room, Track } from "livekit-client";
import { onAgentData } from "../agent-data";
import { AgentClock } from "./clock";
import { FrameHistory } from "./frames";
import { LipSync } from "./lip-sync";
import { inbound, Statistics } from "./statistics";
import type { TurnTrace } from "./turn";

const CLOCK = "xs.clock";
const WHEN = "xs.when";
const THEN = "xs.then";
const QUALITY = "xs.quality";
const TURN = "xs.turn";

const FIRST_ASKS = 4;
const FIRST_ASKS_EVERY_MS = 250;
const STATISTICS_EVERY_MS = 1000;
const REPORT_EVERY_MS = 5000;
const LOOK_EVERY_MS = 100;
/** What left the agent is on the screen within this time, or its frame was lost. The record of a
 *  turn that was cut waits for the answer, that of one that has begun does not yet. */
const LOOK_FOR_MS = { began: 2000, cut: 600 };

interface When {
  turn: number;
  epoch: number;
  moment: "began" | "cut";
  left_us: number;
}

export class Witness {
  readonly #room: Room;
  readonly #onTurn: (turn: TurnTrace) => void;
  readonly #clock = new AgentClock();
  readonly #lipSync = new LipSync();
  readonly #timers: number[] = [];
  readonly #stopListening: () => void;
  #frames = new FrameHistory();
  #statistics = new Statistics();
  #video: HTMLVideoElement | null = null;
  #reportedMs = performance.now();
  #asked = 0;
  #stopped = false;

  constructor(room: Room, onTurn: (turn: TurnTrace) => void) {
    this.#room = room;
    this.#onTurn = onTurn;
    this.#stopListening = onAgentData(room, [CLOCK, WHEN, TURN], this.#onData);
  }

  /** Watch the element that shows the avatar; from now on the agent is told. */
  watch(video: HTMLVideoElement): void {
    this.#frames = new FrameHistory();
    this.#statistics = new Statistics();
    if (this.#video !== null) return;
    this.#video = video;
    this.#watchNextFrame(video);
    this.#timers.push(
      window.setInterval(() => this.#askFirst(), FIRST_ASKS_EVERY_MS),
      window.setInterval(() => void this.#readStatistics(), STATISTICS_EVERY_MS),
      window.setInterval(() => this.#report(), REPORT_EVERY_MS),
    );
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) window.clearInterval(timer);
    this.#stopListening();
  }

  #watchNextFrame(video: HTMLVideoElement): void {
    video.requestVideoFrameCallback((_now, frame) => {
      if (this.#stopped) return;
      const { rtpTimestamp: rtp, receiveTime: receivedMs } = frame;
      if (rtp !== undefined && receivedMs !== undefined) {
        const displayedMs = frame.expectedDisplayTime;
        this.#frames.add({ rtp, receivedMs, displayedMs, presented: frame.presentedFrames });
      }
      this.#watchNextFrame(video);
    });
  }

  // --- the clock -------------------------------------------------------------------------------

  #askFirst(): void {
    if (this.#asked < FIRST_ASKS) this.#askClock();
  }

  #askClock(): void {
    this.#asked += 1;
    const question: Record<string, number> = { sent_ms: performance.now() };
    if (this.#clock.roundTripMs !== undefined) question.round_trip_ms = this.#clock.roundTripMs;
    this.#tell(CLOCK, question);
  }

  // biome-ignore lint/suspicious/noExplicitAny: each topic has a form of its own
  readonly #onData = (topic: string, message: any): void => {
    const backMs = performance.now();
    if (topic === CLOCK) {
      this.#clock.take({
        sentMs: message.sent_ms,
        backMs,
        receivedUs: message.received_us,
        answeredUs: message.answered_us,
      });
    } else if (topic === WHEN) {
      const when = message as When;
      this.#answer(when, backMs + LOOK_FOR_MS[when.moment]);
    } else {
      this.#onTurn(message as TurnTrace);
    }
  };

  // --- what was seen and heard -----------------------------------------------------------------

  #answer(when: When, untilMs: number): void {
    const leftMs = this.#clock.toPageMs(when.left_us);
    const roundTripMs = this.#clock.roundTripMs;
    if (this.#stopped || leftMs === undefined || roundTripMs === undefined) return;
    const displayedMs = this.#frames.displayedOf(leftMs, roundTripMs / 2);
    if (displayedMs === undefined && performance.now() < untilMs) {
      window.setTimeout(() => this.#answer(when, untilMs), LOOK_EVERY_MS);
      return;
    }
    const soundAgeMs = this.#soundAgeMs(roundTripMs / 2);
    this.#tell(THEN, {
      turn: when.turn,
      epoch: when.epoch,
      moment: when.moment,
      seen_us: displayedMs === undefined ? null : (this.#clock.toAgentUs(displayedMs) ?? null),
      heard_us: soundAgeMs === undefined ? null : when.left_us + soundAgeMs * 1000,
      error_us: (roundTripMs / 2) * 1000,
    });
  }

  /** How old sound is when it is heard: as old as the picture, less what that is late. */
  #soundAgeMs(shortestWayMs: number): number | undefined {
    const [pictureMs, lateMs] = [this.#frames.ageMs(shortestWayMs), this.#statistics.offsetMs];
    return pictureMs === undefined || lateMs === undefined
      ? undefined
      : Math.max(0, pictureMs - lateMs);
  }

  async #readStatistics(): Promise<void> {
    const sound = this.#receiver(Track.Kind.Audio);
    const [audio, video] = await Promise.all([
      inbound(sound),
      inbound(this.#receiver(Track.Kind.Video)),
    ]);
    if (!sound || !audio || !video) return;
    const lateMs = this.#statistics.add(audio, video);
    if (lateMs !== undefined) this.#lipSync.take(sound, audio, lateMs);
  }

  #receiver(kind: Track.Kind): RTCRtpReceiver | undefined {
    for (const participant of this.#room.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) {
        if (publication.track?.kind === kind) return publication.track.receiver;
      }
    }
    return undefined;
  }

  #report(): void {
    this.#askClock();
    const nowMs = performance.now();
    const fromMs = this.#reportedMs;
    this.#reportedMs = nowMs;
    // A page in the background shows no frames, and nobody watches.
    const fps = document.hidden ? undefined : this.#frames.rate(fromMs, nowMs);
    const counted = this.#statistics.counted();
    if (fps === undefined || counted === undefined) return;
    this.#tell(QUALITY, {
      seconds: (nowMs - fromMs) / 1000,
      fps,
      ...counted,
      round_trip_ms: this.#clock.roundTripMs ?? null,
    });
  }

  #tell(topic: string, message: object): void {
    const payload = new TextEncoder().encode(JSON.stringify(message));
    // What does not arrive is missing in a figure, nothing else.
    this.#room.localParticipant.publishData(payload, { reliable: true, topic }).catch(() => {});
  }
}
