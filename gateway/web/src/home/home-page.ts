/** Home: choose a default avatar or an uploaded one, or make one from a portrait; then call. */

import {
  type Avatar,
  createRoom,
  deleteAvatar,
  endRoom,
  getRoom,
  listAvatars,
  listVoices,
  Refusal,
  type Room,
  type RoomCreated,
  stopWaiting,
  type Voice,
} from "../api";
import { h, icon } from "../dom";
import type { Page } from "../main";
import { avatarCard, uploadCard } from "./avatar-card";
import { ReadinessBanner } from "./readiness-banner";
import { UploadDialog } from "./upload-dialog";
import { placeInTurn } from "./waiting";
import { WaitingDialog } from "./waiting-dialog";

export class HomePage implements Page {
  readonly element: HTMLElement;
  readonly #startCall: (created: RoomCreated, room: Room) => void;
  readonly #defaults = h("ul", { class: "avatar-grid", "aria-label": "Avatars" });
  readonly #uploads = h("ul", { class: "avatar-grid", "aria-label": "From your portraits" });
  readonly #uploadsTitle = h("h2", { hidden: true }, "From your portraits");
  readonly #error = h("p", { class: "page-error", role: "alert", "data-testid": "home-error" });
  readonly #banner = new ReadinessBanner();
  readonly #dialog = new UploadDialog({
    added: () => this.#load(),
    call: (avatarId) => this.#call(avatarId),
  });
  readonly #noTranscript = h("input", { type: "checkbox", "data-testid": "no-transcript" });
  readonly #waiting = new WaitingDialog(() => this.#attempt.abort());
  #attempt = new AbortController();
  #voices: Voice[] = [];

  constructor(startCall: (created: RoomCreated, room: Room) => void) {
    this.#startCall = startCall;
    this.element = h(
      "div",
      { class: "home" },
      h(
        "header",
        { class: "home-header" },
        h("img", { src: "/favicon.svg", alt: "", width: "32", height: "32" }),
        h("span", { class: "brand" }, "X-Streamer"),
        h("span", { class: "spacer" }),
        h("a", { class: "quiet-link", href: "/dashboard" }, "Latency"),
        h("a", { class: "quiet-link", href: "/docs" }, "REST API"),
      ),
      h(
        "main",
        { class: "home-main" },
        h(
          "section",
          { class: "hero" },
          h("h1", {}, "Face to face with a portrait"),
          h(
            "p",
            {},
            "Pick someone and call. They listen, answer aloud and look at you, all computed on this server from a single picture.",
          ),
        ),
        this.#banner.element,
        this.#error,
        h("h2", { class: "visually-hidden" }, "Choose who to call"),
        h(
          "label",
          { class: "no-transcript" },
          this.#noTranscript,
          h("span", {}, "Call without captions: nothing that is said is written down"),
        ),
        this.#defaults,
        this.#uploadsTitle,
        this.#uploads,
      ),
      h(
        "footer",
        { class: "home-footer" },
        h("p", {}, "Faces, voices and words in calls are AI-generated. No real person answers."),
        this.#banner.brain,
      ),
      this.#dialog.element,
      this.#waiting.element,
    );
    void this.#load();
  }

  leave(): void {
    this.#attempt.abort();
    this.#banner.stop();
    this.#waiting.element.close();
  }

  async #load(): Promise<void> {
    try {
      const [avatars, voices] = await Promise.all([listAvatars(), listVoices()]);
      this.#voices = voices;
      this.#dialog.setVoices(voices);
      this.#show(avatars);
      this.#error.textContent = "";
    } catch (error) {
      this.#fail(error);
    }
  }

  #show(avatars: Avatar[]): void {
    const card = (avatar: Avatar) =>
      avatarCard(avatar, this.#voices, {
        call: () => this.#call(avatar.id),
        remove: () => this.#remove(avatar),
      });
    const uploads = avatars.filter((avatar) => !avatar.is_default);
    this.#defaults.replaceChildren(
      ...avatars.filter((avatar) => avatar.is_default).map(card),
      uploadCard(() => this.#dialog.open()),
    );
    this.#uploads.replaceChildren(...uploads.map(card));
    this.#uploadsTitle.hidden = uploads.length === 0;
  }

  /** The newest wish counts: one that is still on its way is given up. */
  async #call(avatarId: string): Promise<void> {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    const transcript = !this.#noTranscript.checked;
    try {
      const created = await placeInTurn({
        ask: (ticket) => createRoom(avatarId, transcript, ticket),
        show: (standing) => this.#waiting.show(standing),
        pause: (seconds) => pause(seconds, signal),
        wanted: () => !signal.aborted,
        release: (late) => endRoom(late.room, late.token),
        leave: (ticket) => void stopWaiting(ticket).catch(() => undefined), // else it expires
      });
      if (created === null) return;
      const room = await getRoom(created.room, created.token);
      if (signal.aborted) await endRoom(created.room, created.token);
      else this.#startCall(created, room);
    } catch (error) {
      if (signal.aborted) return;
      this.#waiting.element.close();
      this.#fail(error);
    }
  }

  async #remove(avatar: Avatar): Promise<void> {
    const what = `Delete ${avatar.name}: the portrait and the records of all calls? Calls that are on end.`;
    if (!window.confirm(what)) return;
    try {
      await deleteAvatar(avatar.id);
      await this.#load();
    } catch (error) {
      await this.#load();
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof Refusal)) throw error;
    const hint = error.hint ? ` ${error.hint}` : "";
    this.#error.replaceChildren(icon("warning"), `${error.message}.${hint}`);
  }
}

/** Or until it is aborted. */
function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = window.setTimeout(resolve, seconds * 1000);
    const wake = () => {
      window.clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", wake, { once: true });
  });
}
