import { describe, expect, it } from "vitest";
import { readSplat } from "./splat_file";
import { FormatError } from "./stream";

/** Rows of a .splat: mean, standard deviations, rgba and rotation bytes. */
function splatOf(rows: readonly { mean: number[]; scale: number[]; rgba: number[]; turn: number[] }[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(32 * rows.length));
  rows.forEach(({ mean, scale, rgba, turn }, i) => {
    [...mean, ...scale].forEach((v, k) => view.setFloat32(32 * i + 4 * k, v, true));
    [...rgba, ...turn].forEach((v, k) => view.setUint8(32 * i + 24 + k, v));
  });
  return view.buffer;
}
const small = { mean: [1, 2, 3], scale: [0.01, 0.02, 0.03], rgba: [255, 0, 128, 51], turn: [255, 128, 128, 128] };
const large = { mean: [4, 5, 6], scale: [1, 1, 1], rgba: [0, 0, 0, 255], turn: [128, 192, 128, 128] };

describe("a dropped .splat", () => {
  it("is read, the most important first", () => {
    const splats = readSplat(splatOf([small, large]));
    expect(splats.count).toBe(2);
    expect(splats.degree).toBe(0);
    const [first, second] = [splats.at(0), splats.at(1)];
    expect(first.row).toBe(1);
    expect(first.quat).toEqual([0, 1, 0, 0]);
    expect(second.mean).toEqual([1, 2, 3]);
    expect(second.scale[1]).toBeCloseTo(0.02, 4);
    expect(second.opacity).toBeCloseTo(0.2, 4);
    expect(second.color[0]).toBeCloseTo(1, 2);
    expect(second.color[1]).toBeCloseTo(0, 2);
    expect(second.quat[0]).toBeCloseTo(1, 4);
  });
  it("loses rows that are no Gaussians, and is refused when none is left or it ends early", () => {
    expect(readSplat(splatOf([small, { ...large, mean: [NaN, 0, 0] }])).count).toBe(1);
    expect(readSplat(splatOf([small, { ...large, scale: [-1, 1, 1] }])).count).toBe(1);
    expect(() => readSplat(splatOf([{ ...large, mean: [Infinity, 0, 0] }]))).toThrow(/finite/);
    expect(() => readSplat(splatOf([small]).slice(0, 31))).toThrow(FormatError);
    expect(() => readSplat(new ArrayBuffer(0))).toThrow(/0 bytes/);
  });
});
