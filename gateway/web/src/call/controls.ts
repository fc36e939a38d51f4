/** Mute, the camera, end and the text box. */

import { h, icon } from "../dom";

export interface ControlActions {
  toggleMicrophone(): void;
  toggleCamera(): void;
  end(): void;
  /** False: the words did not arrive. */
  send(text: string): Promise<boolean>;
}

export class Controls {
  readonly bar: HTMLElement;
  readonly chat: HTMLFormElement;
  readonly #microphone: HTMLButtonElement;
  readonly #camera: HTMLButtonElement;
  readonly #input = h("input", {
    class: "chat-input",
    name: "text",
    autocomplete: "off",
    maxlength: "500",
    placeholder: "Type instead of talking",
    "aria-label": "Message",
    enterkeyhint: "send",
    "data-testid": "chat-input",
  });
  readonly #send = h(
    "button",
    { class: "icon-button", type: "submit", "aria-label": "Send", "data-testid": "chat-send" },
    icon("send"),
  );

  constructor(actions: ControlActions) {
    this.#microphone = h("button", {
      class: "round-button",
      type: "button",
      "data-testid": "mic-button",
      click: () => actions.toggleMicrophone(),
    });
    this.#camera = h("button", {
      class: "round-button",
      type: "button",
      hidden: true,
      "data-testid": "camera-button",
      click: () => actions.toggleCamera(),
    });
    this.bar = h(
      "div",
      { class: "controls", role: "toolbar", "aria-label": "Call controls" },
      this.#microphone,
      this.#camera,
      h(
        "button",
        {
          class: "round-button round-end",
          type: "button",
          "data-testid": "end-button",
          click: () => actions.end(),
        },
        icon("end"),
        h("span", { class: "round-label" }, "End"),
      ),
    );
    this.chat = h("form", { class: "chat", submit: (event) => this.#submit(event, actions) });
    this.chat.append(this.#input, this.#send);
    this.setMicrophone(false);
    this.setCamera(false);
    this.setReady({ microphone: false, chat: false });
  }

  setMicrophone(on: boolean): void {
    this.#microphone.setAttribute("aria-pressed", String(!on));
    this.#microphone.title = on ? "Mute (M)" : "Unmute (M)";
    this.#microphone.dataset.on = String(on);
    this.#microphone.replaceChildren(
      icon(on ? "mic" : "micOff"),
      h("span", { class: "round-label" }, on ? "Mute" : "Unmute"),
    );
  }

  setCamera(on: boolean): void {
    this.#camera.setAttribute("aria-pressed", String(on));
    this.#camera.title = on
      ? "Stop showing yourself"
      : "Let the avatar look at one picture with each question; it is described, not stored";
    this.#camera.dataset.showing = String(on);
    this.#camera.replaceChildren(
      icon(on ? "camera" : "cameraOff"),
      h("span", { class: "round-label" }, "Camera"),
    );
  }

  /** Shown only where something looks at its picture. */
  offerCamera(offered: boolean): void {
    this.#camera.hidden = !offered;
  }

  /** Typed words reach only an agent that is there; what is said earlier is kept and sent. */
  setReady(ready: { microphone: boolean; chat: boolean }): void {
    this.#microphone.disabled = !ready.microphone;
    this.#camera.disabled = !ready.chat;
    this.#input.readOnly = !ready.chat; // disabled, it would lose the focus in mid-word
    this.#input.setAttribute("aria-disabled", String(!ready.chat));
    this.#send.disabled = !ready.chat;
  }

  async #submit(event: Event, actions: ControlActions): Promise<void> {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (text === "" || this.#send.disabled) return;
    this.#input.value = "";
    // Why they did not arrive the page says elsewhere; what is being typed by then stays.
    if (!(await actions.send(text)) && this.#input.value === "") this.#input.value = text;
  }
}
