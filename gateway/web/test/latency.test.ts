import { describe, expect, test } from "vitest";
import { AgentClock } from "../src/latency/clock";
import { FrameHistory, median } from "../src/latency/frames";
import { type Inbound, Statistics } from "../src/latency/statistics";
import { spokenInto } from "../src/latency/waterfall";

/** The agent's clock is 5000 ms ahead of the page's. */
const AHEAD_MS = 5000;

function answered(sentMs: number, there: number, thinking: number, back: number) {
  const receivedMs = sentMs + there + AHEAD_MS;
  return {
    sentMs,
    backMs: sentMs + there + thinking + back,
    receivedUs: receivedMs * 1000,
    answeredUs: (receivedMs + thinking) * 1000,
  };
}

describe("the agent's clock", () => {
  test("is not known before the first answer", () => {
    const clock = new AgentClock();
    expect(clock.toPageMs(1)).toBeUndefined();
    expect(clock.toAgentUs(1)).toBeUndefined();
  });

  test("is off by at most half of the shortest way, however late other answers were", () => {
    const clock = new AgentClock();
    clock.take(answered(100, 4, 2, 40));
    clock.take(answered(400, 3, 1, 5));
    clock.take(answered(800, 90, 0, 1));
    expect(clock.roundTripMs).toBe(8);
    const errorMs = (clock.toPageMs(6_000_000) as number) - 1000;
    expect(Math.abs(errorMs)).toBeLessThanOrEqual(4);
    expect(clock.toAgentUs(clock.toPageMs(7_000_000) as number)).toBeCloseTo(7_000_000);
  });
});

/** 25 frames a second that leave from `firstMs` on and take `wayMs` each to come and 60 to show. */
function shown(
  history: FrameHistory,
  firstMs: number,
  count: number,
  wayMs: (n: number) => number,
) {
  for (let n = 0; n < count; n += 1) {
    const leftMs = firstMs + 40 * n;
    history.add({
      rtp: (4_294_960_000 + leftMs * 90) % 2 ** 32,
      receivedMs: leftMs + wayMs(n),
      displayedMs: leftMs + 60,
      presented: n,
    });
  }
}

describe("the frames that were shown", () => {
  test("are found by when they left, though their clock wraps around and the network jitters", () => {
    const history = new FrameHistory();
    shown(history, 1000, 100, (n) => 10 + (n % 7) * 6);
    expect(history.displayedOf(3000, 10)).toBeCloseTo(3060);
    expect(history.displayedOf(3001, 10)).toBeCloseTo(3060);
    expect(history.displayedOf(2990, 10)).toBeCloseTo(3060);
  });

  test("that have not come yet are not made up", () => {
    const history = new FrameHistory();
    shown(history, 1000, 10, () => 10);
    expect(history.displayedOf(2000, 10)).toBeUndefined();
    expect(new FrameHistory().displayedOf(0, 0)).toBeUndefined();
  });

  test("tell how old they were on the screen, and how many came a second", () => {
    const history = new FrameHistory();
    shown(history, 0, 50, (n) => 12 + (n % 3));
    expect(history.ageMs(12)).toBeCloseTo(60);
    expect(history.rate(0, 10_000)).toBeCloseTo(25);
    expect(history.rate(50_000, 60_000)).toBeUndefined();
  });

  test("that the page was not told of are as old as the next one that it was told of", () => {
    const history = new FrameHistory();
    shown(history, 0, 10, () => 10);
    // 2 s later; 50 frames were presented in between.
    history.add({
      rtp: (4_294_960_000 + 2400 * 90) % 2 ** 32,
      receivedMs: 2410,
      displayedMs: 2480,
      presented: 60,
    });
    expect(history.displayedOf(800, 10)).toBeCloseTo(880);
  });

  test("that stood still were not shown before the next one", () => {
    const history = new FrameHistory();
    shown(history, 0, 10, () => 10);
    history.add({
      rtp: (4_294_960_000 + 2400 * 90) % 2 ** 32,
      receivedMs: 2410,
      displayedMs: 2480,
      presented: 10,
    });
    expect(history.displayedOf(800, 10)).toBeCloseTo(2480);
  });

  test("of another stream do not mix with those before", () => {
    const history = new FrameHistory();
    shown(history, 0, 10, () => 10);
    shown(history, 900_000, 10, () => 10);
    expect(history.displayedOf(900_000, 10)).toBeCloseTo(900_060);
  });
});

const NTP = 2_208_988_800_000;

function entry(timestamp: number, ageMs: number, more: Partial<Inbound> = {}): Inbound {
  return { timestamp, estimatedPlayoutTimestamp: timestamp + NTP - ageMs, ...more };
}

describe("statistics", () => {
  test("tell by how much the picture is late, one odd reading aside", () => {
    const statistics = new Statistics();
    for (const late of [12, 14, 400, 13, 12])
      statistics.add(entry(1000, 60), entry(1003, 60 + late));
    expect(statistics.offsetMs).toBeCloseTo(13);
  });

  test("are counted from the report before, and made-up silence is no fault", () => {
    const statistics = new Statistics();
    const audio = { totalSamplesReceived: 1000, concealedSamples: 50, silentConcealedSamples: 0 };
    statistics.add(entry(0, 1, audio), entry(0, 1, { freezeCount: 2, totalFreezesDuration: 1 }));
    expect(statistics.counted()).toBeUndefined();
    const later = { totalSamplesReceived: 2000, concealedSamples: 150, silentConcealedSamples: 80 };
    statistics.add(entry(9, 1, later), entry(9, 1, { freezeCount: 3, totalFreezesDuration: 1.5 }));
    expect(statistics.counted()).toEqual({
      freezes: 1,
      frozen_ms: 500,
      concealed_percent: 2,
      av_offset_ms: 0,
    });
  });

  test("report speech alone, and know of silence where the next answer will play", () => {
    const statistics = new Statistics();
    let [second, packetsReceived] = [0, 0];
    const read = (packets: number, late: number) => {
      second += 1;
      packetsReceived += packets;
      const at = 1000 * second;
      return statistics.add(entry(at, 60, { packetsReceived }), entry(at, 60 + late));
    };
    for (const late of [90, 80]) expect(read(5, late)).toBeUndefined();
    expect(statistics.counted()?.av_offset_ms).toBeNull();
    for (const late of [20, 21, 22]) expect(read(50, late)).toBeCloseTo(late);
    for (const late of [90, 91, 92, 93]) expect(read(5, late)).toBeUndefined();
    expect(statistics.counted()?.av_offset_ms).toBeCloseTo(21);
    expect(statistics.offsetMs).toBeCloseTo(91);
    expect(read(5, 90)).toBeUndefined();
    expect(statistics.counted()?.av_offset_ms).toBeNull();
  });

  test("of a browser that does not tell its playout have no offset", () => {
    const statistics = new Statistics();
    statistics.add({ timestamp: 1 }, { timestamp: 1 });
    expect(statistics.offsetMs).toBeUndefined();
  });
});

test("the median of nothing is nothing", () => {
  expect(median([])).toBeUndefined();
  expect(median([3, 1, 2])).toBe(2);
});

describe("an answer that was spoken into", () => {
  const cut = { detected_ms: 95, noticed_ms: 250, silence_ms: 170, still_ms: null };

  test("was detected, then silent, and sure only later", () => {
    expect(spokenInto(cut)).toBe(
      "Spoken into: detected after 95 ms, silent after 170 ms, still after –, sure after 250 ms.",
    );
  });

  test("from before the detection was noted says so", () => {
    expect(spokenInto({ ...cut, detected_ms: null })).toContain("detected after –");
  });
});
