// The video of a recorded path, made by the program: one at a time, ended by leaving or by a button.

import { fitted } from "./camera";
import { byId, download, input, on, select } from "./dom";
import type { View } from "./camera";
import type { Vec3 } from "./math";
import type { Source } from "./source";

/** The size that a choice of the page means, even as videos ask; of the window: that of the first view. */
export function filmSize(choice: string, first: View): [number, number] {
  const [width, height] = choice === "window" ? [first.width, first.height] : choice.split("x").map(Number);
  const even = (n: number): number => Math.max(2, 2 * Math.floor(n / 2));
  return [even(width), even(height)];
}

export class Film {
  private work: { id: string; abort: AbortController } | null = null;

  constructor(private readonly source: Source) {
    on("film-cancel", "click", () => this.work?.abort.abort());
  }

  offer(there: boolean): void {
    byId("film-box").hidden = !there;
  }

  /** The views in a picture of the size that is chosen. */
  framed(views: readonly View[]): View[] {
    const [width, height] = filmSize(select("film-size").value, views[0]);
    return views.map((v) => fitted(v, width, height));
  }

  progress(now: { id: string; done: number; frames: number }): void {
    if (now.id !== this.work?.id) return;
    const bar = byId<HTMLProgressElement>("film-progress");
    bar.max = now.frames;
    bar.value = now.done;
    byId("film-note").textContent = now.done < now.frames ? `frame ${now.done} of ${now.frames}` : "writing the file";
  }

  async make(name: string, path: string, seconds: number, background: Vec3): Promise<void> {
    if (this.work) return;
    const fps = Number(input("film-fps").value) || 30;
    const work = (this.work = { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), abort: new AbortController() });
    const bar = byId<HTMLProgressElement>("film-progress");
    bar.removeAttribute("value");
    this.show(true);
    byId("film-note").textContent = "begun";
    let end = "";
    try {
      const frames = Math.max(1, Math.round(seconds * fps));
      download(name, await this.source.film({ id: work.id, path: JSON.parse(path) as unknown, frames, fps, background }, work.abort.signal));
      end = `${name} is saved`;
    } catch (fault) {
      if (!work.abort.signal.aborted) throw fault;
      end = "cancelled";
    } finally {
      this.work = null;
      this.show(false);
      byId("film-note").textContent = end;
    }
  }

  private show(working: boolean): void {
    byId<HTMLButtonElement>("film-make").disabled = working;
    byId("film-cancel").hidden = !working;
    byId("film-progress").hidden = !working;
  }
}
