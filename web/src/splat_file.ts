// The .splat of a scene, read in the page: 32 bytes a row, no header (splat/scene/format_splat.cc of the program).

import { Splats } from "./splats";
import { FormatError } from "./stream";

const ROW = 32;
const C0 = 0.28209479177387814;
const MOST_ROWS = 1 << 24;

/** Throws FormatError with what is wrong. */
export function readSplat(buffer: ArrayBuffer): Splats {
  const rows = buffer.byteLength / ROW;
  if (rows < 1 || !Number.isInteger(rows)) throw new FormatError(`${buffer.byteLength} bytes are no rows of a .splat, which has 32 bytes each`);
  if (rows > MOST_ROWS) throw new FormatError(`${rows} Gaussians are more than a page can hold`);
  const view = new DataView(buffer);
  const kept: number[] = [];
  const weight = new Float64Array(rows);
  for (let i = 0; i < rows; ++i) {
    const numbers = [0, 1, 2, 3, 4, 5].map((k) => view.getFloat32(ROW * i + 4 * k, true));
    const [a, b, c] = numbers.slice(3);
    if (!numbers.every((v) => Number.isFinite(v)) || a < 0 || b < 0 || c < 0) continue;
    const [first, second] = [a, b, c].sort((x, y) => y - x);
    weight[i] = first * second * view.getUint8(ROW * i + 27);
    kept.push(i);
  }
  if (kept.length === 0) throw new FormatError("no row of this .splat is finite");
  kept.sort((a, b) => weight[b] - weight[a] || a - b);
  const splats = new Splats(kept.length, 1, false);
  for (const i of kept) {
    const at = (k: number): number => view.getFloat32(ROW * i + 4 * k, true);
    const byte = (k: number): number => view.getUint8(ROW * i + 24 + k);
    const turn = (k: number): number => (byte(4 + k) - 128) / 128;
    const sh = [0, 1, 2].map((k) => (byte(k) / 255 - 0.5) / C0);
    splats.push({ row: i, mean: [at(0), at(1), at(2)], quat: [turn(0), turn(1), turn(2), turn(3)], logScale: [Math.log(at(3)), Math.log(at(4)), Math.log(at(5))], opacity: byte(3) / 255 }, sh);
  }
  return splats;
}
