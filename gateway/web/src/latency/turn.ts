/** A turn as the agent reports it to the page, and as REST gives it. */

export interface StageBar {
  name: string;
  label: string;
  process: string;
  start_ms: number;
  end_ms: number;
}

export interface BargeIn {
  /** The agent heard a voice and fell silent; null in turns from before it was noted. */
  detected_ms: number | null;
  /** It was sure and cut the answer. */
  noticed_ms: number;
  silence_ms: number | null;
  still_ms: number | null;
}

export interface TurnTrace {
  turn: number;
  typed: boolean;
  outcome: string;
  points: Record<string, number>;
  stages: StageBar[];
  late_ms: number;
  clock_error_ms: number | null;
  barge_in: BargeIn | null;
}

/** The shown way of a turn: to the face where the page saw it, else as far as it is known. */
export function turnLatencyMs(turn: TurnTrace): number | undefined {
  return turn.points.face_rendered ?? turn.points.voice_rendered ?? turn.points.frame_captured;
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return `${Math.round(value).toLocaleString("en")} ms`;
}

export function seconds(value: number | undefined): string {
  return value === undefined ? "–" : `${(value / 1000).toFixed(2)} s`;
}
