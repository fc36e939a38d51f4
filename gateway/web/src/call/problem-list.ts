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
  #shown = new Map<string, HTMLElement>();
  #act: (action: NonNullable<Problem["action"]>) => void;

  constructor(act: (action: NonNullable<Problem["action"]>) => void) {
    this.#act = act;
  }

  set(id: string, problem: Problem | null): void {
    this.#shown.get(id)?.remove();
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
    this.#shown.set(id, item);
    this.element.append(item);
  }

  clear(): void {
    this.#shown.clear();
    this.element.replaceChildren();
  }
}
