import { describe, expect, test } from "vitest";
import { AtCapacity, Refusal } from "../src/api";
import { placeInTurn, standingText } from "../src/home/waiting";

const full = (position: number, ticket: string | null = "t") =>
  new AtCapacity("All places are taken", "", { position, waitS: 60, ticket, askAgainS: 3 });
const away = new Refusal("unreachable", "The server does not answer", "", 0);

/** Answers one after the other; what was asked with, shown and waited. */
function line(answers: (string | Error)[], patience = 99) {
  const log: (string | number | null)[] = [];
  return {
    log,
    ask: async (ticket: string | null) => {
      log.push(ticket);
      const answer = answers.shift();
      if (typeof answer === "string") return answer;
      throw answer;
    },
    show: (standing: AtCapacity) => void log.push(standing.position),
    pause: async (seconds: number) => void log.push(`${seconds} s`),
    wanted: () => {
      patience -= 1;
      return patience >= 0;
    },
    release: async (place: string) => void log.push(`${place} given back`),
    leave: (ticket: string) => void log.push(`${ticket} left`),
  };
}

describe("somebody who calls", () => {
  test("does not wait where there is a place", async () => {
    const free = line(["room"]);
    expect(await placeInTurn(free)).toBe("room");
    expect(free.log).toEqual([null]);
  });

  test("asks again with the ticket, at the advised pace, until it is their turn", async () => {
    const busy = line([full(2), full(1), "room"]);
    expect(await placeInTurn(busy)).toBe("room");
    expect(busy.log).toEqual([null, 2, "3 s", "t", 1, "3 s", "t"]);
  });

  test.each([
    ["before they know of the line", [full(2)], 0, [null, "t left"]],
    ["while they pause", [full(2)], 1, [null, 2, "3 s", "t left"]],
    ["while they ask", [full(2), full(1)], 2, [null, 2, "3 s", "t", "t left"]],
    ["too late", [full(2), "room"], 2, [null, 2, "3 s", "t", "room given back"]],
  ])("can stop waiting %s", async (_, answers, patience, log) => {
    const busy = line(answers, patience);
    expect(await placeInTurn(busy)).toBeNull();
    expect(busy.log).toEqual(log);
  });

  test.each([
    ["the network is away", away],
    ["the media server is away", new Refusal("livekit_unavailable", "It is away", "", 503)],
    ["too many ask", new Refusal("too_many_requests", "Too many requests", "", 429)],
    ["a proxy answers", new Refusal("http", "The server answered 502", "", 502)],
  ])("keeps the place when %s for a moment", async (_, trouble) => {
    const shaky = line([full(1), trouble, "room"]);
    expect(await placeInTurn(shaky)).toBe("room");
    expect(shaky.log).toEqual([null, 1, "3 s", "t", 1, "3 s", "t"]);
  });

  test.each([
    ["the line is full too", [full(201, null)]],
    ["the server was never there", [away]],
    ["the avatar is gone", [full(1), new Refusal("avatar_not_found", "There is none", "", 404)]],
  ])("is told when %s", async (_, answers) => {
    await expect(placeInTurn(line(answers))).rejects.toBeInstanceOf(Refusal);
  });

  test("does not wait for ever for a server that is in trouble", async () => {
    const dead = line([full(1), ...Array<Error>(20).fill(away)], 999);
    await expect(placeInTurn(dead)).rejects.toThrow("does not answer");
    expect(dead.log.filter((entry) => entry === "t")).toHaveLength(13);
    expect(dead.log.at(-1)).toBe("t left");
  });

  test("leaves the line when there is nothing to wait for", async () => {
    const gone = line([full(1), new Refusal("avatar_not_found", "There is none", "", 404)]);
    await expect(placeInTurn(gone)).rejects.toThrow("There is none");
    expect(gone.log.at(-1)).toBe("t left");
  });
});

test.each([
  [1, 20, "you are number 1, less than a minute"],
  [1, 62, "you are number 1, about a minute"],
  [2, 180, "you are number 2, about 3 minutes"],
])("number %d with %d s to wait reads well", (position, waitS, text) => {
  expect(standingText(position, waitS)).toBe(text);
});
