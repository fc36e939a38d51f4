/** Problems on screen, each with what to do about it. */

import { h, icon } from "../dom";
import type { Problem } from "./problems";

export const ACTION_LABELS = {
  "retry-microphone": "Try again",
  "retry-camera": "Try again",
  rejoin: "Join again",
  home: "Start a new call",
} as const;

export class ProblemList {
  readonly element = h("div", { class: "problems", role: "alert", "data-testid": "problems" });
  #shown = new Map<string, { problem: Problem; item: HTMLElement }>();
  #act: (action: NonNullable<Problem["action"]>) => void;

  constructor(act: (action: NonNullable<Problem["action"]>) => void) {
    this.#act = act;
  }

  /** One that is shown already is not announced again. */
  set(id: string, problem: Problem | null): void {
    const shown = this.#shown.get(id);
    if (problem !== null && shown?.problem.hint === problem.hint) return;
    shown?.item.remove();
    this.#shown.delete(id);
    if (problem === null) return;
    const { action } = problem;
    const button =
      action &&
      h(
        "button",
        { class: "button button-small", type: "button", click: () => this.#act(action) },
        ACTION_LABELS[action],
      );
    const item = h(
      "div",
      { class: "problem", "data-problem": id },
      icon("warning"),
      h("div", { class: "problem-text" }, h("strong", {}, problem.title), h("p", {}, problem.hint)),
      button,
    );
    this.#shown.set(id, { problem, item });
    this.element.append(item);
  }

  clear(): void {
    this.#shown.clear();
    this.element.replaceChildren();
  }
}
