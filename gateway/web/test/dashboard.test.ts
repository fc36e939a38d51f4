import { describe, expect, test } from "vitest";
import { countedNote } from "../src/dashboard/dashboard-page";
import { shownMoment } from "../src/dashboard/tables";

const NOW = new Date(2026, 2, 14, 18, 0, 0);
const at = (day: number) => new Date(2026, 2, day, 9, 5, 7).toISOString();

describe("the dashboard's times", () => {
  test("have a date where it is not today's", () => {
    const today = shownMoment(at(14), NOW);
    expect(today).toContain("05");
    expect(today).not.toContain("2026");
    const earlier = shownMoment(at(3), NOW);
    expect(earlier).toContain("2026");
    expect(earlier.endsWith(today)).toBe(true);
    expect(shownMoment(at(4), NOW)).not.toBe(earlier);
  });
});

describe("figures that leave older turns out", () => {
  const latency = { turns: 2000, live: [], stages: [] };

  test("say of how many turns and since when they are", () => {
    const note = countedNote({ ...latency, counted_since: at(3) }, NOW);
    expect(note).toContain("newest 2,000 turns");
    expect(note).toContain(shownMoment(at(3), NOW));
  });

  test("say nothing where every turn is counted", () => {
    expect(countedNote({ ...latency, counted_since: null }, NOW)).toBe("");
  });
});
