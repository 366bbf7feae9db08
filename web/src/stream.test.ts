import { describe, expect, it } from "vitest";
import { SplatReader } from "./stream";

function sceneOf(rows: number, coefficients: number, block: number): Uint8Array {
  const blockBytes = (n: number): number => Math.ceil((n * (32 + 6 * coefficients)) / 4) * 4;
  let total = 32;
  for (let i = 0; i < rows; i += block) total += blockBytes(Math.min(block, rows - i));
  const bytes = new Uint8Array(total);
  bytes.set(new TextEncoder().encode("CVSPLAT1"));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, rows, true);
  view.setUint32(12, coefficients, true);
  view.setUint32(16, block, true);
  view.setUint32(20, 1, true);
  let at = 32;
  for (let i = 0; i < rows; i += block) {
    const n = Math.min(block, rows - i);
    for (let k = 0; k < n; ++k) {
      view.setFloat32(at + 32 * k, i + k, true);
      view.setUint32(at + 32 * k + 12, i + k, true);
      view.setUint16(at + 32 * n + 6 * coefficients * k, 0x3c00, true);
    }
    at += blockBytes(n);
  }
  return bytes;
}

describe("rows from the server", () => {
  it("come whole from pieces of any size", () => {
    for (const size of [1, 7, 32, 33, 1000, 100000]) {
      const bytes = sceneOf(25, 1, 10);
      const reader = new SplatReader();
      const counts: number[] = [];
      for (let i = 0; i < bytes.length; i += size) if (reader.push(bytes.subarray(i, i + size))) counts.push(reader.splats!.count);
      const splats = reader.end();
      expect(counts.at(-1)).toBe(25);
      if (size === 7) expect(counts).toEqual([10, 20, 25]);
      expect(splats.antialiased).toBe(true);
      for (let i = 0; i < 25; ++i) {
        expect(splats.means[3 * i]).toBe(i);
        expect(splats.at(i).row).toBe(i);
        expect(splats.at(i).color[0]).toBeCloseTo(0.5 + 0.28209479);
      }
    }
  });
  it("are refused when they are damaged", () => {
    const bytes = sceneOf(25, 4, 10);
    const reader = new SplatReader();
    reader.push(bytes.subarray(0, bytes.length - 4));
    expect(() => reader.end()).toThrow(/20 of 25/);
    expect(() => new SplatReader().end()).toThrow(/header/);
    const wrong = bytes.slice();
    wrong[0] = 65;
    expect(() => new SplatReader().push(wrong)).toThrow(/no scene/);
    const absurd = bytes.slice();
    new DataView(absurd.buffer).setUint32(8, 4e9, true);
    expect(() => new SplatReader().push(absurd)).toThrow(/damaged/);
  });
});
