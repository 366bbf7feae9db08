// Rows by depth: a radix sort of the depths' bits, exact and of even cost.

const NEAR = 0.01;

export class Order {
  private keys = new Uint32Array(0);
  private rows = new Uint32Array(0);
  private keysAfter = new Uint32Array(0);
  private readonly counts = new Uint32Array(65536);

  /** Rows in front of the camera, farthest first; of equal depth, the later row first. axis: depth = x a + y b + z c + d. */
  farToNear(means: Float32Array, count: number, axis: readonly [number, number, number, number]): Uint32Array<ArrayBuffer> {
    if (this.keys.length < count) {
      this.keys = new Uint32Array(count);
      this.rows = new Uint32Array(count);
      this.keysAfter = new Uint32Array(count);
    }
    const { keys, rows, keysAfter, counts } = this;
    const [a, b, c, d] = axis;
    const depth = new Float32Array(1);
    const bits = new Uint32Array(depth.buffer);
    let n = 0;
    for (let i = count - 1; i >= 0; --i) {
      depth[0] = a * means[3 * i] + b * means[3 * i + 1] + c * means[3 * i + 2] + d;
      if (!(depth[0] >= NEAR)) continue;
      keys[n] = ~bits[0]; // bits of positive numbers rise with them
      rows[n++] = i;
    }
    const pass = (from: Uint32Array, fromRows: Uint32Array, shift: number, to: Uint32Array | null, toRows: Uint32Array): void => {
      counts.fill(0);
      for (let i = 0; i < n; ++i) ++counts[(from[i] >>> shift) & 65535];
      let sum = 0;
      for (let k = 0; k < 65536; ++k) {
        const here = counts[k];
        counts[k] = sum;
        sum += here;
      }
      for (let i = 0; i < n; ++i) {
        const at = counts[(from[i] >>> shift) & 65535]++;
        if (to) to[at] = from[i]!;
        toRows[at] = fromRows[i]!;
      }
    };
    const half = new Uint32Array(n);
    const out = new Uint32Array(n);
    pass(keys, rows, 0, keysAfter, half);
    pass(keysAfter, half, 16, null, out);
    return out;
  }
}
