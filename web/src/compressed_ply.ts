// PlayCanvas's compressed .ply, read in the page (splat/scene/format_compressed_ply.cc of the program says what lies where): chunks
// of 256 rows with the bounds of each, four words a row, and a byte for each coefficient above degree 0.

import { Splats } from "./splats";
import { FormatError } from "./stream";
import type { Quat, Vec3 } from "./math";

const CHUNK = 256;
const C0 = 0.28209479177387814;
const BOUNDS = ["min_x", "min_y", "min_z", "max_x", "max_y", "max_z", "min_scale_x", "min_scale_y", "min_scale_z", "max_scale_x", "max_scale_y", "max_scale_z"];
const COLOUR_BOUNDS = ["min_r", "min_g", "min_b", "max_r", "max_g", "max_b"]; // of newer files
const PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"];

/** An element of the header: its rows stand from `begin` on, a stride apart. */
export interface Element {
  rows: number;
  begin: number;
  stride: number;
  properties: ReadonlyMap<string, { type: string; offset: number }>;
}

const lerp = (low: number, high: number, t: number): number => low * (1 - t) + high * t;
const isFloat = (type: string): boolean => type === "float" || type === "float32";

/** elements: within the bytes of the view, whole. Throws FormatError with what is wrong. */
export function readCompressed(view: DataView, elements: ReadonlyMap<string, Element>): Splats {
  const rowsOf = (name: string): Element => {
    const e = elements.get(name);
    if (!e) throw new FormatError(`this compressed .ply lacks the element ${name}`);
    return e;
  };
  const offset = (element: string, name: string, right: (type: string) => boolean): number => {
    const p = rowsOf(element).properties.get(name);
    if (!p) throw new FormatError(`this compressed .ply lacks the property ${name}`);
    if (!right(p.type)) throw new FormatError(`the property ${name} of a compressed .ply is no ${p.type}`);
    return p.offset;
  };
  const [chunk, vertex] = [rowsOf("chunk"), rowsOf("vertex")];
  const rows = vertex.rows;
  if (chunk.rows !== Math.ceil(rows / CHUNK)) throw new FormatError(`${rows} Gaussians take ${Math.ceil(rows / CHUNK)} chunks, but there are ${chunk.rows}`);
  const bounds = BOUNDS.map((name) => offset("chunk", name, isFloat));
  const coloured = chunk.properties.has("min_r");
  if (coloured) bounds.push(...COLOUR_BOUNDS.map((name) => offset("chunk", name, isFloat)));
  const packed = PACKED.map((name) => offset("vertex", name, (type) => type === "uint" || type === "uint32"));
  const sh = elements.get("sh");
  const rest = sh ? sh.properties.size : 0;
  const inFile = rest / 3 + 1; // coefficients a channel
  if (![1, 4, 9, 16, 25].includes(inFile)) throw new FormatError(`${rest} properties f_rest_* are of no degree`);
  if (sh && sh.rows !== rows) throw new FormatError(`${sh.rows} rows of coefficients for ${rows} Gaussians`);
  const above = Array.from({ length: rest }, (_, k) => offset("sh", `f_rest_${k}`, (type) => type === "uchar" || type === "uint8"));
  const coefficients = Math.min(inFile, 16);

  const bound = (i: number, k: number): number => view.getFloat32(chunk.begin + Math.floor(i / CHUNK) * chunk.stride + bounds[k], true);
  const code = (i: number, k: number): number => view.getUint32(vertex.begin + i * vertex.stride + packed[k], true);
  // 11, 10 and 11 bits between the bounds that begin at `first`.
  const three = (i: number, k: number, first: number): Vec3 => {
    const c = code(i, k);
    return [
      lerp(bound(i, first), bound(i, first + 3), (c >>> 21) / 2047),
      lerp(bound(i, first + 1), bound(i, first + 4), ((c >>> 11) & 1023) / 1023),
      lerp(bound(i, first + 2), bound(i, first + 5), (c & 2047) / 2047),
    ];
  };
  // The largest of four is left out: it follows from the others, which come in their order.
  const turn = (c: number): Quat => {
    const largest = c >>> 30;
    const others = [20, 10, 0].map((shift) => (((c >>> shift) & 1023) / 1023 - 0.5) * Math.SQRT2);
    const own = Math.sqrt(Math.max(0, 1 - others.reduce((sum, v) => sum + v * v, 0)));
    others.splice(largest, 0, own);
    return others as unknown as Quat;
  };

  const kept: number[] = [];
  const weight = new Float64Array(rows);
  for (let i = 0; i < rows; ++i) {
    const scale = three(i, 2, 6);
    const colours = coloured ? [12, 13, 14, 15, 16, 17].map((k) => bound(i, k)) : [];
    if (![...three(i, 0, 0), ...scale, ...colours].every((v) => Number.isFinite(v))) continue;
    const [first, second] = [...scale].sort((a, b) => b - a);
    weight[i] = first + second + Math.log(Math.max(code(i, 3) & 255, 1e-3));
    kept.push(i);
  }
  if (kept.length === 0) throw new FormatError("no row of this .ply is finite");
  kept.sort((a, b) => weight[b] - weight[a] || a - b);
  const splats = new Splats(kept.length, coefficients, false);
  const numbers = new Float32Array(3 * coefficients);
  for (const i of kept) {
    const c = code(i, 3);
    for (let k = 0; k < 3; ++k) {
      const t = ((c >>> (24 - 8 * k)) & 255) / 255;
      numbers[k] = ((coloured ? lerp(bound(i, 12 + k), bound(i, 15 + k), t) : t) - 0.5) / C0;
      for (let j = 1; j < coefficients; ++j) {
        const b = view.getUint8(sh!.begin + i * sh!.stride + above[k * (inFile - 1) + j - 1]);
        numbers[3 * j + k] = b === 0 ? -4 : b === 255 ? 4 : ((b + 0.5) / 256 - 0.5) * 8;
      }
    }
    splats.push({ row: i, mean: three(i, 0, 0), quat: turn(code(i, 1)), logScale: three(i, 2, 6), opacity: (c & 255) / 255 }, numbers);
  }
  return splats;
}
