// The .ply of a scene, read in the page: for scenes that are dropped on it.

import { readCompressed } from "./compressed_ply";
import { Splats } from "./splats";
import { FormatError, OtherFormat } from "./stream";
import type { Element } from "./compressed_ply";
import type { Vec3 } from "./math";

const SIZES: Readonly<Record<string, number>> = {
  char: 1, int8: 1, uchar: 1, uint8: 1, short: 2, int16: 2, ushort: 2, uint16: 2,
  int: 4, int32: 4, uint: 4, uint32: 4, float: 4, float32: 4, double: 8, float64: 8,
};
// Comments of scenes that are drawn with the antialiasing filter; splat/scene/ply.cc reads the same.
const FILTERED = ["comment SplatRenderMode: mip", "comment antialiased 1", "comment covary antialiased"];
const MOST_ROWS = 1 << 24;
const MOST_HEADER = 1 << 16;

interface Property {
  type: string;
  offset: number;
}

/** Throws FormatError with what is wrong. */
export function readPly(buffer: ArrayBuffer): Splats {
  const start = new TextDecoder("latin1").decode(new Uint8Array(buffer, 0, Math.min(MOST_HEADER, buffer.byteLength)));
  if (!start.startsWith("ply")) throw new FormatError("this is no .ply file");
  const mark = /\nend_header\r?\n/.exec(start);
  if (!mark) throw new FormatError("the header of the .ply has no end");

  const elements = new Map<string, Element & { properties: Map<string, Property> }>();
  let element: (Element & { properties: Map<string, Property> }) | null = null;
  let antialiased = false;
  for (const line of start.slice(0, mark.index).split(/\r?\n/)) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "format" && words[1] !== "binary_little_endian")
      throw new OtherFormat(`a .ply of format ${words[1] ?? "?"} is not read here, only binary_little_endian`);
    if (FILTERED.includes(words.join(" "))) antialiased = true;
    if (words[0] === "element") {
      const rows = Number(words[2]);
      if (!Number.isInteger(rows) || rows < 0) throw new FormatError(`the header of the .ply counts ${words[2] ?? "?"} rows`);
      element = { rows, begin: 0, stride: 0, properties: new Map<string, Property>() };
      elements.set(words[1] ?? "", element);
    }
    if (words[0] === "property" && element) {
      const size = SIZES[words[1] ?? ""];
      if (!size) {
        // Lists, whose rows have no size, may stand behind the Gaussians.
        if (elements.has("vertex") && element !== elements.get("vertex")) break;
        throw new OtherFormat(`a property of type ${words[1] ?? "?"} is not read here`);
      }
      element.properties.set(words[2] ?? "", { type: words[1], offset: element.stride });
      element.stride += size;
    }
  }
  let begin = mark.index + mark[0].length;
  for (const [name, e] of elements) {
    if (e.rows > MOST_ROWS) throw new FormatError(`${e.rows} Gaussians are more than a page can hold`);
    e.begin = begin;
    begin += e.rows * e.stride;
    if (begin > buffer.byteLength)
      throw new FormatError(`the .ply ends early: ${e.rows} rows of ${e.stride} bytes are said of ${name}, ${buffer.byteLength - e.begin} bytes are there`);
    if (name === "vertex" && !elements.has("sh")) break;
  }
  const vertex = elements.get("vertex");
  if (!vertex || vertex.rows < 1) throw new FormatError("this .ply holds no Gaussians");
  if (vertex.properties.has("packed_position")) return readCompressed(new DataView(buffer), elements);
  const { rows, stride, properties } = vertex;

  const view = new DataView(buffer, vertex.begin, rows * stride);
  const reader = (name: string): ((i: number) => number) => {
    const p = properties.get(name);
    if (!p) throw new FormatError(`this .ply lacks the property ${name}: it is no scene of Gaussians`);
    const o = p.offset;
    switch (p.type) {
      case "float": case "float32": return (i) => view.getFloat32(i * stride + o, true);
      case "double": case "float64": return (i) => view.getFloat64(i * stride + o, true);
      case "uchar": case "uint8": return (i) => view.getUint8(i * stride + o);
      case "char": case "int8": return (i) => view.getInt8(i * stride + o);
      case "ushort": case "uint16": return (i) => view.getUint16(i * stride + o, true);
      case "short": case "int16": return (i) => view.getInt16(i * stride + o, true);
      case "uint": case "uint32": return (i) => view.getUint32(i * stride + o, true);
      default: return (i) => view.getInt32(i * stride + o, true);
    }
  };
  const many = (prefix: string, n: number): ((i: number) => number)[] => Array.from({ length: n }, (_, k) => reader(`${prefix}${k}`));
  const mean = ["x", "y", "z"].map(reader);
  const [quat, scale, dc, opacity] = [many("rot_", 4), many("scale_", 3), many("f_dc_", 3), reader("opacity")];
  let rest = 0;
  while (properties.has(`f_rest_${rest}`)) ++rest;
  const inFile = rest / 3 + 1; // coefficients a channel
  if (![1, 4, 9, 16, 25].includes(inFile)) throw new FormatError(`${rest} properties f_rest_* are of no degree`);
  const coefficients = Math.min(inFile, 16);
  const above = many("f_rest_", rest);

  // Rows that are not finite are left out, as the server does; the most important come first.
  const kept: number[] = [];
  const weight = new Float64Array(rows);
  const all = [...mean, ...quat, ...scale, ...dc, opacity, ...above];
  for (let i = 0; i < rows; ++i) {
    if (!all.every((f) => Number.isFinite(f(i)))) continue;
    const s = scale.map((f) => f(i)).sort((a, b) => b - a);
    weight[i] = s[0] + s[1] - Math.log1p(Math.exp(-opacity(i)));
    kept.push(i);
  }
  if (kept.length === 0) throw new FormatError("no row of this .ply is finite");
  kept.sort((a, b) => weight[b] - weight[a] || a - b);
  const splats = new Splats(kept.length, coefficients, antialiased);
  const sh = new Float32Array(3 * coefficients);
  const vec = (f: ((i: number) => number)[], i: number): Vec3 => [f[0](i), f[1](i), f[2](i)];
  for (const i of kept) {
    for (let c = 0; c < 3; ++c) {
      sh[c] = dc[c](i);
      for (let k = 1; k < coefficients; ++k) sh[3 * k + c] = above[c * (inFile - 1) + k - 1](i);
    }
    splats.push(
      {
        row: i,
        mean: vec(mean, i),
        quat: [quat[0](i), quat[1](i), quat[2](i), quat[3](i)],
        logScale: vec(scale, i),
        opacity: 1 / (1 + Math.exp(-opacity(i))),
      },
      sh,
    );
  }
  return splats;
}
