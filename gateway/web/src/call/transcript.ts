/** Captions on screen: all of them beside the video, the last ones over it, finals spoken politely. */

import { h } from "../dom";
import { type Caption, CaptionLog } from "./captions";

const NEAR_END_PX = 80;
const OVERLAY_REST_MS = 6000;

export class Transcript {
  readonly list = h("ol", { class: "transcript-list", "data-testid": "captions" });
  readonly overlay = h("div", { class: "captions-overlay", "aria-hidden": "true" });
  /** Screen readers hear each final caption once; growing text would be read again and again. */
  readonly announcer = h("div", { class: "visually-hidden", role: "log", "aria-live": "polite" });
  readonly empty = h(
    "p",
    { class: "transcript-empty", "data-testid": "transcript-empty" },
    "What you both say appears here.",
  );
  #log = new CaptionLog();
  #items = new Map<string, HTMLLIElement>();
  #avatarName = "Avatar";
  #off = false;
  #overlayTimer: number | undefined;

  setAvatarName(name: string): void {
    this.#avatarName = name;
  }

  /** Typed words, too, are then shown nowhere. */
  turnOff(): void {
    this.#off = true;
    this.empty.textContent = "This call has no transcript: nothing that is said is written down.";
  }

  add(caption: Caption): void {
    if (this.#off || !this.#log.update(caption)) return;
    if (caption.text === "") {
      this.#items.get(caption.segment)?.remove(); // what sounded like words was none
      this.#items.delete(caption.segment);
      return;
    }
    this.empty.hidden = true;
    this.#show(caption);
    this.#showOverlay(caption);
    if (caption.final) {
      this.announcer.append(h("p", {}, `${this.#speaker(caption)}: ${caption.text}`));
      if (this.announcer.childElementCount > 20) this.announcer.firstElementChild?.remove();
    }
  }

  /** Forget all of it. */
  clear(): void {
    this.#log = new CaptionLog();
    this.#items.clear();
    this.list.replaceChildren();
    this.announcer.replaceChildren();
    this.empty.hidden = false;
    this.clearOverlay();
  }

  clearOverlay(): void {
    this.overlay.replaceChildren();
  }

  #speaker(caption: Caption): string {
    return caption.speaker === "user" ? "You" : this.#avatarName;
  }

  #show(caption: Caption): void {
    const box = this.list.parentElement;
    const follow = box && box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    let item = this.#items.get(caption.segment);
    if (item === undefined) {
      item = h("li", {
        class: `caption caption-${caption.speaker}`,
        "data-testid": `caption-${caption.speaker}`,
        "data-segment": caption.segment,
      });
      this.#items.set(caption.segment, item);
      this.list.append(item);
    }
    item.dataset.final = String(caption.final);
    item.replaceChildren(
      h("span", { class: "caption-speaker" }, this.#speaker(caption)),
      h("span", { class: "caption-text" }, caption.text),
    );
    const kept = new Set(this.#log.captions.map(({ segment }) => segment));
    for (const [segment, old] of this.#items) {
      if (kept.has(segment)) break;
      old.remove();
      this.#items.delete(segment);
    }
    if (box && follow) box.scrollTop = box.scrollHeight;
  }

  #showOverlay(caption: Caption): void {
    const line = h("p", { class: `overlay-line overlay-${caption.speaker}` }, caption.text);
    this.overlay.replaceChildren(line);
    window.clearTimeout(this.#overlayTimer);
    this.#overlayTimer = window.setTimeout(() => this.clearOverlay(), OVERLAY_REST_MS);
  }
}
