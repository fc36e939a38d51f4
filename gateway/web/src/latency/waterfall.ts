/** Where the time of one turn went: a row for each stage, its bar where it lies in time. */

import { h } from "../dom";
import { type BargeIn, milliseconds, type TurnTrace, turnLatencyMs } from "./turn";

const PROCESSES: Record<string, string> = {
  network: "Network",
  agent: "Agent",
  thinker: "Thinker",
  actor: "Actor",
  browser: "Browser",
};

export function waterfall(turn: TurnTrace, whose: "your" | "the caller's"): HTMLElement {
  const wholeMs = Math.max(1, ...turn.stages.map((stage) => stage.end_ms));
  const rows = turn.stages.map((stage) => {
    const lengthMs = stage.end_ms - stage.start_ms;
    const bar = h("i", { class: "waterfall-bar", "data-process": stage.process });
    bar.style.left = `${(100 * stage.start_ms) / wholeMs}%`;
    bar.style.width = `${(100 * lengthMs) / wholeMs}%`;
    return h(
      "tr",
      { "data-stage": stage.name },
      h("th", { scope: "row" }, stage.label),
      h("td", { class: "waterfall-process" }, PROCESSES[stage.process] ?? stage.process),
      h("td", { class: "waterfall-lane", "aria-hidden": "true" }, bar),
      h("td", { class: "waterfall-ms" }, milliseconds(lengthMs)),
    );
  });
  return h(
    "div",
    { class: "waterfall", "data-testid": "waterfall" },
    h(
      "table",
      {},
      h("caption", {}, headline(turn, whose)),
      h(
        "thead",
        { class: "visually-hidden" },
        h(
          "tr",
          {},
          ...["Stage", "Where", "When", "How long"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h("tbody", {}, ...rows),
    ),
    h("p", { class: "waterfall-note" }, note(turn)),
  );
}

function headline(turn: TurnTrace, whose: string): string {
  const face = turn.points.face_rendered;
  const voice = turn.points.voice_rendered;
  const total = turnLatencyMs(turn);
  if (total === undefined) return "No answer was shown.";
  if (face === undefined && voice === undefined) {
    return `${milliseconds(total)} from ${whose} last sound until the answer left the server.`;
  }
  const from = turn.typed ? `${whose} message` : `${whose} last sound`;
  const ways = [];
  if (face !== undefined) ways.push(`${milliseconds(face)} to the face`);
  if (voice !== undefined) ways.push(`${milliseconds(voice)} to the voice`);
  return `From ${from}: ${ways.join(", ")}.`;
}

function note(turn: TurnTrace): string {
  const parts = ["Stages overlap where work is done ahead."];
  if (turn.clock_error_ms !== null) {
    parts.push(`The browser's moments may be off by ${turn.clock_error_ms.toFixed(1)} ms.`);
  }
  if (turn.late_ms > 0) parts.push(`${milliseconds(turn.late_ms)} of silence inside the answer.`);
  if (turn.barge_in !== null) parts.push(spokenInto(turn.barge_in));
  return parts.join(" ");
}

export function spokenInto(cut: BargeIn): string {
  return (
    `Spoken into: detected after ${milliseconds(cut.detected_ms)}, silent after ` +
    `${milliseconds(cut.silence_ms)}, still after ${milliseconds(cut.still_ms)}, ` +
    `sure after ${milliseconds(cut.noticed_ms)}.`
  );
}
