// Sorts a scene's rows by depth, far to near, beside the page's own thread. All rows of a scene are sent once.

import { Order } from "./order";

export type ToSorter =
  | { kind: "scene"; scene: number; capacity: number }
  | { kind: "rows"; scene: number; first: number; means: Float32Array }
  | { kind: "sort"; scene: number; id: number; axis: [number, number, number, number] };

export interface FromSorter {
  scene: number;
  id: number;
  order: Uint32Array;
}

let scene = -1;
let means = new Float32Array(0);
let count = 0;
const sorter = new Order();

self.onmessage = (event: MessageEvent<ToSorter>): void => {
  const message = event.data;
  if (message.kind === "scene") {
    scene = message.scene;
    means = new Float32Array(3 * message.capacity);
    count = 0;
  } else if (message.scene !== scene) {
    if (message.kind === "sort") self.postMessage({ scene: message.scene, id: message.id, order: new Uint32Array(0) } satisfies FromSorter);
  } else if (message.kind === "rows") {
    means.set(message.means, 3 * message.first);
    count = message.first + message.means.length / 3;
  } else {
    const order = sorter.farToNear(means, count, message.axis);
    self.postMessage({ scene, id: message.id, order } satisfies FromSorter, { transfer: [order.buffer] });
  }
};
