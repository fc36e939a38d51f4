import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { h } from "../src/dom";

const SOURCE = join(import.meta.dirname, "..", "src");
const SINKS =
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTMLUnsafe|srcdoc|\beval\(|new Function/;
const HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>';

describe("what people and models say", () => {
  beforeEach(() => {
    const createElement = (tag: string) => ({
      tag,
      children: [] as unknown[],
      append(...added: unknown[]) {
        this.children.push(...added);
      },
      setAttribute() {},
    });
    vi.stubGlobal("document", { createElement });
  });
  afterEach(() => vi.unstubAllGlobals());

  test("goes into an element as text and makes no element of its own", () => {
    const line = h("p", {}, HOSTILE) as unknown as { children: unknown[] };
    expect(line.children).toEqual([HOSTILE]); // append() makes a text node of a string
  });

  test("meets nothing in the page that would read it as markup or as a program", () => {
    const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" });
    const sources = files.filter((name) => name.endsWith(".ts"));
    expect(sources.length).toBeGreaterThan(20);
    const offenders = sources.filter((name) =>
      SINKS.test(readFileSync(join(SOURCE, name), "utf8")),
    );
    expect(offenders).toEqual([]);
  });
});
