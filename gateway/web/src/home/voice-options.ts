/** The voice menu, grouped so that people find a fitting voice. */

import type { Voice } from "../api";
import { h } from "../dom";

export function voiceGroups(voices: Voice[]): Map<string, Voice[]> {
  const groups = new Map<string, Voice[]>();
  for (const voice of voices) {
    const title = `${voice.gender === "woman" ? "Women" : "Men"}, ${voice.accent}`;
    groups.set(title, [...(groups.get(title) ?? []), voice]);
  }
  return groups;
}

export function voiceOptions(voices: Voice[]): HTMLElement[] {
  return [...voiceGroups(voices)].map(([title, members]) =>
    h(
      "optgroup",
      { label: title },
      ...members.map((voice) => h("option", { value: voice.id }, voice.label)),
    ),
  );
}
