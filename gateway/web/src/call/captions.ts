/** What both sides said, by transcription segment. A later text of a segment replaces the earlier. */

export type Speaker = "user" | "avatar";

export interface Caption {
  segment: string;
  speaker: Speaker;
  text: string;
  final: boolean;
}

const MAX_CAPTIONS = 200;

export class CaptionLog {
  #bySegment = new Map<string, Caption>();

  /** Oldest first, in the order in which their segments began. */
  get captions(): Caption[] {
    return [...this.#bySegment.values()];
  }

  /** Returns false when nothing changed. An interim text never undoes a final one. */
  update(caption: Caption): boolean {
    const known = this.#bySegment.get(caption.segment);
    if (known === undefined && caption.text === "") return false;
    if (known?.final && !caption.final) return false;
    if (known?.text === caption.text && known.final === caption.final) return false;
    this.#bySegment.set(caption.segment, caption);
    if (this.#bySegment.size > MAX_CAPTIONS) {
      const oldest = this.#bySegment.keys().next().value;
      if (oldest !== undefined) this.#bySegment.delete(oldest);
    }
    return true;
  }
}

/** Who is transcribed: the track that the stream names, else whoever sent it. */
export function speakerOf(
  stream: { sender: string; trackSid: string | undefined },
  local: { identity: string; trackSids: string[] },
): Speaker {
  if (stream.trackSid) return local.trackSids.includes(stream.trackSid) ? "user" : "avatar";
  return stream.sender === local.identity ? "user" : "avatar";
}
