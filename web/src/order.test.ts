import { describe, expect, it } from "vitest";
import { Order } from "./order";

describe("order by depth", () => {
  it("is far to near, exact, without what is behind", () => {
    let seed = 7;
    const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    const n = 20000;
    const means = new Float32Array(3 * n).map(() => 4 * random() - 2);
    const axis = [0.3, -0.5, 0.8, 1] as const;
    const depth = (i: number): number =>
      Math.fround(axis[0] * means[3 * i] + axis[1] * means[3 * i + 1] + axis[2] * means[3 * i + 2] + axis[3]);
    const truth = Array.from({ length: n }, (_, i) => i).filter((i) => depth(i) >= 0.01);
    truth.sort((a, b) => depth(b) - depth(a) || b - a);
    expect([...new Order().farToNear(means, n, axis)]).toEqual(truth);
  });
  it("takes no rows, and fewer than before", () => {
    const order = new Order();
    expect(order.farToNear(new Float32Array([0, 0, 5, 0, 0, 1]), 2, [0, 0, 1, 0])).toEqual(new Uint32Array([0, 1]));
    expect(order.farToNear(new Float32Array([0, 0, NaN]), 1, [0, 0, 1, 0])).toHaveLength(0);
    expect(order.farToNear(new Float32Array(0), 0, [0, 0, 1, 0])).toHaveLength(0);
  });
});
