// The page's side of sorting: one request at a time, the latest one next.

import SortWorker from "./sort.worker?worker&inline";
import type { FromSorter, ToSorter } from "./sort.worker";
import type { View } from "./camera";
import { dot, row } from "./math";
import type { Splats } from "./splats";

export type Axis = [number, number, number, number];

/** depth of a view's camera as a x + b y + c z + d. */
export function axisOf(view: View): Axis {
  const z = row(view.rotation, 2);
  return [z[0], z[1], z[2], -dot(z, view.position)];
}

export class Sorter {
  private readonly worker = new SortWorker();
  private scene = 0;
  private sent = 0;
  private id = 0;
  private readonly waiting = new Map<number, (order: Uint32Array) => void>();

  constructor() {
    this.worker.onmessage = (event: MessageEvent<FromSorter>): void => {
      const { id, order } = event.data;
      this.waiting.get(id)?.(order);
      this.waiting.delete(id);
    };
  }

  /** Rows that are not there yet are sent. */
  update(splats: Splats, fresh: boolean): void {
    if (fresh) {
      ++this.scene;
      this.sent = 0;
      this.post({ kind: "scene", scene: this.scene, capacity: splats.capacity });
    }
    if (splats.count > this.sent) {
      this.post({ kind: "rows", scene: this.scene, first: this.sent, means: splats.means.slice(3 * this.sent, 3 * splats.count) });
      this.sent = splats.count;
    }
  }

  sort(axis: Axis): Promise<Uint32Array> {
    const id = ++this.id;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.post({ kind: "sort", scene: this.scene, id, axis });
    });
  }

  private post(message: ToSorter): void {
    this.worker.postMessage(message, message.kind === "rows" ? [message.means.buffer] : []);
  }
}
