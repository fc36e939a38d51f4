/** Where the time goes: live calls, every stage over many turns, any recent turn as a waterfall. */

import { getLatency, getTurn, type Latency, listTurns, Refusal, type TurnRow } from "../api";
import { h, icon } from "../dom";
import { seconds } from "../latency/turn";
import { waterfall } from "../latency/waterfall";
import type { Page } from "../main";
import { liveTable, shownMoment, stageTable, turnTable } from "./tables";

const EVERY_MS = 3000;
const TURNS = 50;
const SPANS: [hours: string, label: string][] = [
  ["1", "Last hour"],
  ["24", "Last day"],
  ["168", "Last week"],
  ["720", "Last month"],
];

export class DashboardPage implements Page {
  readonly element: HTMLElement;
  readonly #hours = h("select", { "aria-label": "Time", name: "hours" });
  readonly #error = h("p", { class: "page-error", role: "alert" });
  readonly #figures = h("dl", { class: "figures", "data-testid": "figures" });
  readonly #counted = h("p", { class: "quiet", "data-testid": "counted" });
  readonly #live = h("div", { class: "panel-body", "data-testid": "live-calls" });
  readonly #stages = h("div", { class: "panel-body", "data-testid": "stages" });
  readonly #turns = h("div", { class: "panel-body panel-scroll", "data-testid": "turns" });
  readonly #chosen = h("div", { class: "panel-body", "aria-live": "polite" });
  readonly #timer: number;
  #chosenId: number | null = null;
  #turnsShown = "";

  constructor() {
    for (const [value, label] of SPANS) {
      this.#hours.append(h("option", { value, selected: value === "24" }, label));
    }
    this.#hours.addEventListener("change", () => void this.#load());
    this.#chosen.append(h("p", { class: "quiet" }, "Choose a turn to see where its time went."));
    this.element = h(
      "div",
      { class: "home dashboard" },
      h(
        "header",
        { class: "home-header" },
        h("img", { src: "/favicon.svg", alt: "", width: "32", height: "32" }),
        h("a", { class: "brand", href: "/" }, "X-Streamer"),
        h("span", { class: "spacer" }),
        this.#hours,
      ),
      h(
        "main",
        { class: "home-main" },
        h("h1", {}, "Latency"),
        this.#error,
        this.#figures,
        this.#counted,
        panel("Live calls", this.#live),
        h(
          "div",
          { class: "dashboard-pair" },
          panel("Recent turns", this.#turns),
          panel("Where its time went", this.#chosen),
        ),
        panel("Stages, median and 95th percentile", this.#stages),
      ),
    );
    void this.#load();
    this.#timer = window.setInterval(() => {
      if (!document.hidden) void this.#load();
    }, EVERY_MS);
  }

  leave(): void {
    window.clearInterval(this.#timer);
  }

  async #load(): Promise<void> {
    try {
      const [latency, turns] = await Promise.all([
        getLatency(Number(this.#hours.value)),
        listTurns(TURNS),
      ]);
      this.#error.textContent = "";
      this.#show(latency, turns);
      const newest = turns[0];
      if (this.#chosenId === null && newest) await this.#choose(newest.id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#error.replaceChildren(icon("warning"), `${error.message}. ${error.hint}`);
    }
  }

  #show(latency: Latency, turns: TurnRow[]): void {
    const [face, voice, ...stages] = latency.stages;
    const figure = (label: string, value: string) =>
      h("div", { class: "figure" }, h("dt", {}, label), h("dd", {}, value));
    this.#figures.replaceChildren(
      figure("Voice to face, median", seconds(face?.p50_ms ?? undefined)),
      figure("Voice to face, 95 %", seconds(face?.p95_ms ?? undefined)),
      figure("Voice to voice, median", seconds(voice?.p50_ms ?? undefined)),
      figure("Turns", String(latency.turns)),
      figure("Live calls", String(latency.live.length)),
    );
    const counted = countedNote(latency, new Date());
    this.#counted.textContent = counted;
    this.#counted.hidden = counted === "";
    this.#live.replaceChildren(liveTable(latency.live));
    this.#stages.replaceChildren(stageTable(stages));
    // Replaced only when something is new: a click or a focused row must not vanish.
    const key = `${this.#chosenId} ${turns.map(({ id }) => id).join(" ")}`;
    if (key === this.#turnsShown) return;
    this.#turnsShown = key;
    this.#turns.replaceChildren(turnTable(turns, this.#chosenId, (id) => void this.#choose(id)));
  }

  async #choose(id: number): Promise<void> {
    this.#chosenId = id;
    for (const button of this.#turns.querySelectorAll<HTMLButtonElement>("[data-turn]")) {
      button.setAttribute("aria-pressed", String(button.dataset.turn === String(id)));
    }
    this.#chosen.replaceChildren(waterfall(await getTurn(id), "the caller's"));
  }
}

/** Says so where not every turn of the time that was chosen is counted. */
export function countedNote({ turns, counted_since }: Latency, now: Date): string {
  if (counted_since === null) return "";
  const since = shownMoment(counted_since, now);
  return `Figures of the newest ${turns.toLocaleString("en")} turns, since ${since}.`;
}

function panel(title: string, body: HTMLElement): HTMLElement {
  return h("section", { class: "panel" }, h("h2", {}, title), body);
}
