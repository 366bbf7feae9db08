import { describe, expect, it } from "vitest";
import { fromHalf, toHalf } from "./half";

describe("half precision", () => {
  it("keeps every half as it is", () => {
    for (let h = 0; h < 65536; ++h) {
      const value = fromHalf(h);
      if (Number.isFinite(value)) expect(toHalf(value)).toBe(h);
    }
  });
  it("rounds to the nearest, ties to even", () => {
    expect(fromHalf(toHalf(1 + 1 / 2048))).toBe(1);
    expect(fromHalf(toHalf(1 + 3 / 2048))).toBe(1 + 2 / 1024);
    expect(fromHalf(toHalf(0.1))).toBeCloseTo(0.1, 4);
    expect(fromHalf(toHalf(2 ** -24 * 1.5))).toBe(2 ** -23);
  });
  it("stays finite and keeps NaN", () => {
    expect(fromHalf(toHalf(1e9))).toBe(65504);
    expect(fromHalf(toHalf(-Infinity))).toBe(-65504);
    expect(fromHalf(toHalf(NaN))).toBeNaN();
  });
});
