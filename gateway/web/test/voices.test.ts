import { expect, test } from "vitest";
import { portraitProblem } from "../src/home/upload-dialog";
import { voiceGroups } from "../src/home/voice-options";

test("voices are grouped by gender and accent in the order in which they come", () => {
  const groups = voiceGroups([
    { id: "hibari", label: "Hibari", gender: "woman", accent: "American" },
    { id: "kokoro:am_puck", label: "Puck", gender: "man", accent: "American" },
    { id: "kokoro:af_sky", label: "Sky", gender: "woman", accent: "American" },
  ]);
  expect([...groups.keys()]).toEqual(["Women, American", "Men, American"]);
  expect(groups.get("Women, American")?.map(({ id }) => id)).toEqual(["hibari", "kokoro:af_sky"]);
});

test("a missing or far too large picture is refused before it is sent", () => {
  expect(portraitProblem(null)?.code).toBe("missing");
  expect(portraitProblem({ size: 13 * 1024 * 1024 })?.code).toBe("too_large");
  expect(portraitProblem({ size: 1024 })).toBeNull();
});
