/** Makes an avatar from a portrait: choose or drop a picture, name it, save or call at once. */

import { createAvatar, deleteAvatar, Refusal, type Voice } from "../api";
import { h, icon } from "../dom";
import { voiceOptions } from "./voice-options";

const ACCEPT = "image/jpeg,image/png,image/webp";
/** The server has the last word; this spares people from sending what it must refuse. */
const MAX_BYTES = 12 * 1024 * 1024;

/** The server records which wording was confirmed: `gateway/consent.py` has the same words. */
const CONSENT = "I am this person, or they agreed that their portrait is used here.";

export interface UploadActions {
  added(): Promise<void>;
  call(avatarId: string): Promise<void>;
}

export class UploadDialog {
  readonly element: HTMLDialogElement;
  readonly #actions: UploadActions;
  readonly #file = h("input", {
    class: "visually-hidden",
    id: "portrait-file",
    type: "file",
    accept: ACCEPT,
    "aria-describedby": "upload-error upload-hint",
    "data-testid": "upload-input",
  });
  readonly #preview = h("img", { class: "drop-preview", alt: "Your portrait", hidden: true });
  readonly #drop = h("label", { class: "drop", for: "portrait-file" });
  readonly #name = h("input", {
    id: "avatar-name",
    name: "name",
    required: true,
    maxlength: "80",
    autocomplete: "off",
    "data-testid": "upload-name",
  });
  readonly #persona = h("textarea", {
    id: "avatar-persona",
    rows: "3",
    maxlength: "2000",
    placeholder: "A patient gardener who loves dry jokes",
    "data-testid": "upload-persona",
  });
  readonly #voice = h("select", { id: "avatar-voice", "data-testid": "upload-voice" });
  readonly #consent = h("input", {
    type: "checkbox",
    required: true,
    "data-testid": "upload-consent",
  });
  readonly #error = h("div", {
    class: "upload-error",
    id: "upload-error",
    role: "alert",
    "data-testid": "upload-error",
  });
  readonly #progress = h("p", { class: "upload-progress", role: "status" });
  readonly #buttons: HTMLButtonElement[];
  #portrait: File | null = null;
  /** The picture that is looked at now; closing the dialog gives it up. */
  #attempt: AbortController | null = null;

  constructor(actions: UploadActions) {
    this.#actions = actions;
    const save = this.#button("Save", "save", "button");
    const call = this.#button("Call now", "submit", "button button-primary");
    this.#buttons = [save, call];
    this.element = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "upload-title" },
      h(
        "form",
        { class: "dialog-form", submit: (event) => void this.#submit(event as SubmitEvent) },
        this.#titleBar(),
        h("div", { class: "dialog-columns" }, this.#dropArea(), this.#fields()),
        h("label", { class: "consent" }, this.#consent, h("span", {}, CONSENT)),
        this.#error,
        h("div", { class: "row row-end" }, this.#progress, save, call),
      ),
    );
    this.#file.addEventListener("change", () => this.#choose(this.#file.files?.[0] ?? null));
    this.#listenToDrops();
    this.element.addEventListener("close", () => this.#giveUp());
  }

  setVoices(voices: Voice[]): void {
    const chosen = this.#voice.value;
    this.#voice.replaceChildren(...voiceOptions(voices));
    if (chosen) this.#voice.value = chosen;
  }

  open(): void {
    this.#refuse(null);
    this.element.showModal();
  }

  #button(label: string, purpose: string, kind: string): HTMLButtonElement {
    return h(
      "button",
      { class: kind, type: "submit", value: purpose, "data-testid": `upload-${purpose}` },
      label,
    );
  }

  #titleBar(): HTMLElement {
    const close = () => this.element.close();
    return h(
      "header",
      { class: "dialog-title" },
      h("h2", { id: "upload-title" }, "Use your own portrait"),
      h(
        "button",
        { class: "icon-button", type: "button", "aria-label": "Close", click: close },
        icon("close"),
      ),
    );
  }

  #dropArea(): HTMLElement {
    this.#drop.append(
      this.#preview,
      h(
        "span",
        { class: "drop-text" },
        icon("upload"),
        h("strong", {}, "Choose a picture"),
        h("span", {}, "or drop it here"),
      ),
    );
    return h(
      "div",
      { class: "drop-column" },
      this.#file,
      this.#drop,
      h(
        "p",
        { class: "hint", id: "upload-hint" },
        "JPEG, PNG or WebP up to 12 MB, one face from the front.",
      ),
    );
  }

  #fields(): HTMLElement {
    return h(
      "div",
      { class: "fields" },
      h("label", { for: "avatar-name" }, "Name"),
      this.#name,
      h("label", { for: "avatar-persona" }, "Who are they? ", h("small", {}, "optional")),
      this.#persona,
      h("label", { for: "avatar-voice" }, "Voice"),
      this.#voice,
    );
  }

  #listenToDrops(): void {
    const over = (inside: boolean) => (event: DragEvent) => {
      event.preventDefault();
      this.#drop.dataset.over = String(inside);
    };
    this.#drop.addEventListener("dragover", over(true));
    this.#drop.addEventListener("dragleave", over(false));
    this.#drop.addEventListener("drop", (event) => {
      over(false)(event);
      this.#choose(event.dataTransfer?.files[0] ?? null);
    });
  }

  #choose(file: File | null): void {
    if (file === null) return;
    this.#portrait = file;
    URL.revokeObjectURL(this.#preview.src);
    this.#preview.src = URL.createObjectURL(file);
    this.#preview.hidden = false;
    this.#consent.checked = false; // it was given for another picture
    this.#preview.onerror = () => {
      this.#preview.hidden = true;
    };
    this.#refuse(null);
  }

  #refuse(refusal: Refusal | null): void {
    this.#error.replaceChildren();
    this.#drop.dataset.refused = String(refusal !== null);
    this.#file.setAttribute("aria-invalid", String(refusal !== null));
    if (refusal === null) return;
    this.#error.dataset.code = refusal.code;
    this.#error.append(
      icon("warning"),
      h("div", {}, h("strong", {}, refusal.message), h("p", {}, refusal.hint)),
    );
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const purpose = (event.submitter as HTMLButtonElement | null)?.value ?? "submit";
    const problem = portraitProblem(this.#portrait);
    if (problem !== null || this.#portrait === null) {
      this.#refuse(problem);
      return;
    }
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    this.#setBusy(true);
    try {
      const avatar = await createAvatar({
        portrait: this.#portrait,
        name: this.#name.value,
        persona: this.#persona.value,
        voice: this.#voice.value,
        consent: this.#consent.checked,
      });
      if (signal.aborted) {
        await deleteAvatar(avatar.id); // it was made all the same, and is not wanted
        return;
      }
      this.#attempt = null;
      this.#setBusy(false);
      this.#clear();
      this.element.close();
      await (purpose === "save" ? this.#actions.added() : this.#actions.call(avatar.id));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (signal.aborted) return;
      this.#setBusy(false);
      this.#refuse(error);
    }
  }

  #giveUp(): void {
    this.#attempt?.abort();
    this.#attempt = null;
    this.#setBusy(false);
  }

  #setBusy(busy: boolean): void {
    this.element.setAttribute("aria-busy", String(busy));
    for (const button of this.#buttons) button.disabled = busy;
    this.#progress.textContent = busy ? "Looking at the picture…" : "";
  }

  #clear(): void {
    this.#portrait = null;
    this.#preview.hidden = true;
    this.#file.value = "";
    this.#name.value = "";
    this.#persona.value = "";
    this.#consent.checked = false;
  }
}

/** What can be said without asking the server. */
export function portraitProblem(portrait: { size: number } | null): Refusal | null {
  if (portrait === null) {
    return new Refusal("missing", "No picture yet", "Choose a picture or drop one here.", 0);
  }
  if (portrait.size > MAX_BYTES) {
    return new Refusal("too_large", "The picture is too large", "Send one of at most 12 MB.", 0);
  }
  return null;
}
