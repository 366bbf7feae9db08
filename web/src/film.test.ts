import { describe, expect, it, vi } from "vitest";
import type { View } from "./camera";

vi.mock("./dom", () => ({ byId: () => null, on: () => undefined, input: () => null, select: () => null, download: () => undefined }));
const { filmSize } = await import("./film");

describe("a video", () => {
  const view: View = { position: [0, 0, 0], rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], width: 801, height: 600, fx: 1, fy: 1, cx: 0, cy: 0 };
  it("has the size that is chosen, even as videos ask", () => {
    expect(filmSize("window", view)).toEqual([800, 600]);
    expect(filmSize("1280x720", view)).toEqual([1280, 720]);
    expect(filmSize("window", { ...view, width: 1 })).toEqual([2, 600]);
  });
});
