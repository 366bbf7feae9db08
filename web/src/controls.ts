// Pointer, wheel, touch and keys on the picture, as movements of the rig and named actions.

import type { Rig } from "./rig";

export interface Actions {
  changed(): void; // the camera moved by hand
  focusAt(x: number, y: number): void; // px of the element
  pickAt(x: number, y: number): void;
  key(key: string): boolean; // other keys; true when taken
}

const TURN = 0.006; // radians a px
const KEY_TURN = 0.05; // radians a key
const TAP = 0.05; // seconds of moving that a short press is worth
const SPEED = 0.7; // distances to the target a second
const MOVES: Readonly<Record<string, readonly [number, number, number]>> = {
  KeyW: [0, 0, 1], KeyS: [0, 0, -1], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyE: [0, -1, 0], KeyQ: [0, 1, 0],
};

export class Controls {
  private readonly pointers = new Map<number, { x: number; y: number; button: number; shift: boolean }>();
  private readonly held = new Set<string>();
  private moved = 0; // px since the press
  private last = 0;

  constructor(
    private readonly element: HTMLElement,
    private readonly rig: Rig,
    private readonly pixels: () => number, // focal length, px of the element
    private readonly actions: Actions,
  ) {
    element.addEventListener("pointerdown", (e) => this.press(e));
    element.addEventListener("pointermove", (e) => this.drag(e));
    element.addEventListener("pointerup", (e) => this.release(e));
    element.addEventListener("pointercancel", (e) => this.pointers.delete(e.pointerId));
    element.addEventListener("contextmenu", (e) => e.preventDefault());
    element.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.rig.zoom(Math.exp(Math.min(Math.max(e.deltaY * (e.deltaMode === 1 ? 16 : 1), -300), 300) * 0.0015));
      this.actions.changed();
    }, { passive: false });
    element.addEventListener("dblclick", (e) => this.actions.focusAt(e.offsetX, e.offsetY));
    element.addEventListener("keydown", (e) => this.keyDown(e));
    element.addEventListener("keyup", (e) => this.held.delete(e.code));
    element.addEventListener("blur", () => this.held.clear());
  }

  /** Moves by the keys that are held; true when something moved. */
  step(now: number): boolean {
    const seconds = Math.min(Math.max(now - this.last, 0) / 1000, 0.1);
    this.last = now;
    return this.advance(seconds);
  }

  private advance(seconds: number): boolean {
    let [x, y, z] = [0, 0, 0];
    for (const code of this.held) {
      const m = MOVES[code];
      if (m) [x, y, z] = [x + m[0], y + m[1], z + m[2]];
    }
    if (x === 0 && y === 0 && z === 0) return false;
    const way = this.rig.distance * SPEED * seconds * (this.held.has("ShiftLeft") || this.held.has("ShiftRight") ? 4 : 1);
    this.rig.move(x * way, y * way, z * way);
    this.actions.changed();
    return true;
  }

  get busy(): boolean {
    return [...this.held].some((code) => code in MOVES);
  }

  private press(e: PointerEvent): void {
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(e.pointerId);
    if (this.pointers.size === 0) this.moved = 0;
    this.pointers.set(e.pointerId, { x: e.offsetX, y: e.offsetY, button: e.button, shift: e.shiftKey });
  }

  private drag(e: PointerEvent): void {
    const p = this.pointers.get(e.pointerId);
    if (!p) return;
    const [dx, dy] = [e.offsetX - p.x, e.offsetY - p.y];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.moved < 3) return;
    const shift = (x: number, y: number): void => {
      const unit = this.rig.distance / this.pixels();
      this.rig.move(-x * unit, -y * unit, 0);
    };
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== e.pointerId)![1];
      const before = Math.hypot(p.x - other.x, p.y - other.y);
      const after = Math.hypot(e.offsetX - other.x, e.offsetY - other.y);
      if (before > 1 && after > 1) this.rig.zoom(before / after);
      shift(dx / 2, dy / 2);
    } else if (this.pointers.size === 1) {
      if (p.button === 2 || p.button === 1) shift(dx, dy);
      else this.rig.turn(dx * TURN, dy * TURN);
    }
    p.x = e.offsetX;
    p.y = e.offsetY;
    this.actions.changed();
  }

  private release(e: PointerEvent): void {
    const p = this.pointers.get(e.pointerId);
    this.pointers.delete(e.pointerId);
    if (p && this.moved < 3 && p.button === 0 && p.shift) this.actions.pickAt(e.offsetX, e.offsetY);
  }

  private keyDown(e: KeyboardEvent): void {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.code in MOVES || e.key === "Shift") {
      this.held.add(e.code);
      if (!(e.code in MOVES)) return;
      e.preventDefault();
      if (e.repeat) return;
      this.last = performance.now();
      this.advance(TAP); // however short the press and slow the frames
      return;
    }
    const turns: Readonly<Record<string, readonly [number, number]>> = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const turn = turns[e.key];
    if (turn) this.rig.turn(turn[0] * KEY_TURN, turn[1] * KEY_TURN);
    else if (e.key === "+" || e.key === "=") this.rig.zoom(0.9);
    else if (e.key === "-") this.rig.zoom(1 / 0.9);
    else {
      if (this.actions.key(e.key)) e.preventDefault();
      return;
    }
    e.preventDefault();
    this.actions.changed();
  }
}
