// The server's rows, block by block as they arrive.

import { Splats } from "./splats";

const HEADER = 32;
const MOST_ROWS = 1 << 24;

export class FormatError extends Error {}
/** Not damaged: of a kind that the page does not read, and the program may. */
export class OtherFormat extends FormatError {}

/** Takes bytes in pieces of any size; `splats` is there once the header is, and grows by whole blocks. */
export class SplatReader {
  splats: Splats | null = null;
  private block = 0;
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;

  /** True when rows were added. */
  push(piece: Uint8Array): boolean {
    this.waiting.push(piece);
    this.waitingBytes += piece.length;
    if (!this.splats) {
      if (this.waitingBytes < HEADER) return false;
      this.readHeader(this.take(HEADER));
    }
    const splats = this.splats!;
    const before = splats.count;
    while (splats.count < splats.capacity) {
      const rows = Math.min(this.block, splats.capacity - splats.count);
      const bytes = Math.ceil((rows * (32 + 6 * splats.coefficients)) / 4) * 4;
      if (this.waitingBytes < bytes) break;
      splats.append(this.take(bytes), rows);
    }
    return splats.count > before;
  }

  /** After the last piece: throws when rows are missing. */
  end(): Splats {
    if (!this.splats) throw new FormatError("the scene ended before its header");
    if (this.splats.count < this.splats.capacity)
      throw new FormatError(`the scene ended after ${this.splats.count} of ${this.splats.capacity} Gaussians`);
    return this.splats;
  }

  private readHeader(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (new TextDecoder().decode(bytes.subarray(0, 8)) !== "CVSPLAT1") throw new FormatError("this is no scene of this program");
    const [count, coefficients, block] = [view.getUint32(8, true), view.getUint32(12, true), view.getUint32(16, true)];
    if (count > MOST_ROWS || ![1, 4, 9, 16].includes(coefficients) || block < 1)
      throw new FormatError("the header of the scene is damaged");
    this.block = block;
    this.splats = new Splats(count, coefficients, (view.getUint32(20, true) & 1) === 1);
  }

  private take(bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    let filled = 0;
    while (filled < bytes) {
      const first = this.waiting[0];
      const n = Math.min(first.length, bytes - filled);
      out.set(first.subarray(0, n), filled);
      filled += n;
      if (n === first.length) this.waiting.shift();
      else this.waiting[0] = first.subarray(n);
    }
    this.waitingBytes -= bytes;
    return out;
  }
}
