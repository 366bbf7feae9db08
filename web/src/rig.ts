// What moves the camera: around a point (orbit) or freely (fly), by any input. Up stays up.

import { add, cross, dot, norm, scaled, sub, turned, unit } from "./math";
import { between, down, forward, lookingAlong, right, targetAhead } from "./camera";
import type { Mat3, Vec3 } from "./math";

export interface Pose {
  position: Vec3;
  rotation: Mat3;
}

const STEEPEST = 0.995; // of looking straight up or down

export class Rig {
  position: Vec3 = [0, 0, -3];
  rotation: Mat3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  target: Vec3 = [0, 0, 0];
  up: Vec3 = [0, -1, 0];
  fieldOfView = 50; // degrees, of the shorter side
  flying = false;
  private way: { from: Pose; to: Pose; target: Vec3; begin: number; duration: number } | null = null;

  get distance(): number {
    return Math.max(norm(sub(this.target, this.position)), 1e-9);
  }

  /** Looks at the target from here. */
  place(position: Vec3, target: Vec3): void {
    this.way = null;
    this.position = position;
    this.target = target;
    this.rotation = lookingAlong(sub(target, position), this.up);
  }

  /** Radians. Around the target, or of the look when flying. */
  turn(yaw: number, pitch: number): void {
    this.way = null;
    const pivot = this.flying ? this.position : this.target;
    let direction = forward(this);
    direction = turned(direction, this.up, -yaw);
    const side = unit(cross(direction, this.up), right(this));
    const tilted = turned(direction, side, -pitch);
    if (Math.abs(dot(tilted, this.up)) < STEEPEST) direction = tilted;
    const d = this.distance;
    this.rotation = lookingAlong(direction, this.up);
    if (this.flying) this.target = add(this.position, scaled(forward(this), d));
    else this.position = sub(pivot, scaled(forward(this), d));
  }

  /** Along the picture's axes, in world units. */
  move(x: number, y: number, z: number): void {
    this.way = null;
    const d = add(add(scaled(right(this), x), scaled(down(this), y)), scaled(forward(this), z));
    this.position = add(this.position, d);
    this.target = add(this.target, d);
  }

  /** A factor of the distance to the target; flying moves by it. */
  zoom(factor: number): void {
    this.way = null;
    if (this.flying) return this.move(0, 0, this.distance * (1 - factor));
    this.position = add(this.target, scaled(sub(this.position, this.target), factor));
  }

  /** Goes there in `duration` ms and turns around `target` from then on. */
  go(to: Pose, target: Vec3, now: number, duration: number): void {
    this.way = { from: { position: this.position, rotation: this.rotation }, to, target, begin: now, duration };
  }

  /** The target is another; the camera turns toward it. */
  focus(target: Vec3, now: number): void {
    this.go({ position: this.position, rotation: lookingAlong(sub(target, this.position), this.up) }, target, now, 300);
  }

  /** True while on the way. */
  step(now: number): boolean {
    if (!this.way) return false;
    const { from, to, target, begin, duration } = this.way;
    const t = duration > 0 ? Math.min(1, (now - begin) / duration) : 1;
    const pose = between(from, to, t * t * (3 - 2 * t));
    this.position = pose.position;
    this.rotation = pose.rotation;
    if (t >= 1) {
      this.target = target;
      this.way = null;
    }
    return true;
  }

  /** Takes a pose as it is; turns around what is ahead, as far as the old target. */
  take(pose: Pose): void {
    this.way = null;
    this.position = pose.position;
    this.rotation = pose.rotation;
    this.target = targetAhead(pose, this.target);
  }
}
