// Half-precision numbers as 16-bit integers: the SH coefficients of a scene.

const bits = new DataView(new ArrayBuffer(4));

/** Nearest half, ties to even; beyond 65504 the largest finite one. */
export function toHalf(value: number): number {
  bits.setFloat32(0, value);
  const x = bits.getUint32(0);
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477fe000) return sign | 0x7bff;
  if (magnitude < 0x38800000) {
    // Subnormal: steps of 2^-24.
    const steps = Math.abs(value) * 16777216;
    const low = Math.floor(steps);
    const rest = steps - low;
    return sign | (low + (rest > 0.5 || (rest === 0.5 && (low & 1) === 1) ? 1 : 0));
  }
  const half = (magnitude - 0x38000000) >>> 13;
  const rest = magnitude & 0x1fff;
  return sign | (half + (rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1) ? 1 : 0));
}

export function fromHalf(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : fraction * 2 ** -24);
}
