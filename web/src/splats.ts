// A scene in memory, as the server's rows lie (splat_stream.h of the program): what goes to the graphics card.

import { fromHalf, toHalf } from "./half";
import type { Quat, Vec3 } from "./math";

const LOW = -20; // log of the standard deviation, at 0 and at 65535
const HIGH = 12;
const C0 = 0.28209479177387814;

/** One Gaussian in plain numbers. */
export interface Splat {
  row: number; // of the file
  mean: Vec3;
  quat: Quat;
  scale: Vec3; // standard deviations, world units
  opacity: number; // 0..1
  color: Vec3; // of degree 0
}

export interface NewSplat {
  row: number;
  mean: Vec3;
  quat: Quat; // of any length
  logScale: Vec3;
  opacity: number;
}

/** Rows that are filled one after the other; `count` of them are there. */
export class Splats {
  readonly words: Uint32Array; // 8 a row
  readonly sh: Uint16Array; // 3 K halves a row
  readonly means: Float32Array; // 3 a row, for sorting
  count = 0;
  private readonly halves: Uint16Array;
  private readonly signed: Int16Array;
  private readonly floats: Float32Array;

  constructor(
    readonly capacity: number,
    readonly coefficients: number, // K
    readonly antialiased: boolean,
  ) {
    this.words = new Uint32Array(capacity * 8);
    this.sh = new Uint16Array(capacity * 3 * coefficients);
    this.means = new Float32Array(capacity * 3);
    this.halves = new Uint16Array(this.words.buffer);
    this.signed = new Int16Array(this.words.buffer);
    this.floats = new Float32Array(this.words.buffer);
  }

  get degree(): number {
    return Math.round(Math.sqrt(this.coefficients)) - 1;
  }

  /** Appends rows as they come from the server: n * 32 bytes, then n * 6 K. */
  append(bytes: Uint8Array, rows: number): void {
    const first = this.count;
    new Uint8Array(this.words.buffer).set(bytes.subarray(0, rows * 32), first * 32);
    const shBytes = rows * 6 * this.coefficients;
    new Uint8Array(this.sh.buffer).set(bytes.subarray(rows * 32, rows * 32 + shBytes), first * 6 * this.coefficients);
    this.count = first + rows;
    this.copyMeans(first);
  }

  /** Appends one row; sh: 3 K numbers, coefficient-major. */
  push(s: NewSplat, sh: ArrayLike<number>): void {
    const i = this.count++;
    this.floats.set(s.mean, i * 8);
    this.words[i * 8 + 3] = s.row;
    const n = Math.hypot(...s.quat);
    for (let k = 0; k < 4; ++k) this.signed[i * 16 + 8 + k] = Math.round(n > 0 ? (32767 * s.quat[k]) / n : k ? 0 : 32767);
    for (let k = 0; k < 3; ++k)
      this.halves[i * 16 + 12 + k] = Math.round(65535 * Math.min(1, Math.max(0, (s.logScale[k] - LOW) / (HIGH - LOW))));
    this.halves[i * 16 + 15] = Math.round(65535 * Math.min(1, Math.max(0, s.opacity)));
    const to = i * 3 * this.coefficients;
    for (let k = 0; k < 3 * this.coefficients; ++k) this.sh[to + k] = toHalf(sh[k]);
    this.means.set(s.mean, i * 3);
  }

  private copyMeans(first: number): void {
    for (let i = first; i < this.count; ++i) {
      this.means[3 * i] = this.floats[8 * i]!;
      this.means[3 * i + 1] = this.floats[8 * i + 1]!;
      this.means[3 * i + 2] = this.floats[8 * i + 2]!;
    }
  }

  opacity(i: number): number {
    return this.halves[i * 16 + 15] / 65535;
  }
  scale(i: number, axis: 0 | 1 | 2): number {
    return Math.exp(LOW + (this.halves[i * 16 + 12 + axis] / 65535) * (HIGH - LOW));
  }

  at(i: number): Splat {
    const q = (k: number): number => this.signed[i * 16 + 8 + k] / 32767;
    const c = (k: number): number => 0.5 + C0 * fromHalf(this.sh[i * 3 * this.coefficients + k]);
    return {
      row: this.words[i * 8 + 3],
      mean: [this.floats[i * 8], this.floats[i * 8 + 1], this.floats[i * 8 + 2]],
      quat: [q(0), q(1), q(2), q(3)],
      scale: [this.scale(i, 0), this.scale(i, 1), this.scale(i, 2)],
      opacity: this.opacity(i),
      color: [c(0), c(1), c(2)],
    };
  }

  /** A number a row: of the rows' own numbers. */
  ownColumn(name: "opacity" | "largest scale" | "elongation"): Float32Array {
    const out = new Float32Array(this.count);
    for (let i = 0; i < this.count; ++i) {
      if (name === "opacity") {
        out[i] = this.opacity(i);
        continue;
      }
      const s = [this.scale(i, 0), this.scale(i, 1), this.scale(i, 2)];
      const largest = Math.max(...s);
      out[i] = name === "largest scale" ? Math.log10(largest) : largest / Math.min(...s);
    }
    return out;
  }
}

/** The least and greatest of the middle 96% of what is finite, so that outliers do not take the colours. */
export function middleRange(values: Float32Array): [number, number] {
  const finite = values.filter((v) => Number.isFinite(v)).sort();
  if (finite.length === 0) return [0, 1];
  const at = (share: number): number => finite[Math.round(share * (finite.length - 1))];
  const [low, high] = [at(0.02), at(0.98)];
  return high > low ? [low, high] : [low, low + 1];
}
