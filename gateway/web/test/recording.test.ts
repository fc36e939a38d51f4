import { LocalAudioTrack, type LocalTrack } from "livekit-client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { recordOn } from "../src/call/recording";

afterEach(() => vi.useRealTimers());

describe("recordOn", () => {
  it("lets the recording go on a little after LiveKit would have stopped it", () => {
    vi.useFakeTimers();
    const stop = vi.fn();
    const track = { stopPreConnectBuffer: stop };
    recordOn(track as unknown as LocalTrack);
    track.stopPreConnectBuffer();
    vi.advanceTimersByTime(300);
    expect(stop).not.toHaveBeenCalled();
    vi.advanceTimersByTime(400);
    expect(stop).toHaveBeenCalledOnce();
  });

  it("leaves a camera's track alone", () => {
    const camera = {} as LocalTrack;
    recordOn(camera);
    expect(camera).toEqual({});
  });

  it("holds on to what LiveKit's tracks have", () => {
    expect("stopPreConnectBuffer" in LocalAudioTrack.prototype).toBe(true);
  });
});
