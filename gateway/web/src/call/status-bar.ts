/** Who is on, what they do now, how good the connection is, and which brain answers. */

import type { ConnectionQuality } from "livekit-client";
import { h, icon } from "../dom";
import type { AgentFacts, Phase } from "./session";

const STATES: Record<string, string> = {
  initializing: "Getting ready",
  listening: "Listening",
  thinking: "Thinking",
  speaking: "Speaking",
};
const PHASES: Record<Phase, string> = {
  connecting: "Connecting",
  waiting: "Calling",
  live: "Getting ready",
  reconnecting: "Reconnecting",
};
const QUALITY: Record<string, [label: string, bars: number]> = {
  excellent: ["Connection: excellent", 3],
  good: ["Connection: good", 2],
  poor: ["Connection: poor", 1],
  lost: ["Connection: lost", 0],
  unknown: ["Connection: measuring", 0],
};

const UNKNOWN_BRAIN = "not known yet";

export class StatusBar {
  readonly element: HTMLElement;
  readonly #name = h("h1", { class: "call-name" }, "Call");
  readonly #stateText = h("span", {}, PHASES.connecting);
  readonly #state = h(
    "span",
    { class: "state-pill", role: "status", "data-testid": "state", "data-state": "connecting" },
    h("span", { class: "state-dot", "aria-hidden": "true" }),
    this.#stateText,
  );
  readonly #quality = h("span", { class: "quality", role: "img", "data-testid": "quality" });
  readonly #brainName = h("span", { class: "brain-name", "data-testid": "brain" }, UNKNOWN_BRAIN);
  readonly #brainInHelp = h("strong", {}, UNKNOWN_BRAIN);
  #phase: Phase = "connecting";

  constructor(goBack: () => void, latency: HTMLElement) {
    for (let bar = 0; bar < 3; bar += 1) this.#quality.append(h("i"));
    this.setQuality("unknown");
    this.element = h(
      "header",
      { class: "call-header" },
      h(
        "button",
        { class: "icon-button", type: "button", "aria-label": "Leave the call", click: goBack },
        icon("back"),
      ),
      this.#name,
      this.#state,
      h("span", { class: "spacer" }),
      latency,
      this.#brainDetails(),
      this.#quality,
    );
  }

  setName(name: string): void {
    this.#name.textContent = name;
  }

  setPhase(phase: Phase): void {
    this.#phase = phase;
    if (phase !== "live") this.#say(phase, PHASES[phase]);
  }

  setEnded(): void {
    this.#say("ended", "Call ended");
  }

  setAgent(facts: AgentFacts): void {
    if (this.#phase === "live") this.#say(facts.state, STATES[facts.state] ?? facts.state);
    this.#brainName.textContent = facts.brain || UNKNOWN_BRAIN;
    this.#brainInHelp.textContent = facts.brain || UNKNOWN_BRAIN;
  }

  setQuality(quality: ConnectionQuality | "unknown"): void {
    const [label, bars] = QUALITY[quality] ?? ["Connection: measuring", 0];
    this.#quality.setAttribute("aria-label", label);
    this.#quality.title = label;
    this.#quality.dataset.bars = String(bars);
  }

  #say(state: string, text: string): void {
    this.#state.dataset.state = state;
    if (this.#stateText.textContent !== text) this.#stateText.textContent = text;
  }

  #brainDetails(): HTMLElement {
    return h(
      "details",
      { class: "header-details" },
      h("summary", {}, h("span", { class: "header-details-label" }, "Brain"), this.#brainName),
      h(
        "div",
        { class: "header-popover" },
        h("p", { class: "brain-name" }, this.#brainInHelp),
        h("p", {}, "This model writes the answers."),
        h(
          "p",
          {},
          "To change it, set ",
          h("code", {}, "brain"),
          " under ",
          h("code", {}, "[thinker]"),
          " in ",
          h("code", {}, "xstreamer.toml"),
          " to ",
          h("code", {}, "auto"),
          ", a Hugging Face model id or path, or the address of an OpenAI-compatible server, and start X-Streamer again.",
        ),
      ),
    );
  }
}
