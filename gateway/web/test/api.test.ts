import { afterEach, describe, expect, test, vi } from "vitest";
import { doors, getRoom, listAvatars, signIn } from "../src/api";

const answers = (status: number, body: unknown) => {
  const headers = {
    "content-type": status < 400 ? "application/json" : "application/problem+json",
  };
  const fetched = vi.fn(async () => new Response(JSON.stringify(body), { status, headers }));
  vi.stubGlobal("fetch", fetched);
  return fetched;
};
const keyNeeded = { code: "key_needed", title: "This needs a key" };

afterEach(() => vi.unstubAllGlobals());

describe("a server that asks for a key", () => {
  test("is told to the page when a browser without one comes", async () => {
    answers(401, keyNeeded);
    const closed = vi.fn();
    doors.addEventListener("closed", closed, { once: true });
    await expect(listAvatars()).rejects.toMatchObject({ code: "key_needed", status: 401 });
    expect(closed).toHaveBeenCalledOnce();
  });

  test("is no news where a key or a room's token was sent", async () => {
    answers(401, keyNeeded);
    const closed = vi.fn();
    doors.addEventListener("closed", closed);
    await expect(getRoom("call-1f", "old")).rejects.toMatchObject({ status: 401 });
    await expect(signIn("xs_wrong")).rejects.toMatchObject({ status: 401 });
    doors.removeEventListener("closed", closed);
    expect(closed).not.toHaveBeenCalled();
  });
});

describe("a room's token", () => {
  test("goes with the questions about its room", async () => {
    const fetched = answers(200, {});
    await getRoom("call-1f", "a.b.c");
    expect(fetched).toHaveBeenCalledWith("/api/rooms/call-1f", {
      headers: { Authorization: "Bearer a.b.c" },
    });
  });

  test("is not sent when there is none", async () => {
    const fetched = answers(200, {});
    await getRoom("call-1f", "");
    expect(fetched).toHaveBeenCalledWith("/api/rooms/call-1f", { headers: {} });
  });
});
