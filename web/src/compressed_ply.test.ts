import { describe, expect, it } from "vitest";
import { fromHalf } from "./half";
import { readPly } from "./ply";
import { FormatError } from "./stream";
import type { Splats } from "./splats";

const bounds = ["min_x", "min_y", "min_z", "max_x", "max_y", "max_z", "min_scale_x", "min_scale_y", "min_scale_z", "max_scale_x", "max_scale_y", "max_scale_z"];
const colours = ["min_r", "min_g", "min_b", "max_r", "max_g", "max_b"];
const words = ["position", "rotation", "scale", "color"];

interface Sample {
  chunks: readonly (readonly number[])[];
  rows: readonly (readonly [number, number, number, number])[];
  sh?: readonly (readonly number[])[];
  said?: number; // rows
}

/** A compressed .ply; colour bounds where the chunks have 18 numbers. */
function compressed({ chunks, rows, sh, said = rows.length }: Sample): ArrayBuffer {
  const names = chunks[0].length === 18 ? [...bounds, ...colours] : bounds;
  const rest = sh?.[0].length ?? 0;
  const header =
    `ply\nformat binary_little_endian 1.0\nelement chunk ${chunks.length}\n` + names.map((n) => `property float ${n}\n`).join("") +
    `element vertex ${said}\n` + words.map((n) => `property uint packed_${n}\n`).join("") +
    (sh ? `element sh ${sh.length}\n` + sh[0].map((_, k) => `property uchar f_rest_${k}\n`).join("") : "") + "end_header\n";
  const head = new TextEncoder().encode(header);
  const bytes = new Uint8Array(head.length + 4 * names.length * chunks.length + 16 * rows.length + rest * (sh?.length ?? 0));
  bytes.set(head);
  const view = new DataView(bytes.buffer);
  let at = head.length;
  for (const v of chunks.flat()) view.setFloat32((at += 4) - 4, v, true);
  for (const v of rows.flat()) view.setUint32((at += 4) - 4, v >>> 0, true);
  for (const v of (sh ?? []).flat()) bytes[at++] = v;
  return bytes.buffer;
}

const three = (x: number, y: number, z: number): number => ((x << 21) | (y << 11) | z) >>> 0;
const turn = (largest: number, a: number, b: number, c: number): number => ((largest << 30) | (a << 20) | (b << 10) | c) >>> 0;
const color = (r: number, g: number, b: number, a: number): number => ((r << 24) | (g << 16) | (b << 8) | a) >>> 0;
const still = turn(0, 512, 512, 512);

const box = [-1, -2, -3, 1, 2, 3, -8, -8, -8, -2, -2, -2];
const low = [three(0, 0, 0), still, three(0, 0, 0), color(0, 51, 255, 128)] as const;
const high = [three(2047, 1023, 2047), still, three(2047, 1023, 2047), color(255, 255, 255, 255)] as const;
const middle = [three(1024, 512, 1024), turn(2, 1023, 512, 512), three(0, 1023, 0), color(128, 128, 128, 1)] as const;
const byRow = (s: Splats): number[] => Array.from({ length: s.count }, (_, i) => i).sort((a, b) => s.words[a * 8 + 3] - s.words[b * 8 + 3]);

describe("a dropped compressed .ply", () => {
  it("is read between the bounds of its chunk, the most important first", () => {
    const splats = readPly(compressed({ chunks: [box], rows: [low, high, middle] }));
    expect(splats.count).toBe(3);
    expect(splats.degree).toBe(0);
    expect(splats.at(0).row).toBe(1); // the largest
    const [a, b, c] = byRow(splats).map((i) => splats.at(i));
    expect(a.mean).toEqual([-1, -2, -3]);
    expect(b.mean).toEqual([1, 2, 3]);
    for (const [k, v] of c.mean.entries()) expect(v).toBeCloseTo([1 / 2047, 2 / 1023, 3 / 2047][k], 6);
    expect(a.scale[0]).toBeCloseTo(Math.exp(-8), 5);
    expect(b.scale[2]).toBeCloseTo(Math.exp(-2), 4);
    expect(c.scale[1] / c.scale[0]).toBeCloseTo(Math.exp(6), -1);
    expect([a.opacity, b.opacity]).toEqual([expect.closeTo(128 / 255, 4), 1]);
    // Without bounds of colours, bytes are colours.
    for (const [k, v] of a.color.entries()) expect(v).toBeCloseTo([0, 0.2, 1][k], 2);
    // w is the largest and left out; then y is, and w is as large.
    expect(a.quat[0]).toBeCloseTo(1, 4);
    expect(Math.abs(c.quat[2])).toBeCloseTo(Math.SQRT1_2, 2);
    expect(c.quat[0]).toBeCloseTo(Math.SQRT1_2, 2);
  });
  it("takes colours between bounds, and coefficients channel by channel", () => {
    const sh = [Array.from({ length: 9 }, (_, k) => [0, 255, 128, 64, 32, 16, 8, 4, 2][k]), Array.from({ length: 9 }, () => 128)];
    const splats = readPly(compressed({ chunks: [[...box, 0.2, 0.2, 0.2, 0.6, 0.6, 1.4]], rows: [low, high], sh }));
    expect(splats.degree).toBe(1);
    const [a] = byRow(splats);
    for (const [k, v] of splats.at(a).color.entries()) expect(v).toBeCloseTo([0.2, 0.28, 1.4][k], 2);
    const numbers = [...splats.sh.subarray(12 * a + 3, 12 * a + 12)].map(fromHalf);
    // Coefficient 1 of r, g, b is f_rest_0, 3, 6.
    const value = (byte: number): number => (byte === 0 ? -4 : byte === 255 ? 4 : (byte + 0.5) / 32 - 4);
    for (const [k, byte] of [0, 64, 8, 255, 32, 4, 128, 16, 2].entries()) expect(numbers[k]).toBeCloseTo(value(byte), 2);
  });
  it("finds the chunk of each row", () => {
    const far = [9, 9, 9, 11, 11, 11, ...box.slice(6)];
    const splats = readPly(compressed({ chunks: [box, far], rows: [...Array.from({ length: 256 }, () => low), high] }));
    const rows = byRow(splats);
    expect(splats.at(rows[255]).mean).toEqual([-1, -2, -3]);
    expect(splats.at(rows[256]).mean).toEqual([11, 11, 11]);
  });
  it("loses rows that are not finite, and is refused with the reason when it is none", () => {
    const bad = [NaN, ...box.slice(1)];
    const many = Array.from({ length: 256 }, () => low);
    expect(readPly(compressed({ chunks: [bad, box], rows: [...many, high] })).count).toBe(1);
    expect(() => readPly(compressed({ chunks: [bad], rows: [low] }))).toThrow(/finite/);
    expect(() => readPly(compressed({ chunks: [box, box], rows: [low] }))).toThrow(/1 chunks, but there are 2/);
    expect(() => readPly(compressed({ chunks: [box], rows: [low, high], sh: [[1, 2, 3, 4, 5, 6, 7, 8, 9]] }))).toThrow(/1 rows of coefficients/);
    expect(() => readPly(compressed({ chunks: [box], rows: [low], sh: [[1, 2, 3]] }))).toThrow(/no degree/);
    const whole = compressed({ chunks: [box], rows: [low, high] });
    expect(() => readPly(whole.slice(0, whole.byteLength - 1))).toThrow(/ends early/);
    expect(() => readPly(compressed({ chunks: [box], rows: [low], said: 99999999 }))).toThrow(/more than a page/);
    const text = new TextDecoder("latin1").decode(whole);
    const other = (from: string, to: string): ArrayBuffer => Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0)).buffer;
    expect(() => readPly(other("packed_scale", "packed_other"))).toThrow(/lacks the property packed_scale/);
    expect(() => readPly(other("float min_y", "uint min_y"))).toThrow(/min_y of a compressed .ply is no uint/);
    expect(() => readPly(other("element chunk", "element lumps"))).toThrow(FormatError);
  });
});
