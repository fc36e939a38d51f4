import { ParticipantKind, Room, RoomEvent } from "livekit-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type CallListener, CallSession } from "../src/call/session";
import { TypedWords } from "../src/call/typed-words";

const AGENT = { kind: ParticipantKind.AGENT };

/** A room that notes what is sent; `deliver` may fail, or never end. */
class Wire {
  readonly room = new Room();
  readonly sent: { text: string; name: string | undefined }[] = [];
  deliver: () => Promise<void> = async () => undefined;

  constructor(room?: Room) {
    if (room) this.room = room;
    vi.spyOn(this.room.localParticipant, "sendText").mockImplementation(async (text, options) => {
      this.sent.push({ text, name: options?.attributes?.["xs.id"] });
      await this.deliver();
      return { id: "stream" } as Awaited<ReturnType<Room["localParticipant"]["sendText"]>>;
    });
  }

  receipt(id: string, sender: object = AGENT, topic = "xs.read"): void {
    const payload = new TextEncoder().encode(JSON.stringify({ id }));
    this.room.emit(RoomEvent.DataReceived, payload, sender as never, undefined, topic);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a message is sent again until its receipt comes, and no longer", async () => {
  const wire = new Wire();
  const words = new TypedWords(wire.room);
  const name = words.name();
  expect(words.name()).not.toBe(name);
  const read = words.send(name, "Hello");
  await vi.advanceTimersByTimeAsync(4_000);
  wire.receipt("another");
  wire.receipt(name, { kind: ParticipantKind.STANDARD });
  wire.receipt(name, AGENT, "xs.turn");
  expect(wire.sent).toEqual(Array(3).fill({ text: "Hello", name }));
  wire.receipt(name);
  expect(await read).toBe(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(wire.sent).toHaveLength(3);
});

test("a failure to send is no end, and a message that is being sent is not sent twice", async () => {
  const wire = new Wire();
  wire.deliver = async () => {
    throw new Error("the connection is down");
  };
  const words = new TypedWords(wire.room);
  const read = words.send("a", "Hello");
  await vi.advanceTimersByTimeAsync(1_600);
  expect(wire.sent).toHaveLength(2);
  wire.deliver = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(wire.sent).toHaveLength(3);
  wire.receipt("a");
  expect(await read).toBe(true);
});

test("it is given up after half a minute, and at once when the call ends", async () => {
  const wire = new Wire();
  const words = new TypedWords(wire.room);
  const lost = words.send("a", "Hello");
  await vi.advanceTimersByTimeAsync(30_000);
  expect(await lost).toBe(false);
  const ended = words.send("b", "Hello?");
  words.stop();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(await ended).toBe(false);
});

test("words that were lost leave the transcript, and the caller is told until others arrive", async () => {
  const lines: string[] = [];
  const problems: (string | null)[] = [];
  const listener = {
    onCaption: ({ text }: { text: string }) => lines.push(text),
    onProblem: (_id: string, problem: { id: string } | null) => problems.push(problem?.id ?? null),
    onEnded: () => undefined,
    onPhase: () => undefined,
  };
  const session = new CallSession(listener as unknown as CallListener);
  const wire = new Wire(session.room);
  const lost = session.sendText("Hello");
  await vi.advanceTimersByTimeAsync(30_000);
  expect(await lost).toBe(false);
  expect(lines).toEqual(["Hello", ""]);
  const read = session.sendText("Hello");
  wire.receipt(wire.sent.at(-1)?.name ?? "");
  expect(await read).toBe(true);
  expect(problems).toEqual(["message-lost", null]);
  const last = session.sendText("Bye");
  await session.leave();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(await last, "the call's end says enough").toBe(true);
  expect(lines).toEqual(["Hello", "", "Hello", "Bye"]);
  expect(problems).toHaveLength(2);
});
