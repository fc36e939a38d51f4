/** Says what is still starting, until calls can be made; then which brain answers. */

import { type Readiness, Refusal, readiness } from "../api";
import { h } from "../dom";

const POLL_MS = 2000;
const NAMES: Record<string, string> = {
  database: "database",
  livekit: "media server",
  actor: "face renderer",
  thinker: "speech and language models",
  agent_worker: "call agent",
};

export class ReadinessBanner {
  readonly element = h("p", { class: "banner", role: "status", hidden: true });
  readonly brain = h("p", { class: "brain-line" });
  #timer: number | undefined;
  #stopped = false;

  constructor() {
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    window.clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    let ready = false;
    try {
      const found = await readiness();
      ready = found.ready;
      this.#show(found);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#say(`${error.message}. ${error.hint}`);
    }
    if (!ready && !this.#stopped) this.#timer = window.setTimeout(() => this.#look(), POLL_MS);
  }

  #show(found: Readiness): void {
    const waiting = found.not_ready.map((part) => NAMES[part] ?? part);
    // Which parts there are is told to keys that may see figures.
    const parts = waiting.length > 0 ? `: ${waiting.join(", ")}` : "";
    this.#say(found.ready ? "" : `Getting ready${parts}. You can look around.`);
    const brain = found.parts.thinker?.labels.brain;
    this.brain.textContent = brain ? `Brain: ${brain}` : "";
  }

  #say(text: string): void {
    this.element.hidden = text === "";
    if (this.element.textContent !== text) this.element.textContent = text;
  }
}
