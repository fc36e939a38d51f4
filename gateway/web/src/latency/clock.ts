/**
 * The agent's clock as this page sees it. Each answer bounds the difference of the two clocks by
 * half of the way it took; the shortest of the last ones is believed.
 */

export interface ClockAnswer {
  /** When the question left here, and when its answer came back (page clock, ms). */
  sentMs: number;
  backMs: number;
  /** When the agent got it, and when its answer left (agent clock, µs). */
  receivedUs: number;
  answeredUs: number;
}

interface Reading {
  offsetUs: number;
  roundTripMs: number;
}

const KEPT = 12;

export class AgentClock {
  #readings: Reading[] = [];

  take(answer: ClockAnswer): void {
    const agentMs = (answer.answeredUs - answer.receivedUs) / 1000;
    const roundTripMs = Math.max(0, answer.backMs - answer.sentMs - agentMs);
    const middleAgentUs = (answer.receivedUs + answer.answeredUs) / 2;
    const middlePageUs = ((answer.sentMs + answer.backMs) / 2) * 1000;
    this.#readings.push({ offsetUs: middleAgentUs - middlePageUs, roundTripMs });
    if (this.#readings.length > KEPT) this.#readings.shift();
  }

  get #best(): Reading | undefined {
    return this.#readings.reduce<Reading | undefined>(
      (best, next) => (best && best.roundTripMs <= next.roundTripMs ? best : next),
      undefined,
    );
  }

  /** The shortest way there and back, or undefined before the first answer. */
  get roundTripMs(): number | undefined {
    return this.#best?.roundTripMs;
  }

  toAgentUs(pageMs: number): number | undefined {
    const best = this.#best;
    return best && pageMs * 1000 + best.offsetUs;
  }

  toPageMs(agentUs: number): number | undefined {
    const best = this.#best;
    return best && (agentUs - best.offsetUs) / 1000;
  }
}
