import { describe, expect, test } from "vitest";
import {
  CALL_OVER,
  type Device,
  deviceProblem,
  deviceProblemIds,
  joinProblem,
} from "../src/call/problems";

function named(name: string): Error {
  const error = new Error("no");
  error.name = name;
  return error;
}

const DEVICES: Device[] = ["microphone", "camera"];

describe.each(DEVICES)("a problem with the %s", (device) => {
  test.each([
    ["NotAllowedError", "-denied"],
    ["NotFoundError", "-missing"],
    ["NotReadableError", "-busy"],
    ["Error", ""],
  ])("called %s by the browser can be tried again", (name, kind) => {
    const problem = deviceProblem(device, named(name), true);
    expect(problem.id).toBe(device + kind);
    expect(problem.action).toBe(`retry-${device}`);
    expect(problem.title).toContain(device);
    expect(deviceProblemIds(device)).toContain(problem.id);
  });

  test("without HTTPS names the cure, for trying again cannot help", () => {
    const problem = deviceProblem(device, new TypeError("undefined"), false);
    expect(problem.hint).toContain("--tls");
    expect(problem.action).toBeNull();
    expect(deviceProblemIds(device)).toContain(problem.id);
  });
});

test("a missing camera does not end the call", () => {
  expect(deviceProblem("camera", named("NotFoundError"), true).hint).toContain("goes on");
});

describe("a call that cannot be joined", () => {
  test("is over when the server refuses the token", () => {
    expect(joinProblem(true, "401")).toBe(CALL_OVER);
  });

  test("can be tried again when the server does not answer", () => {
    expect(joinProblem(false, "timeout")).toMatchObject({ action: "rejoin" });
  });
});
