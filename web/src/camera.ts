// The camera that one looks through, and those of a cameras.json.

import { add, across, cross, matrixOf, norm, quaternionOf, row, scaled, slerp, sub, times, transposed, unit } from "./math";
import { catmullRom, dot, mix } from "./math";
import type { Mat3, Quat, Vec3 } from "./math";

/** A pinhole camera in pixels of a picture of width x height. */
export interface View {
  position: Vec3;
  rotation: Mat3; // cam_from_world
  width: number;
  height: number;
  fx: number;
  fy: number;
  cx: number;
  cy: number;
}

export interface CaptureCamera extends View {
  name: string;
  split: string;
  projection: string;
}

export interface CameraFile {
  cameras: CaptureCamera[];
  background: Vec3;
  extent: number;
}

const numbers = (value: unknown, n: number): number[] | null =>
  Array.isArray(value) && value.length === n && value.every((v) => typeof v === "number" && Number.isFinite(v)) ? (value as number[]) : null;

const text = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);

/** Of a covary-cameras/1 document; cameras that cannot be read are left out. */
export function readCameras(document: unknown): CameraFile {
  const file: CameraFile = { cameras: [], background: [0, 0, 0], extent: 1 };
  if (typeof document !== "object" || document === null) return file;
  const d = document as Record<string, unknown>;
  const background = numbers(d["background"], 3);
  if (background) file.background = background as unknown as Vec3;
  if (typeof d["extent"] === "number") file.extent = d["extent"];
  for (const entry of Array.isArray(d["cameras"]) ? (d["cameras"] as unknown[]) : []) {
    const c = entry as Record<string, unknown>;
    const m = Array.isArray(c["cam_from_world"]) ? (c["cam_from_world"] as unknown[]).map((r) => numbers(r, 4)) : [];
    const lens = ["width", "height", "fx", "fy", "cx", "cy"].map((k) => c[k]);
    if (m.length < 3 || !m[0] || !m[1] || !m[2] || !lens.every((v) => typeof v === "number")) continue;
    const [width, height, fx, fy, cx, cy] = lens as [number, number, number, number, number, number];
    // A pose may hold a scale, of a similarity: it is of no matter to a pinhole.
    const r0 = m[0].slice(0, 3) as unknown as Vec3;
    const size = norm(r0);
    const rotation = [...m[0].slice(0, 3), ...m[1].slice(0, 3), ...m[2].slice(0, 3)].map((v) => v / size) as unknown as Mat3;
    const t = scaled([m[0][3], m[1][3], m[2][3]], 1 / size);
    file.cameras.push({
      name: text(c["name"], ""),
      split: text(c["split"], ""),
      projection: text(c["projection"], "pinhole"),
      position: scaled(times(transposed(rotation), t), -1),
      rotation,
      width, height, fx, fy, cx, cy,
    });
  }
  return file;
}

/** The document that `covary render --path` and `--cameras` take. */
export function camerasDocument(views: readonly View[], background: Vec3, extent: number): string {
  const cameras = views.map((v, i) => {
    const t = scaled(times(v.rotation, v.position), -1);
    const line = (k: 0 | 1 | 2): number[] => [...row(v.rotation, k), t[k]];
    return {
      name: `view-${String(i + 1).padStart(4, "0")}`,
      split: "",
      projection: "pinhole",
      width: v.width, height: v.height, fx: v.fx, fy: v.fy, cx: v.cx, cy: v.cy,
      cam_from_world: [line(0), line(1), line(2), [0, 0, 0, 1]],
    };
  });
  const scene_from_capture = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
  return JSON.stringify({ schema: "covary-cameras/1", scene_from_capture, background, extent, cameras }, null, 1) + "\n";
}

export const forward = (v: { rotation: Mat3 }): Vec3 => row(v.rotation, 2);
export const right = (v: { rotation: Mat3 }): Vec3 => row(v.rotation, 0);
export const down = (v: { rotation: Mat3 }): Vec3 => row(v.rotation, 1);

/** cam_from_world of a camera that looks along `direction` with `up` upward. */
export function lookingAlong(direction: Vec3, up: Vec3): Mat3 {
  const z = unit(direction);
  let x = cross(z, up);
  x = norm(x) > 1e-6 * norm(up) ? unit(x) : across(z);
  const y = cross(z, x);
  return [...x, ...y, ...z] as unknown as Mat3;
}

/** The ray through a pixel: unit, world. */
export function rayOf(v: View, x: number, y: number): Vec3 {
  return unit(times(transposed(v.rotation), [(x - v.cx) / v.fx, (y - v.cy) / v.fy, 1]));
}

/** Bounds of x/z and y/z inside the Jacobian of the projection: the view, and 0.3 of half of it more. */
export function jacobianLimits(v: View): { lowX: number; highX: number; lowY: number; highY: number } {
  const [marginX, marginY] = [(0.15 * v.width) / v.fx, (0.15 * v.height) / v.fy];
  return {
    lowX: -(v.cx / v.fx + marginX), highX: (v.width - v.cx) / v.fx + marginX,
    lowY: -(v.cy / v.fy + marginY), highY: (v.height - v.cy) / v.fy + marginY,
  };
}

/** The view in a window of another size: the whole picture, in its middle. */
export function fitted(v: View, width: number, height: number): View & { left: number; top: number; zoom: number } {
  const zoom = Math.min(width / v.width, height / v.height);
  const left = (width - zoom * v.width) / 2;
  const top = (height - zoom * v.height) / 2;
  return { ...v, width, height, fx: v.fx * zoom, fy: v.fy * zoom, cx: v.cx * zoom + left, cy: v.cy * zoom + top, left, top, zoom };
}

/** The eight corners of a camera's frustum as lines of (from, to), at `depth` from it. */
export function frustumLines(c: View, depth: number): Vec3[] {
  const back = transposed(c.rotation);
  const corner = (x: number, y: number): Vec3 =>
    add(c.position, times(back, scaled([(x - c.cx) / c.fx, (y - c.cy) / c.fy, 1], depth)));
  const [a, b, d, e] = [corner(0, 0), corner(c.width, 0), corner(c.width, c.height), corner(0, c.height)] as const;
  const o = c.position;
  return [o, a, o, b, o, d, o, e, a, b, b, d, d, e, e, a];
}

/** Left, top, right and bottom of points in a picture; null when one is behind the camera. */
export function boxOf(v: View, points: readonly Vec3[]): [number, number, number, number] | null {
  const box: [number, number, number, number] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const point of points) {
    const [x, y, z] = times(v.rotation, sub(point, v.position));
    if (!(z > 0)) return null;
    const [px, py] = [(v.fx * x) / z + v.cx, (v.fy * y) / z + v.cy];
    box[0] = Math.min(box[0], px);
    box[1] = Math.min(box[1], py);
    box[2] = Math.max(box[2], px);
    box[3] = Math.max(box[3], py);
  }
  return box;
}

/** A smooth way through views, at t from 0 to 1. */
export function pathAt(views: readonly View[], t: number): { position: Vec3; rotation: Mat3 } {
  const n = views.length;
  const u = Math.min(Math.max(t, 0), 1) * (n - 1);
  const i = Math.min(Math.floor(u), Math.max(n - 2, 0));
  const at = (k: number): View => views[Math.min(Math.max(k, 0), n - 1)];
  if (n < 2) return at(0);
  const f = u - i;
  const turn: Quat = slerp(quaternionOf(at(i).rotation), quaternionOf(at(i + 1).rotation), f * f * (3 - 2 * f));
  return {
    position: catmullRom(at(i - 1).position, at(i).position, at(i + 1).position, at(i + 2).position, f),
    rotation: matrixOf(turn),
  };
}

/** Part of the way from one pose to another. */
export function between(a: { position: Vec3; rotation: Mat3 }, b: { position: Vec3; rotation: Mat3 }, t: number): { position: Vec3; rotation: Mat3 } {
  return { position: mix(a.position, b.position, t), rotation: matrixOf(slerp(quaternionOf(a.rotation), quaternionOf(b.rotation), t)) };
}

/** Where a view looks when it is to be turned around something: straight ahead, as far as `near` is. */
export function targetAhead(v: { position: Vec3; rotation: Mat3 }, near: Vec3): Vec3 {
  const distance = Math.max(dot(sub(near, v.position), forward(v)), 0.05 * norm(sub(near, v.position)), 1e-6);
  return add(v.position, scaled(forward(v), distance));
}
