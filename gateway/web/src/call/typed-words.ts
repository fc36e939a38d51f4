/**
 * Words that the caller types, sent again until the agent says that it has read them: what is sent
 * while a connection is made anew can get lost (services/room_agent/typed_words.py is the other end).
 */

import type { Room } from "livekit-client";
import { onAgentData } from "../agent-data";

const CHAT = "lk.chat";
const NAME = "xs.id";
const READ = "xs.read";
const AGAIN_MS = 1500;
const PATIENCE_MS = 30_000;

export class TypedWords {
  readonly #room: Room;
  readonly #unread = new Map<string, () => void>();
  readonly #stopListening: () => void;
  #typed = 0;
  #stopped = false;

  constructor(room: Room) {
    this.#room = room;
    this.#stopListening = onAgentData(room, [READ], (_topic, { id }) => this.#unread.get(id)?.());
  }

  /** A name for the next message that no other one in this room has. */
  name(): string {
    this.#typed += 1;
    return `${this.#room.localParticipant.sid}-${this.#typed}`;
  }

  /** True as soon as the agent has read it; false when it did not in time, or the call is over. */
  async send(name: string, text: string): Promise<boolean> {
    const read = new Promise<boolean>((resolve) => {
      this.#unread.set(name, () => resolve(true));
    });
    const untilMs = performance.now() + PATIENCE_MS;
    let sending = false;
    try {
      while (!this.#stopped && performance.now() < untilMs) {
        // One copy at a time: sending may take as long as the connection is away.
        if (!sending) {
          sending = true;
          this.#room.localParticipant
            .sendText(text, { topic: CHAT, attributes: { [NAME]: name } })
            .catch(() => undefined)
            .finally(() => {
              sending = false;
            });
        }
        if (await Promise.race([read, after(AGAIN_MS)])) return true;
      }
      return false;
    } finally {
      this.#unread.delete(name);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#stopListening();
  }
}

function after(ms: number): Promise<false> {
  return new Promise((resolve) => window.setTimeout(() => resolve(false), ms));
}
