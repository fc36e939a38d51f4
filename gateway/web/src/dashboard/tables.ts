/** The dashboard's tables. */

import type { LiveCall, StageFigures, TurnRow } from "../api";
import { h } from "../dom";
import { milliseconds } from "../latency/turn";

export function liveTable(calls: LiveCall[]): HTMLElement {
  if (calls.length === 0) return h("p", { class: "quiet" }, "Nobody is calling.");
  const rows = calls.map(({ call, avatar, phase, started_at, quality, voice_to_face_ms }) => [
    `${avatar} · ${call}`,
    phase ?? "not heard",
    started_at === null ? "–" : since(started_at),
    milliseconds(voice_to_face_ms),
    quality === null ? "–" : quality.fps.toFixed(1),
    quality === null ? "–" : String(quality.freezes),
    milliseconds(quality?.av_offset_ms),
  ]);
  return table(["Call", "State", "For", "Last answer", "fps", "Freezes", "A/V offset"], rows);
}

export function stageTable(stages: StageFigures[]): HTMLElement {
  const longest = Math.max(1, ...stages.map(({ p95_ms }) => p95_ms ?? 0));
  const rows = stages.map((stage) => {
    const median = h("i", { class: "stage-median", "data-process": stage.process });
    const rare = h("i", { class: "stage-rare", "data-process": stage.process });
    median.style.width = `${(100 * (stage.p50_ms ?? 0)) / longest}%`;
    rare.style.width = `${(100 * (stage.p95_ms ?? 0)) / longest}%`;
    return h(
      "tr",
      { "data-stage": stage.name },
      h("th", { scope: "row" }, stage.label),
      h("td", { class: "stage-lane", "aria-hidden": "true" }, rare, median),
      h("td", {}, milliseconds(stage.p50_ms)),
      h("td", {}, milliseconds(stage.p95_ms)),
      h("td", {}, String(stage.turns)),
    );
  });
  const columns = head(["Stage", "", "p50", "p95", "Turns"]);
  return h("table", { class: "stage-table" }, columns, h("tbody", {}, ...rows));
}

export function turnTable(
  turns: TurnRow[],
  chosen: number | null,
  choose: (id: number) => void,
): HTMLElement {
  if (turns.length === 0) return h("p", { class: "quiet" }, "No turn was taken yet.");
  const rows = turns.map((turn) => {
    const button = h(
      "button",
      {
        class: "turn-button",
        type: "button",
        "data-turn": String(turn.id),
        "aria-pressed": String(turn.id === chosen),
        click: () => choose(turn.id),
      },
      shownMoment(turn.voice_end_at, new Date()),
    );
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, button),
      h("td", {}, `${turn.avatar} · ${turn.call.slice(0, 4)}`),
      h("td", {}, turn.typed ? `${turn.outcome}, typed` : turn.outcome),
      h("td", {}, milliseconds(turn.voice_to_face_ms)),
    );
  });
  return h("table", {}, head(["Time", "Call", "Outcome", "To face"]), h("tbody", {}, ...rows));
}

/** The time, and the date where it is another day's. */
export function shownMoment(moment: string, now: Date): string {
  const at = new Date(moment);
  const time = at.toLocaleTimeString();
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.toLocaleDateString(undefined, { dateStyle: "medium" })}, ${time}`;
}

function table(columns: string[], rows: string[][]): HTMLElement {
  const body = rows.map(([first = "", ...cells]) =>
    h("tr", {}, h("th", { scope: "row" }, first), ...cells.map((cell) => h("td", {}, cell))),
  );
  return h("table", {}, head(columns), h("tbody", {}, ...body));
}

function head(columns: string[]): HTMLElement {
  return h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name))));
}

function since(moment: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
