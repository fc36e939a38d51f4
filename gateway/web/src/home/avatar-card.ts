/** Cards of the home page. */

import type { Avatar, Voice } from "../api";
import { h, icon } from "../dom";

export interface CardActions {
  call(): Promise<void>;
  remove(): Promise<void>;
}

export function avatarCard(avatar: Avatar, voices: Voice[], actions: CardActions): HTMLElement {
  const call = h(
    "button",
    {
      class: "button button-primary card-call",
      type: "button",
      "data-testid": "call-button",
      "aria-label": `Call ${avatar.name}`,
    },
    icon("call"),
    "Call",
  );
  // Disabled, it would lose the focus, to which a dialog that is closed must return.
  call.addEventListener("click", async () => {
    if (call.ariaBusy === "true") return;
    call.ariaBusy = "true";
    await actions.call();
    call.ariaBusy = "false";
  });
  const remove = h(
    "button",
    {
      class: "icon-button card-remove",
      type: "button",
      "aria-label": `Delete ${avatar.name}`,
      click: () => void actions.remove(),
    },
    icon("trash"),
  );
  return h(
    "li",
    { class: "card", "data-testid": `avatar-card-${avatar.id}` },
    h("img", {
      class: "card-portrait",
      src: avatar.preview_url,
      alt: `Portrait of ${avatar.name}`,
      width: "512",
      height: "512",
    }),
    h(
      "div",
      { class: "card-text" },
      h(
        "h3",
        {},
        `${avatar.name} `,
        h(
          "abbr",
          { class: "tag-ai", title: "Calls are AI-generated: face, voice and words" },
          "AI",
        ),
      ),
      h("p", { class: "card-persona" }, avatar.persona),
      h("p", { class: "card-voice" }, icon("sound"), voiceLabel(avatar.voice, voices)),
    ),
    h("div", { class: "card-actions" }, call, avatar.is_default ? null : remove),
  );
}

export function uploadCard(open: () => void): HTMLElement {
  return h(
    "li",
    { class: "card card-upload" },
    h(
      "button",
      { class: "upload-open", type: "button", "data-testid": "upload-open", click: open },
      h("span", { class: "upload-plus" }, icon("plus")),
      h("strong", {}, "Use your own portrait"),
      h("span", {}, "A photo, painting or drawing with one face"),
    ),
  );
}

function voiceLabel(id: string, voices: Voice[]): string {
  const voice = voices.find((known) => known.id === id);
  return voice ? `${voice.label} · ${voice.accent} ${voice.gender}` : id;
}
