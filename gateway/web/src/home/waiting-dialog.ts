/** Shows somebody who waits for a place where they stand, until it is their turn or they cancel. */

import type { AtCapacity } from "../api";
import { h } from "../dom";
import { standingText } from "./waiting";

export class WaitingDialog {
  readonly element: HTMLDialogElement;
  readonly #standing = h("p", {
    class: "waiting-text",
    role: "status",
    "data-testid": "waiting-text",
  });

  /** `closed`: by the person, or because the wait is over. */
  constructor(closed: () => void) {
    const cancel = h(
      "button",
      {
        class: "button",
        type: "button",
        "data-testid": "waiting-cancel",
        click: () => this.element.close(),
      },
      "Cancel",
    );
    this.element = h(
      "dialog",
      { class: "dialog dialog-small", "aria-labelledby": "waiting-title" },
      h(
        "div",
        { class: "dialog-form" },
        h("h2", { id: "waiting-title" }, "All places are taken"),
        this.#standing,
        h("p", { class: "hint" }, "The call begins by itself when it is your turn."),
        h("div", { class: "row row-end" }, cancel),
      ),
    );
    this.element.addEventListener("close", closed);
  }

  show(standing: AtCapacity): void {
    const text = standingText(standing.position, standing.waitS);
    // a screen reader says it again whenever it is set
    const sentence = `${text[0]?.toUpperCase()}${text.slice(1)}.`;
    if (this.#standing.textContent !== sentence) this.#standing.textContent = sentence;
    if (!this.element.open) this.element.showModal();
  }
}
