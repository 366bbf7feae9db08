// Pictures that the program draws, where the page cannot: asked for one at a time, small while the camera moves, whole when
// it rests.

import { byId } from "./dom";
import { row, sub, times } from "./math";
import type { View } from "./camera";
import type { Comparison } from "./renderer";
import type { Vec3 } from "./math";
import type { Frame, FrameRequest, Source } from "./source";

const MOVING = 90; // ms that a picture may take while the camera moves
const REST = 120; // ms without movement, after which it rests
const LEAST = 0.125; // of the window's sides
const MOST_PIXELS = 3840 * 2400; // of a picture to look at; the program draws no fewer, kMostTrainingPixels
const DIFFERENCE_DOUBLINGS = 2; // the difference to a photo is shown 4 times as large
const NEAR = 0.01;

/** The share of the window's sides for the next picture, after one of `size` took `ms`. */
export function nextSize(size: number, ms: number): number {
  const step = Math.min(Math.max(Math.sqrt(MOVING / Math.max(ms, 1)), 0.5), 1.5);
  return Math.min(1, Math.max(LEAST, size * step));
}

/** The share of the window's sides for a whole picture: all of them, but on very large screens. */
export function wholeSize(view: View, most = MOST_PIXELS): number {
  let size = Math.min(1, Math.sqrt(most / (view.width * view.height)));
  // Rounding may add half a pixel to each side, and the program refuses what is beyond.
  while (Math.round(view.width * size) * Math.round(view.height * size) > most) size -= 0.1 / Math.max(view.width, view.height);
  return size;
}

/** The view in a picture of another size, as a camera of a cameras.json. */
export function cameraOf(view: View, size: number): FrameRequest["camera"] {
  const [width, height] = [Math.max(1, Math.round(view.width * size)), Math.max(1, Math.round(view.height * size))];
  const [sx, sy] = [width / view.width, height / view.height];
  const t = times(view.rotation, view.position).map((v) => -v);
  return {
    projection: "pinhole", width, height,
    fx: view.fx * sx, fy: view.fy * sy, cx: view.cx * sx, cy: view.cy * sy,
    cam_from_world: [...([0, 1, 2] as const).map((k) => [...row(view.rotation, k), t[k]]), [0, 0, 0, 1]],
  };
}

/** How it is to be drawn: a request without its camera. */
export type RemoteLook = Omit<FrameRequest, "camera" | "quality" | "exact">;

export interface Figure {
  points: readonly Vec3[]; // from, to, from, to ...
  color: readonly [number, number, number, number];
}

export class RemotePicture {
  readonly canvas = byId<HTMLCanvasElement>("remote-picture");
  private readonly context = this.canvas.getContext("2d")!;
  private wanted: { view: View; look: RemoteLook; key: string } | null = null;
  private drawn: { key: string; whole: boolean; view: View; image: ImageBitmap } | null = null;
  private running = false;
  private scene = 0; // counts them: a picture that was asked of the one before may still be on its way
  private size = 0.5; // of the window's sides, while moving
  private photo: ImageBitmap | null = null;

  /** shown: a picture has come; failed: none comes, and why. */
  constructor(
    private readonly source: Source,
    private readonly shown: (frame: Frame, ms: number) => void,
    private readonly failed: (fault: unknown) => void,
  ) {}

  get busy(): boolean {
    return this.running;
  }

  setPhoto(image: ImageBitmap | null): void {
    this.photo = image;
  }

  /** The picture that is wanted from now on. */
  want(view: View, look: RemoteLook): void {
    const key = JSON.stringify([cameraOf(view, 1), look]);
    if (this.wanted?.key === key) return;
    this.wanted = { view, look, key };
    void this.run();
  }

  /** The scene is another: what was drawn is no longer right. */
  renew(): void {
    ++this.scene;
    if (this.drawn) this.drawn.key = "";
    if (this.wanted) void this.run();
  }

  stop(): void {
    this.wanted = null;
    this.canvas.hidden = true;
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      for (;;) {
        const now = this.wanted;
        if (!now || (this.drawn?.key === now.key && this.drawn.whole)) break;
        const whole = this.drawn?.key === now.key;
        if (whole) {
          await new Promise((done) => setTimeout(done, REST));
          if (this.wanted !== now || this.drawn?.key !== now.key) continue;
        }
        const most = wholeSize(now.view);
        const size = whole ? most : Math.min(this.size, most);
        const scene = this.scene;
        const began = performance.now();
        const frame = await this.source.frame({ ...now.look, camera: cameraOf(now.view, size), quality: whole ? 92 : 75 });
        const image = await createImageBitmap(frame.picture);
        const ms = performance.now() - began;
        if (!whole) this.size = nextSize(size, ms);
        if (!this.wanted) {
          image.close();
          break;
        }
        this.drawn?.image.close();
        const current = scene === this.scene;
        this.drawn = { key: current ? now.key : "", whole: current && size === most, view: now.view, image };
        this.canvas.hidden = false;
        this.shown(frame, ms);
      }
    } catch (fault) {
      this.wanted = null;
      this.failed(fault);
    } finally {
      this.running = false;
    }
  }

  /** What has come last, with a photo over it and lines. */
  paint(comparisonOf: (view: View) => Comparison | null, figuresOf: (view: View) => readonly Figure[]): void {
    const { canvas, context, drawn } = this;
    if (!drawn) return;
    const { view, image } = drawn;
    if (canvas.width !== view.width) canvas.width = view.width;
    if (canvas.height !== view.height) canvas.height = view.height;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, view.width, view.height);
    const comparison = comparisonOf(view);
    if (comparison && this.photo) this.compare(comparison, this.photo);
    for (const figure of figuresOf(view)) this.line(view, figure);
  }

  private compare({ kind, box, wipe }: Comparison, photo: ImageBitmap): void {
    const { context, canvas } = this;
    const [left, top, width, height] = box;
    context.save();
    context.beginPath(); // beyond the photo it is darker
    context.rect(0, 0, canvas.width, canvas.height);
    context.rect(left, top, width, height);
    context.fillStyle = "rgb(0 0 0 / 65%)";
    context.fill("evenodd");
    context.beginPath();
    context.rect(left, top, kind === "split" ? Math.max(0, wipe - left) : width, height);
    context.clip();
    if (kind === "difference") context.globalCompositeOperation = "difference";
    context.drawImage(photo, left, top, width, height);
    if (kind === "difference") {
      context.globalCompositeOperation = "lighter";
      for (let i = 0; i < DIFFERENCE_DOUBLINGS; ++i) context.drawImage(canvas, 0, 0);
    }
    context.restore();
    if (kind === "split") {
      context.fillStyle = "#fff";
      context.fillRect(wipe - 1, top, 2, height);
    }
  }

  private line(view: View, figure: Figure): void {
    const { context } = this;
    const [r, g, b, a] = figure.color;
    context.strokeStyle = `rgb(${255 * r} ${255 * g} ${255 * b} / ${100 * a}%)`;
    context.lineWidth = 1;
    context.beginPath();
    for (let i = 0; i + 1 < figure.points.length; i += 2) {
      const ends = [figure.points[i], figure.points[i + 1]].map((p) => times(view.rotation, sub(p, view.position)));
      if (ends.some((p) => p[2] < NEAR)) continue;
      const [from, to] = ends.map((p) => [(view.fx * p[0]) / p[2] + view.cx, (view.fy * p[1]) / p[2] + view.cy] as const);
      context.moveTo(from[0], from[1]);
      context.lineTo(to[0], to[1]);
    }
    context.stroke();
  }
}
