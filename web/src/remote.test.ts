import { describe, expect, it, vi } from "vitest";
import type { View } from "./camera";

vi.mock("./dom", () => ({ byId: () => ({ getContext: () => null }) }));
const { cameraOf, nextSize, wholeSize } = await import("./remote");

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
  });
});
