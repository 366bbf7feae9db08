import { describe, expect, it, vi } from "vitest";
import type { View } from "./camera";
import type { Frame, FrameRequest, Source } from "./source";

vi.mock("./dom", () => ({ byId: () => ({ getContext: () => null }) }));
const { cameraOf, nextSize, RemotePicture, wholeSize } = await import("./remote");

describe("pictures of the program", () => {
  it("become smaller when they take too long, and larger when there is time", () => {
    expect(nextSize(0.5, 360)).toBeCloseTo(0.25);
    expect(nextSize(0.5, 1e6)).toBeCloseTo(0.25); // at most half at a time
    expect(nextSize(0.2, 1e6)).toBe(0.125);
    expect(nextSize(0.5, 90)).toBeCloseTo(0.5);
    expect(nextSize(0.5, 1)).toBeCloseTo(0.75);
    expect(nextSize(0.9, 1)).toBe(1);
  });
  it("have the page's camera at any size", () => {
    const view: View = { position: [1, 2, 3], rotation: [0, 1, 0, 0, 0, 1, 1, 0, 0], width: 100, height: 60, fx: 80, fy: 80, cx: 50, cy: 30 };
    const half = cameraOf(view, 0.5);
    expect(half).toMatchObject({ width: 50, height: 30, fx: 40, fy: 40, cx: 25, cy: 15 });
    // The camera's own place is at 0 in its axes.
    for (const line of half.cam_from_world.slice(0, 3)) expect(line[0] * 1 + line[1] * 2 + line[2] * 3 + line[3]).toBeCloseTo(0);
    const odd = cameraOf(view, 0.333);
    expect([odd.width, odd.height]).toEqual([33, 20]);
    expect(odd.fx / odd.width).toBeCloseTo(80 / 100);
    expect(wholeSize(view)).toBe(1);
    const large = { ...view, width: 7680, height: 4800 };
    expect(wholeSize(large)).toBeCloseTo(0.5);
    expect(cameraOf(large, wholeSize(large))).toMatchObject({ width: 3840, height: 2400 });
    expect(cameraOf(view, 1e-9)).toMatchObject({ width: 1, height: 1 });
    for (const [width, height] of [[5120, 2880], [3841, 2401], [7321, 4567], [6016, 3384]]) {
      const camera = cameraOf({ ...view, width, height }, wholeSize({ ...view, width, height }));
      expect(camera.width * camera.height).toBeLessThanOrEqual(3840 * 2400);
      expect(camera.width * camera.height).toBeGreaterThan(0.998 * 3840 * 2400);
    }
    expect(wholeSize(large, Infinity)).toBe(1);
  });
  it("are asked for again when the scene changes while a whole one is on its way", async () => {
    vi.stubGlobal("createImageBitmap", () => Promise.resolve({ close: () => undefined }));
    const asked: { quality: number | undefined; answer: () => void }[] = [];
    const frame = (request: FrameRequest): Promise<Frame> =>
      new Promise((done) => asked.push({ quality: request.quality, answer: () => done({ picture: new Blob(), range: null }) }));
    const faults: unknown[] = [];
    let shown = 0;
    const remote = new RemotePicture({ frame } as unknown as Source, () => ++shown, (fault) => faults.push(fault));
    const view: View = { position: [0, 0, 0], rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], width: 100, height: 60, fx: 80, fy: 80, cx: 50, cy: 30 };
    const answer = async (k: number): Promise<void> => {
      await vi.waitFor(() => expect(asked.length).toBe(k + 1));
      asked[k].answer();
      await vi.waitFor(() => expect(shown).toBe(k + 1));
    };
    remote.want(view, { mode: "colour", degree: 3, scale: 1, background: [0, 0, 0], crop: null, selected: -1 });
    await answer(0);
    await vi.waitFor(() => expect(asked.length).toBe(2));
    remote.renew();
    await answer(1); // whole, of the scene before
    await answer(2);
    await answer(3);
    await vi.waitFor(() => expect(remote.busy).toBe(false));
    expect(asked.map((a) => a.quality)).toEqual([75, 92, 75, 92]);
    expect(faults).toEqual([]);
    vi.unstubAllGlobals();
  });
});
