// A colour ramp from dark blue over green to yellow, even in lightness, for depths and columns.

const ANCHORS: readonly (readonly [number, number, number])[] = [
  [30, 16, 68], [42, 58, 128], [36, 104, 142], [34, 146, 138], [68, 184, 108], [150, 212, 66], [246, 228, 48],
];

/** 256 colours, rgba bytes. */
export function rampBytes(): Uint8Array {
  const out = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; ++i) {
    const u = (i / 255) * (ANCHORS.length - 1);
    const k = Math.min(Math.floor(u), ANCHORS.length - 2);
    for (let c = 0; c < 3; ++c) out[4 * i + c] = Math.round(ANCHORS[k][c] * (1 - u + k) + ANCHORS[k + 1][c] * (u - k));
    out[4 * i + 3] = 255;
  }
  return out;
}
