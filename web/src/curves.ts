// Small curves of a training's figures.

import { short } from "./dom";

const WIDTH = 260;
const HEIGHT = 44;
const MOST_POINTS = 2000;
const NAMES: Readonly<Record<string, string>> = {
  loss: "Loss", test_psnr: "PSNR of held-out views, dB", train_psnr: "PSNR of training views, dB", count: "Gaussians", memory_mb: "Memory, MB",
};

export type Figures = Readonly<Record<string, number>>;

export class Curves {
  private records: Figures[] = [];

  constructor(private readonly place: HTMLElement) {}

  get empty(): boolean {
    return this.records.length === 0;
  }
  set(records: readonly Figures[]): void {
    this.records = [...records];
    this.draw();
  }
  add(record: Figures): void {
    const last = this.records.at(-1);
    if (last && (record["step"] ?? 0) < (last["step"] ?? 0)) this.records = []; // begun anew
    this.records.push(record);
    if (this.records.length > MOST_POINTS) this.records = this.records.filter((_, i) => i % 2 === 0);
    this.draw();
  }

  private draw(): void {
    const parts: HTMLElement[] = [];
    for (const [key, title] of Object.entries(NAMES)) {
      const points = this.records.filter((r) => Number.isFinite(r[key]) && Number.isFinite(r["step"])).map((r) => [r["step"], r[key]] as const);
      if (points.length === 0) continue;
      const logs = key === "loss";
      const value = (y: number): number => (logs ? Math.log(Math.max(y, 1e-9)) : y);
      const ys = points.map(([, y]) => value(y));
      const [x0, x1, y0, y1] = [points[0][0], points.at(-1)![0], Math.min(...ys), Math.max(...ys)];
      const at = (x: number, y: number): string =>
        `${((WIDTH * (x - x0)) / Math.max(x1 - x0, 1)).toFixed(1)},${(HEIGHT - 3 - ((HEIGHT - 6) * (y - y0)) / (y1 > y0 ? y1 - y0 : 1)).toFixed(1)}`;
      const div = document.createElement("div");
      div.className = "curve";
      const name = document.createElement("span");
      name.textContent = title;
      const last = document.createElement("strong");
      last.textContent = short(points.at(-1)![1]);
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `${title} over steps ${x0} to ${x1}, now ${short(points.at(-1)![1])}`);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("points", points.map(([x, y]) => at(x, value(y))).join(" "));
      svg.append(line);
      div.append(name, last, svg);
      parts.push(div);
    }
    this.place.replaceChildren(...parts);
  }
}
