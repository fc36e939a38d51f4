import { describe, expect, test } from "vitest";
import { readCallLink } from "../src/call-link";

const read = (address: string) => readCallLink(new URL(address, "https://host.example"));

describe("a call link", () => {
  test("carries room and token, and asks before it joins", () => {
    expect(read("/call/call-1f#token=a.b.c")).toEqual({
      room: "call-1f",
      token: "a.b.c",
      joinNow: false,
    });
  });

  test("joins at once when it says so", () => {
    expect(read("/call/call-1f#token=a.b.c&join=now")?.joinNow).toBe(true);
  });

  test("without a token still names its room", () => {
    expect(read("/call/call-1f")).toEqual({ room: "call-1f", token: "", joinNow: false });
  });

  test.each(["/", "/call/", "/call/a/b", "/calls/a"])("is not %s", (path) => {
    expect(read(path)).toBeNull();
  });
});
