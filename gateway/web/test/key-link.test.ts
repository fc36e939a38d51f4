import { describe, expect, test } from "vitest";
import { readKeyLink } from "../src/key-link";

const read = (address: string) => readKeyLink(new URL(address, "https://host.example"));

describe("a link with a key", () => {
  test("gives the key, and an address without it", () => {
    expect(read("/#key=xs_a-B_1")).toEqual({ key: "xs_a-B_1", rest: "/" });
    expect(read("/dashboard?a=1#key=xs_a")).toEqual({ key: "xs_a", rest: "/dashboard?a=1" });
  });

  test("keeps what else is behind the #", () => {
    expect(read("/call/call-1f#token=a.b.c&key=xs_a")?.rest).toBe("/call/call-1f#token=a.b.c");
  });

  test.each(["/", "/#", "/#key=", "/call/call-1f#token=a.b.c", "/?key=xs_a"])(
    "is not %s",
    (path) => {
      expect(read(path)).toBeNull();
    },
  );
});
