/** Shows somebody who waits for a place where they stand, until it is their turn or they cancel. */

import { type AtCapacity, stopWaiting } from "../api";
import { h } from "../dom";
import { standingText } from "./waiting";

export class WaitingDialog {
  readonly element: HTMLDialogElement;
  readonly #standing = h("p", {
    class: "waiting-text",
    role: "status",
    "data-testid": "waiting-text",
  });
  #ticket: string | null = null;
  #wanted = true;
  #wake: (() => void) | null = null;

  constructor() {
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
    this.element.addEventListener("close", () => this.#giveUp());
  }

  show(standing: AtCapacity): void {
    this.#ticket = standing.ticket;
    const text = standingText(standing.position, standing.waitS);
    // a screen reader says it again whenever it is set
    const sentence = `${text[0]?.toUpperCase()}${text.slice(1)}.`;
    if (this.#standing.textContent !== sentence) this.#standing.textContent = sentence;
    if (!this.element.open) this.element.showModal();
  }

  /** Or until it was closed. */
  async pause(seconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      window.setTimeout(resolve, seconds * 1000);
    });
    this.#wake = null;
  }

  /** Whether nobody closed it since `begin`. */
  wanted(): boolean {
    return this.#wanted;
  }

  begin(): void {
    this.#wanted = true;
  }

  /** The wait is over; nothing is given up. */
  done(): void {
    this.#ticket = null;
    this.element.close();
  }

  #giveUp(): void {
    if (this.#ticket === null) return;
    void stopWaiting(this.#ticket).catch(() => undefined); // else it expires
    this.#ticket = null;
    this.#wanted = false;
    this.#wake?.();
  }
}
