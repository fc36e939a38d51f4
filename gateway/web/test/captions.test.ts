import { describe, expect, test } from "vitest";
import { type Caption, CaptionLog, speakerOf } from "../src/call/captions";

const caption = (segment: string, text: string, final = false): Caption => ({
  segment,
  speaker: "avatar",
  text,
  final,
});

describe("the caption log", () => {
  test("replaces the text of a segment and keeps the order in which segments began", () => {
    const log = new CaptionLog();
    log.update(caption("a", "Hel"));
    log.update(caption("b", "What"));
    log.update(caption("a", "Hello", true));
    expect(log.captions.map(({ text }) => text)).toEqual(["Hello", "What"]);
  });

  test("lets no interim text undo a final one", () => {
    const log = new CaptionLog();
    log.update(caption("a", "Hello there.", true));
    expect(log.update(caption("a", "Hello"))).toBe(false);
    expect(log.captions[0]).toEqual(caption("a", "Hello there.", true));
  });

  test("lets a later final text correct an earlier one", () => {
    const log = new CaptionLog();
    log.update(caption("a", "Hello their.", true));
    expect(log.update(caption("a", "Hello there.", true))).toBe(true);
  });

  test("shows nothing for a segment that is still empty", () => {
    expect(new CaptionLog().update(caption("a", ""))).toBe(false);
  });

  test("empties a segment that turned out to be nothing", () => {
    const log = new CaptionLog();
    log.update(caption("a", "hm"));
    expect(log.update(caption("a", "", true))).toBe(true);
  });

  test("says when an update changes nothing", () => {
    const log = new CaptionLog();
    log.update(caption("a", "Hello"));
    expect(log.update(caption("a", "Hello"))).toBe(false);
    expect(log.update(caption("a", "Hello", true))).toBe(true);
  });

  test("forgets the oldest segments of a long call", () => {
    const log = new CaptionLog();
    for (let n = 0; n < 250; n += 1) log.update(caption(`s${n}`, "x"));
    expect(log.captions).toHaveLength(200);
    expect(log.captions[0]?.segment).toBe("s50");
  });
});

describe("the speaker of a transcription", () => {
  const local = { identity: "caller-1", trackSids: ["TR_mine"] };

  test("is whoever published the transcribed track, not whoever sent the text", () => {
    expect(speakerOf({ sender: "agent", trackSid: "TR_mine" }, local)).toBe("user");
    expect(speakerOf({ sender: "caller-1", trackSid: "TR_theirs" }, local)).toBe("avatar");
  });

  test("is the sender when no track is named", () => {
    expect(speakerOf({ sender: "caller-1", trackSid: undefined }, local)).toBe("user");
    expect(speakerOf({ sender: "agent", trackSid: "" }, local)).toBe("avatar");
  });
});
