/** What the browser's statistics say about the avatar's sound and picture since the last report. */

import { median } from "./frames";

/** The fields of an inbound-rtp entry that are read; `estimatedPlayoutTimestamp` is not in the types. */
export interface Inbound {
  timestamp: number;
  estimatedPlayoutTimestamp?: number;
  freezeCount?: number;
  totalFreezesDuration?: number;
  totalSamplesReceived?: number;
  concealedSamples?: number;
  silentConcealedSamples?: number;
  /** Seconds for which each sample so far was meant to be held, added up; and how many samples. */
  jitterBufferTargetDelay?: number;
  jitterBufferEmittedCount?: number;
  packetsReceived?: number;
}

export interface Counted {
  freezes: number;
  frozen_ms: number;
  concealed_percent: number;
  /** How late the picture was against speech; null where none came. */
  av_offset_ms: number | null;
}

const NTP_TO_UNIX_MS = 2_208_988_800_000;
const KEPT_OFFSETS = 5;
/** A second, of sound: speech comes in 50, silence in 5. */
const SPEECH_PACKETS = 25;

export async function inbound(receiver: RTCRtpReceiver | undefined): Promise<Inbound | undefined> {
  const report = await receiver?.getStats();
  if (report === undefined) return undefined;
  const entries: { type: string }[] = [];
  report.forEach((entry: { type: string }) => {
    entries.push(entry);
  });
  return entries.find(({ type }) => type === "inbound-rtp") as Inbound | undefined;
}

/** How old is what plays at the reading; both streams of a sender have the same zero. */
function playedAgeMs(entry: Inbound): number | undefined {
  const played = entry.estimatedPlayoutTimestamp;
  return played ? entry.timestamp + NTP_TO_UNIX_MS - played : undefined;
}

/** Whether no speech came since the reading before: then there is nothing to be in step with. */
function isSilence(before: Inbound | undefined, now: Inbound): boolean {
  if (now.packetsReceived === undefined) return false;
  if (before === undefined) return true;
  const packets = now.packetsReceived - (before.packetsReceived ?? 0);
  return packets < (SPEECH_PACKETS * (now.timestamp - before.timestamp)) / 1000;
}

export class Statistics {
  #latest: number[] = [];
  #inSpeech: number[] = [];
  #before: { audio: Inbound; video: Inbound } | undefined;
  #now: { audio: Inbound; video: Inbound } | undefined;

  /** Returns how late the picture was against speech at this reading, where that is known. */
  add(audio: Inbound, video: Inbound): number | undefined {
    const silent = isSilence(this.#now?.audio, audio);
    this.#now = { audio, video };
    this.#before ??= this.#now;
    const [heard, seen] = [playedAgeMs(audio), playedAgeMs(video)];
    if (heard === undefined || seen === undefined) return undefined;
    const lateMs = seen - heard;
    this.#latest.push(lateMs);
    if (this.#latest.length > KEPT_OFFSETS) this.#latest.shift();
    if (silent) return undefined;
    this.#inSpeech.push(lateMs);
    return lateMs;
  }

  /** How late the picture is against what plays now, be it silence: what comes next plays there. */
  get offsetMs(): number | undefined {
    return median(this.#latest);
  }

  /** Everything counted since the last call. */
  counted(): Counted | undefined {
    const [before, now] = [this.#before, this.#now];
    this.#before = now;
    if (!before || !now || before === now) return undefined;
    const inSpeech = this.#inSpeech.splice(0);
    const since = (kind: "audio" | "video", field: keyof Inbound) =>
      Math.max(0, (now[kind][field] ?? 0) - (before[kind][field] ?? 0));
    const samples = since("audio", "totalSamplesReceived");
    // Made-up silence is heard as silence, which it should be.
    const madeUp = since("audio", "concealedSamples") - since("audio", "silentConcealedSamples");
    return {
      freezes: since("video", "freezeCount"),
      frozen_ms: 1000 * since("video", "totalFreezesDuration"),
      concealed_percent: samples ? Math.min(100, Math.max(0, (100 * madeUp) / samples)) : 0,
      av_offset_ms: median(inSpeech) ?? null,
    };
  }
}
