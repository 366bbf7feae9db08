// Which Gaussian a pixel shows: the one with the largest blending weight there, by the rules of the picture.

import { dot, matrixOf, row, sub } from "./math";
import { jacobianLimits } from "./camera";
import type { View } from "./camera";
import type { Splats } from "./splats";
import type { Vec3 } from "./math";

export interface Hit {
  index: number;
  depth: number; // camera z
  weight: number; // of the pixel, 0..1
}

const DILATION = 0.3;
const NEAR = 0.01;

/** At a pixel of the view; null where next to nothing is. */
export function pick(splats: Splats, view: View, x: number, y: number, scale: number, cropLow: Vec3, cropHigh: Vec3): Hit | null {
  const { means } = splats;
  const [rx, ry, rz] = [row(view.rotation, 0), row(view.rotation, 1), row(view.rotation, 2)];
  const [tx, ty, tz] = [-dot(rx, view.position), -dot(ry, view.position), -dot(rz, view.position)];
  const { lowX, highX, lowY, highY } = jacobianLimits(view);
  const met: { index: number; depth: number; alpha: number }[] = [];
  for (let i = 0; i < splats.count; ++i) {
    const [mx, my, mz] = [means[3 * i], means[3 * i + 1], means[3 * i + 2]];
    const z = rz[0] * mx + rz[1] * my + rz[2] * mz + tz;
    if (!(z >= NEAR)) continue;
    if (mx < cropLow[0] || my < cropLow[1] || mz < cropLow[2] || mx > cropHigh[0] || my > cropHigh[1] || mz > cropHigh[2]) continue;
    const u = (rx[0] * mx + rx[1] * my + rx[2] * mz + tx) / z;
    const v = (ry[0] * mx + ry[1] * my + ry[2] * mz + ty) / z;
    const dx = x - (view.fx * u + view.cx);
    const dy = y - (view.fy * v + view.cy);
    // As the picture has it: the projection of what is far beside the view is bounded.
    const [ju, jv] = [Math.min(Math.max(u, lowX), highX), Math.min(Math.max(v, lowY), highY)];
    const sigma = scale * Math.max(splats.scale(i, 0), splats.scale(i, 1), splats.scale(i, 2));
    const reach = 3.5 * ((Math.max(view.fx, view.fy) * sigma * Math.hypot(1, ju, jv)) / z + 0.6);
    if (dx * dx + dy * dy > reach * reach) continue;

    const s = splats.at(i);
    const m = matrixOf(s.quat);
    let [xx, xy, yy] = [0, 0, 0];
    for (let k = 0; k < 3; ++k) {
      const axis: Vec3 = [m[k], m[3 + k], m[6 + k]];
      const [ax, ay, az] = [dot(rx, axis), dot(ry, axis), dot(rz, axis)];
      const px = (view.fx / z) * (ax - ju * az) * scale * s.scale[k];
      const py = (view.fy / z) * (ay - jv * az) * scale * s.scale[k];
      xx += px * px;
      xy += px * py;
      yy += py * py;
    }
    const before = xx * yy - xy * xy;
    xx += DILATION;
    yy += DILATION;
    const det = xx * yy - xy * xy;
    const opacity = s.opacity * (splats.antialiased ? Math.sqrt(Math.max(0.000025, before / det)) : 1);
    const q = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / det;
    const alpha = Math.min(0.99, opacity * Math.exp(-0.5 * q));
    if (alpha >= 1 / 255) met.push({ index: i, depth: z, alpha });
  }
  met.sort((a, b) => a.depth - b.depth);
  let transmittance = 1;
  let best: Hit | null = null;
  for (const { index, depth, alpha } of met) {
    const weight = transmittance * alpha;
    if (!best || weight > best.weight) best = { index, depth, weight };
    transmittance *= 1 - alpha;
    if (transmittance < 1e-4) break;
  }
  return best && best.weight > 0.02 ? best : null;
}

/** The point at a depth under a pixel. */
export function pointAt(view: View, x: number, y: number, depth: number): Vec3 {
  const [a, b] = [(depth * (x - view.cx)) / view.fx, (depth * (y - view.cy)) / view.fy];
  const r = view.rotation;
  return sub(
    [r[0] * a + r[3] * b + r[6] * depth, r[1] * a + r[4] * b + r[7] * depth, r[2] * a + r[5] * b + r[8] * depth],
    [-view.position[0], -view.position[1], -view.position[2]],
  );
}
