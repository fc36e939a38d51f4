/** What a stranger sees where keys are asked for: one field. The key becomes a cookie that no script reads. */

import { Refusal, signIn } from "./api";
import { h, icon } from "./dom";
import type { Page } from "./main";

export class KeyPage implements Page {
  readonly element: HTMLElement;
  readonly #key = h("input", {
    id: "key",
    type: "password",
    required: true,
    autocomplete: "off",
    "aria-describedby": "key-error",
    "data-testid": "key-input",
  });
  readonly #error = h("div", {
    class: "upload-error",
    id: "key-error",
    role: "alert",
    "data-testid": "key-error",
  });
  readonly #enter: () => void;

  constructor(enter: () => void, refused: Refusal | null = null) {
    this.#enter = enter;
    this.element = h(
      "main",
      { class: "key-page", "data-testid": "key-page" },
      h(
        "form",
        {
          class: "cover-card fields",
          submit: (event) => {
            event.preventDefault();
            void this.#submit();
          },
        },
        h("h1", {}, "X-Streamer"),
        h("p", {}, "This server asks for a key. Whoever runs it can give you one."),
        h("label", { for: "key" }, "Key"),
        this.#key,
        this.#error,
        h(
          "button",
          { class: "button button-primary", type: "submit", "data-testid": "key-submit" },
          "Open",
        ),
      ),
    );
    if (refused !== null) this.#refuse(refused);
  }

  leave(): void {}

  async #submit(): Promise<void> {
    try {
      await signIn(this.#key.value.trim());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refuse(error);
      return;
    }
    this.#enter();
  }

  #refuse(refusal: Refusal): void {
    const wrong = refusal.code === "key_needed";
    const title = wrong ? "This key opens nothing here" : refusal.message;
    const hint = wrong ? "It may have been revoked, or be from an earlier start." : refusal.hint;
    this.#key.setAttribute("aria-invalid", "true");
    this.#error.replaceChildren(
      icon("warning"),
      h("div", {}, h("strong", {}, title), h("p", {}, hint)),
    );
  }
}
