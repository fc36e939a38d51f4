/** How long the last answer took, in the header; opens into where the time went. */

import { h } from "../dom";
import { seconds, type TurnTrace, turnLatencyMs } from "../latency/turn";
import { waterfall } from "../latency/waterfall";

export class LatencyReadout {
  readonly element: HTMLDetailsElement;
  readonly #value = h("span", { class: "latency-value", "data-testid": "latency" }, "–");
  readonly #body = h("div", { class: "header-popover latency-body" });

  constructor() {
    this.element = h(
      "details",
      { class: "header-details latency", hidden: true },
      h(
        "summary",
        { title: "From your last sound to the answer on your screen" },
        h("span", { class: "header-details-label" }, "Last answer"),
        this.#value,
      ),
      this.#body,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.element.open) return;
      this.element.open = false;
      this.element.querySelector("summary")?.focus();
    });
  }

  show(turn: TurnTrace): void {
    const latencyMs = turnLatencyMs(turn);
    if (latencyMs === undefined) return;
    this.element.hidden = false;
    this.#value.textContent = seconds(latencyMs);
    this.#body.replaceChildren(waterfall(turn, "your"));
  }
}
