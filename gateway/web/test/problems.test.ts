import { describe, expect, test } from "vitest";
import { CALL_OVER, joinProblem, microphoneProblem } from "../src/call/problems";

function named(name: string): Error {
  const error = new Error("no");
  error.name = name;
  return error;
}

describe("a microphone problem", () => {
  test.each([
    ["NotAllowedError", "microphone-denied"],
    ["NotFoundError", "microphone-missing"],
    ["NotReadableError", "microphone-busy"],
    ["Error", "microphone"],
  ])("called %s by the browser can be tried again", (name, id) => {
    const problem = microphoneProblem(named(name), true);
    expect(problem.id).toBe(id);
    expect(problem.action).toBe("retry-microphone");
  });

  test("without HTTPS names the cure, for trying again cannot help", () => {
    const problem = microphoneProblem(new TypeError("undefined"), false);
    expect(problem.hint).toContain("--tls");
    expect(problem.action).toBeNull();
  });
});

describe("a call that cannot be joined", () => {
  test("is over when the server refuses the token", () => {
    expect(joinProblem(true, "401")).toBe(CALL_OVER);
  });

  test("can be tried again when the server does not answer", () => {
    expect(joinProblem(false, "timeout")).toMatchObject({ action: "rejoin" });
  });
});
