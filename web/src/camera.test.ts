import { describe, expect, it } from "vitest";
import { boxOf, camerasDocument, fitted, frustumLines, lookingAlong, pathAt, rayOf, readCameras } from "./camera";
import type { View } from "./camera";
import { dot, matrixOf, norm, quaternionOf, row, slerp, sub, times, transposed, turned, unit } from "./math";
import type { Mat3, Quat, Vec3 } from "./math";
import { pick, pointAt } from "./pick";
import { Rig } from "./rig";
import { Splats } from "./splats";

const near = (a: readonly number[], b: readonly number[], digits = 6): void => a.forEach((v, i) => { expect(v).toBeCloseTo(b[i], digits); });
const view = (position: Vec3, direction: Vec3): View => ({
  position, rotation: lookingAlong(direction, [0, 0, 1]), width: 400, height: 300, fx: 300, fy: 300, cx: 200, cy: 150,
});

describe("a box in the picture", () => {
  it("holds the points, and is none where one is behind", () => {
    const v = view([0, -5, 0], [0, 1, 0]);
    near(boxOf(v, [[0, 0, 0], [1, 0, 1]])!, [200, 90, 260, 150]);
    expect(boxOf(v, [[0, 0, 0], [0, -6, 0]])).toBeNull();
  });
});

describe("rotations", () => {
  it("go to quaternions and back", () => {
    for (const q of [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.5, -0.5, 0.5, 0.5], [0.1, 0.7, -0.2, 0.6]] as Quat[]) {
      const m = matrixOf(q);
      near(matrixOf(quaternionOf(m)), m);
      near(times(m, row(transposed(m), 0)), [dot(row(m, 0), row(transposed(m), 0)), dot(row(m, 1), row(transposed(m), 0)), dot(row(m, 2), row(transposed(m), 0))]);
    }
    near(slerp([1, 0, 0, 0], [-1, 0, 0, 0], 0.3).map(Math.abs), [1, 0, 0, 0]);
    near(turned([1, 0, 0], [0, 0, 1], Math.PI / 2), [0, 1, 0]);
  });
});

describe("cameras", () => {
  it("look where they are told, upright", () => {
    const m = lookingAlong([0, 1, 0], [0, 0, 1]);
    near(row(m, 0), [1, 0, 0]); // right
    near(row(m, 1), [0, 0, -1]); // down
    near(row(m, 2), [0, 1, 0]);
    expect(norm(row(lookingAlong([0, 0, 2], [0, 0, 1]), 0))).toBeCloseTo(1);
  });
  it("come back from the document that the program takes", () => {
    const views = [view([1, 2, 3], [1, 1, 0.2]), view([-3, 0, 1], [0, 1, 0])];
    const file = readCameras(JSON.parse(camerasDocument(views, [0.1, 0.2, 0.3], 2)));
    expect(file.background).toEqual([0.1, 0.2, 0.3]);
    file.cameras.forEach((c, i) => {
      near(c.position, views[i].position);
      near(c.rotation, views[i].rotation);
      expect([c.width, c.height, c.fx, c.cx]).toEqual([400, 300, 300, 200]);
    });
  });
  it("are left out where they cannot be read", () => {
    expect(readCameras(null).cameras).toHaveLength(0);
    expect(readCameras({ cameras: [{}, { width: 3, cam_from_world: [[1]] }, 7, null].filter(Boolean) }).cameras).toHaveLength(0);
  });
  it("see the same in a window of another shape", () => {
    const v = view([0, -4, 0], [0, 1, 0]);
    const f = fitted(v, 1000, 300);
    near(rayOf(f, 500, 150), rayOf(v, 200, 150));
    near(rayOf(f, f.left + f.zoom * 20, f.top + f.zoom * 40), rayOf(v, 20, 40));
  });
  it("have frustums whose corners are the picture's", () => {
    const v = view([0, -4, 0], [0, 1, 0]);
    const lines = frustumLines(v, 2);
    expect(lines).toHaveLength(16);
    near(unit(sub(lines[1], v.position)), rayOf(v, 0, 0));
  });
  it("go smoothly through a path's views", () => {
    const views = [0, 1, 2, 3].map((i) => view([i, i * i, 0], [0, 1, 0.1 * i]));
    for (const [i, v] of views.entries()) {
      const pose = pathAt(views, i / 3);
      near(pose.position, v.position);
      near(pose.rotation, v.rotation);
    }
    near(pathAt([views[2]], 0.5).position, views[2].position);
  });
});

describe("the rig", () => {
  it("keeps its distance and its up when it turns", () => {
    const rig = new Rig();
    rig.up = [0, 0, 1];
    rig.place([0, -4, 1], [0, 0, 0]);
    const d = rig.distance;
    for (let i = 0; i < 100; ++i) rig.turn(0.3, i < 50 ? 0.2 : -0.2);
    expect(rig.distance).toBeCloseTo(d);
    expect(dot(row(rig.rotation, 0), rig.up)).toBeCloseTo(0); // the horizon is level
    near(row(rig.rotation, 2), unit(sub(rig.target, rig.position)));
  });
  it("drags the scene along: to the right, the camera goes to the left", () => {
    const rig = new Rig();
    rig.up = [0, 0, 1];
    rig.place([0, -4, 0], [0, 0, 0]);
    rig.turn(0.1, 0);
    expect(rig.position[0]).toBeLessThan(0);
    rig.place([0, -4, 0], [0, 0, 0]);
    rig.turn(0, 0.1);
    expect(rig.position[2]).toBeGreaterThan(0);
  });
  it("stays where it is when it flies", () => {
    const rig = new Rig();
    rig.up = [0, 0, 1];
    rig.place([0, -4, 0], [0, 0, 0]);
    rig.flying = true;
    rig.turn(0.5, 0.1);
    near(rig.position, [0, -4, 0]);
    rig.move(0, 0, 1);
    expect(norm(sub(rig.position, [0, -4, 0]))).toBeCloseTo(1);
  });
  it("arrives", () => {
    const rig = new Rig();
    rig.up = [0, 0, 1];
    rig.place([0, -4, 0], [0, 0, 0]);
    rig.focus([1, 0, 0], 0);
    expect(rig.step(150)).toBe(true);
    expect(rig.step(400)).toBe(true);
    expect(rig.step(500)).toBe(false);
    near(rig.target, [1, 0, 0]);
    near(row(rig.rotation, 2), unit([1, 4, 0]));
  });
});

describe("picking", () => {
  const splats = new Splats(3, 1, false);
  const at = (row_: number, mean: Vec3, opacity: number, logScale: Vec3 = [-2, -2, -2]): void =>
    { splats.push({ row: row_, mean, quat: [1, 0, 0, 0], logScale, opacity }, [0, 0, 0]); };
  at(0, [0, 0, 0], 0.9);
  at(1, [0, 1, 0], 0.9); // behind it
  at(2, [0, -1, 0], 0.05); // a veil before it
  const v = view([0, -4, 0], [0, 1, 0]);
  const all: [Vec3, Vec3] = [[-9, -9, -9], [9, 9, 9]];

  it("finds what shows most, not what is nearest", () => {
    const hit = pick(splats, v, 200, 150, 1, ...all)!;
    expect(hit.index).toBe(0);
    expect(hit.depth).toBeCloseTo(4);
    expect(hit.weight).toBeCloseTo(0.95 * 0.9, 3);
    near(pointAt(v, 200, 150, hit.depth), [0, 0, 0]);
    near(pointAt(v, 260, 150, 5), [1, 1, 0]);
  });
  it("does not take what is beside the camera, however large it would be projected", () => {
    const beside = new Splats(2, 1, false);
    beside.push({ row: 0, mean: [0, 0, 0], quat: [1, 0, 0, 0], logScale: [-2, -2, -2], opacity: 0.9 }, [0, 0, 0]);
    beside.push({ row: 1, mean: [0.5, -3.98, 0], quat: [1, 0, 0, 0], logScale: [-3, -3, -3], opacity: 0.9 }, [0, 0, 0]);
    expect(pick(beside, v, 200, 150, 1, ...all)!.index).toBe(0);
  });
  it("sees through what is cropped, and nothing where nothing is", () => {
    expect(pick(splats, v, 200, 150, 1, [-9, 0.5, -9], [9, 9, 9])!.index).toBe(1);
    expect(pick(splats, v, 5, 5, 1, ...all)).toBeNull();
  });
  it("knows the numbers of a row", () => {
    const s = splats.at(0);
    expect(s.opacity).toBeCloseTo(0.9, 4);
    expect(s.scale[0]).toBeCloseTo(Math.exp(-2), 3);
    expect(splats.ownColumn("elongation")[0]).toBeCloseTo(1);
    const m: Mat3 = matrixOf(s.quat);
    near(m, [1, 0, 0, 0, 1, 0, 0, 0, 1], 4);
  });
});
