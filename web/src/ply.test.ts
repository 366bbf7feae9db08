import { describe, expect, it } from "vitest";
import { readPly } from "./ply";
import { FormatError, OtherFormat } from "./stream";

/** A .ply with float properties in this order; rows of numbers. */
export function plyOf(properties: readonly string[], rows: readonly (readonly number[])[], header = ""): ArrayBuffer {
  const head = new TextEncoder().encode(
    `ply\nformat binary_little_endian 1.0\n${header}element vertex ${rows.length}\n` + properties.map((p) => `property float ${p}\n`).join("") + "end_header\n",
  );
  const buffer = new ArrayBuffer(head.length + 4 * properties.length * rows.length);
  new Uint8Array(buffer).set(head);
  const view = new DataView(buffer, head.length);
  rows.flat().forEach((v, i) => view.setFloat32(4 * i, v, true));
  return buffer;
}

const names = ["x", "y", "z", "nx", "f_dc_0", "f_dc_1", "f_dc_2", ...Array.from({ length: 9 }, (_, k) => `f_rest_${k}`), "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"];
const small = [1, 2, 3, 0, 0.5, 0, -0.5, 11, 12, 13, 21, 22, 23, 31, 32, 33, 0, -4, -5, -6, 2, 0, 0, 0];
const large = [4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, -1, -1, -1, 0, 3, 4, 0];

describe("a dropped .ply", () => {
  it("is read, the most important first, channels to coefficients", () => {
    const splats = readPly(plyOf(names, [small, large], "comment covary antialiased\n"));
    expect(splats.count).toBe(2);
    expect(splats.antialiased).toBe(true);
    expect(splats.degree).toBe(1);
    const [first, second] = [splats.at(0), splats.at(1)];
    expect(first.row).toBe(1);
    expect(second.row).toBe(0);
    expect(second.mean).toEqual([1, 2, 3]);
    expect(second.opacity).toBeCloseTo(0.5, 4);
    expect(second.scale[1]).toBeCloseTo(Math.exp(-5), 5);
    expect(second.quat[0]).toBe(1);
    expect(first.quat[2]).toBeCloseTo(0.8, 4);
    expect(second.color[0]).toBeCloseTo(0.5 + 0.282095 * 0.5, 3);
    // Coefficient 1 of r, g, b is f_rest_0, 3, 6.
    const halves = splats.sh.subarray(3 * 4 + 3, 3 * 4 + 6);
    expect([...halves]).toEqual([0x4980, 0x4d40, 0x4fc0]); // 11, 21, 31
  });
  it("loses rows that are not finite", () => {
    expect(readPly(plyOf(names, [small, large.map((v, k) => (k === 1 ? NaN : v))])).count).toBe(1);
    expect(() => readPly(plyOf(names, [small.map(() => NaN)]))).toThrow(/finite/);
  });
  it("is refused with the reason when it is none", () => {
    const bytes = (text: string): ArrayBuffer => new TextEncoder().encode(text).buffer;
    const whole = plyOf(names, [small, large]);
    expect(() => readPly(new ArrayBuffer(0))).toThrow(FormatError);
    expect(() => readPly(bytes("hello"))).toThrow(/no \.ply/);
    expect(() => readPly(bytes("ply\nformat ascii 1.0\nend_header\n"))).toThrow(/ascii/);
    expect(() => readPly(bytes("ply\nformat binary_little_endian 1.0\n"))).toThrow(/no end/);
    expect(() => readPly(whole.slice(0, whole.byteLength - 1))).toThrow(/ends early/);
    expect(() => readPly(plyOf(names.map((n) => (n === "opacity" ? "other" : n)), [small]))).toThrow(/lacks the property opacity/);
    expect(() => readPly(plyOf(names, []))).toThrow(/no Gaussians/);
    expect(() => readPly(bytes("ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n"))).toThrow(/more than/);
    expect(() => readPly(plyOf([...names, "f_rest_9"], [[...small, 0]]))).toThrow(/no degree/);
    expect(() => readPly(bytes("ply\nformat binary_little_endian 1.0\nelement face 2\nproperty list uchar int v\nelement vertex 1\nproperty float x\nend_header\n"))).toThrow(OtherFormat);
    expect(() => readPly(bytes("ply\nformat binary_little_endian 1.0\nelement vertex two\nproperty float x\nend_header\n"))).toThrow(/two rows/);
  });
});

describe("a .ply with other elements", () => {
  it("is read past those before its Gaussians, and up to those behind", () => {
    const plain = readPly(plyOf(names, [small, large]));
    const text = new TextDecoder("latin1");
    const bytes = new Uint8Array(plyOf(names, [small, large]));
    const [head, body] = text.decode(bytes).split("end_header\n");
    const whole = (before: string, behind: string, rows: string): ArrayBuffer =>
      Uint8Array.from(`${head.replace("element vertex", `${before}element vertex`)}${behind}end_header\n${rows}${body}junk`, (c) => c.charCodeAt(0)).buffer;
    const read = readPly(whole("element camera 2\nproperty uchar a\nproperty ushort b\n", "element face 1\nproperty list uchar int v\n", "abcdef"));
    expect(read.words).toEqual(plain.words);
    expect(read.sh).toEqual(plain.sh);
  });
});
