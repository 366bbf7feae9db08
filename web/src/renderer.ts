// Draws a scene by WebGL2: quads, far to near, blended in half precision, then laid over the background.

import { COVER_VERTEX, LINE_FRAGMENT, LINE_VERTEX, RESOLVE_FRAGMENT, SPLAT_FRAGMENT, SPLAT_VERTEX } from "./shaders";
import { rampBytes } from "./ramp";
import type { Splats } from "./splats";
import { jacobianLimits } from "./camera";
import type { View } from "./camera";
import type { Vec3 } from "./math";

export const MODES = ["colour", "depth", "normal", "column"] as const;
export type Mode = (typeof MODES)[number];

/** How a scene is shown. */
export interface Look {
  background: Vec3;
  degree: number;
  scale: number; // of the standard deviations
  points: boolean;
  pointRadius: number; // px
  mode: Mode;
  range: readonly [number, number]; // of depth or column
  cropLow: Vec3;
  cropHigh: Vec3;
  selected: number; // index, -1 = none
}

/** A photo beside the picture; box in px of the target. */
export interface Comparison {
  kind: "split" | "photo" | "difference";
  box: readonly [number, number, number, number];
  wipe: number; // px
}

const NOTHING_SELECTED = 0xffffffff;
const DIFFERENCE_GAIN = 4;

export class GraphicsError extends Error {}

type Uniforms = Readonly<Record<string, WebGLUniformLocation | null>>;

// Compiled beside the page's other work; whoever uses it first waits for that, and is told when it failed.
class Program {
  readonly handle: WebGLProgram;
  private known: Uniforms | null = null;
  private readonly shaders: WebGLShader[] = [];
  constructor(private readonly gl: WebGL2RenderingContext, vertex: string, fragment: string) {
    this.handle = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
      const shader = gl.createShader(type)!;
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.handle, shader);
      gl.deleteShader(shader);
      this.shaders.push(shader);
    }
    gl.linkProgram(this.handle);
  }

  get uniforms(): Uniforms {
    return (this.known ??= this.linked());
  }

  private linked(): Uniforms {
    const { gl, handle } = this;
    if (!gl.getProgramParameter(handle, gl.LINK_STATUS) && !gl.isContextLost()) {
      const log = [...this.shaders.map((s) => gl.getShaderInfoLog(s)), gl.getProgramInfoLog(handle)].filter(Boolean).join("; ");
      throw new GraphicsError("a program of the page does not compile here: " + log);
    }
    const uniforms: Record<string, WebGLUniformLocation | null> = {};
    const n = gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS) as number;
    for (let i = 0; i < n; ++i) {
      const name = gl.getActiveUniform(handle, i)!.name;
      uniforms[name] = gl.getUniformLocation(handle, name);
    }
    return uniforms;
  }
}

interface Target {
  texture: WebGLTexture;
  frame: WebGLFramebuffer;
  width: number;
  height: number;
}

/** Of one scene: its rows in textures, and the order in which they are drawn. */
export class GpuScene {
  readonly words: WebGLTexture;
  readonly sh: WebGLTexture;
  readonly perLine: number;
  column: WebGLTexture | null = null;
  readonly order: WebGLBuffer;
  readonly array: WebGLVertexArrayObject;
  drawn = 0; // rows of the order
  private uploaded = 0;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    readonly splats: Splats,
  ) {
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    let perLine = 1;
    while (perLine * 2 * Math.max(splats.coefficients, 2) <= Math.min(most, 16384) && perLine < 1024) perLine *= 2;
    const lines = Math.max(1, Math.ceil(splats.capacity / perLine));
    if (lines > most) throw new GraphicsError(`${splats.capacity} Gaussians are more than this graphics card's textures hold (${most * perLine})`);
    this.perLine = perLine;
    this.words = this.texture(gl.RGBA32UI, 2 * perLine, lines);
    this.sh = this.texture(gl.RGB16F, splats.coefficients * perLine, lines);
    this.order = gl.createBuffer();
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    gl.bindVertexArray(null);
  }

  private texture(format: number, width: number, height: number): WebGLTexture {
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    return texture;
  }

  /** Sends what the scene has gained since the last call: whole lines, the last with what stands behind it. */
  upload(): void {
    const { gl, splats, perLine } = this;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const firstLine = Math.floor(this.uploaded / perLine);
    const sendLines = (line: number, lines: number, rows: number, begin: number): void => {
      const k = splats.coefficients;
      gl.bindTexture(gl.TEXTURE_2D, this.words);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, line, 2 * rows, lines, gl.RGBA_INTEGER, gl.UNSIGNED_INT, splats.words, begin * 8);
      gl.bindTexture(gl.TEXTURE_2D, this.sh);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, line, k * rows, lines, gl.RGB, gl.HALF_FLOAT, splats.sh, begin * 3 * k);
    };
    const wholeLines = Math.floor(splats.count / perLine) - firstLine;
    if (wholeLines > 0) sendLines(firstLine, wholeLines, perLine, firstLine * perLine);
    const rest = splats.count % perLine;
    if (rest > 0) sendLines(Math.floor(splats.count / perLine), 1, rest, splats.count - rest);
    this.uploaded = splats.count;
  }

  /** A number a row, as colour; null: none. */
  setColumn(values: Float32Array | null): void {
    const gl = this.gl;
    if (this.column) gl.deleteTexture(this.column);
    this.column = null;
    if (!values) return;
    const lines = Math.max(1, Math.ceil(this.splats.capacity / this.perLine));
    const padded = new Float32Array(lines * this.perLine);
    padded.set(values.subarray(0, padded.length));
    this.column = this.texture(gl.R32F, this.perLine, lines);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.perLine, lines, gl.RED, gl.FLOAT, padded);
  }

  setOrder(order: Uint32Array): void {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.order);
    gl.bufferData(gl.ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
    this.drawn = order.length;
  }

  free(): void {
    const gl = this.gl;
    for (const t of [this.words, this.sh, this.column]) if (t) gl.deleteTexture(t);
    gl.deleteBuffer(this.order);
    gl.deleteVertexArray(this.array);
  }
}

export class Renderer {
  readonly gl: WebGL2RenderingContext;
  private readonly splat: Program;
  private readonly line: Program;
  private readonly resolve: Program;
  private readonly ramp: WebGLTexture;
  private readonly lineArray: WebGLVertexArrayObject;
  private readonly lineBuffer: WebGLBuffer;
  private readonly empty: WebGLVertexArrayObject;
  private lineCount = 0; // points of a figure
  private target: Target | null = null;
  private photo: WebGLTexture | null = null;
  private readonly half: boolean;

  constructor(readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, stencil: false, powerPreference: "high-performance" });
    if (!gl) throw new GraphicsError("this browser has no WebGL2, or it is switched off");
    this.gl = gl;
    this.half = !!gl.getExtension("EXT_color_buffer_float") || !!gl.getExtension("EXT_color_buffer_half_float");
    this.splat = new Program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.line = new Program(gl, LINE_VERTEX, LINE_FRAGMENT);
    this.resolve = new Program(gl, COVER_VERTEX, RESOLVE_FRAGMENT);
    this.ramp = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.ramp);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rampBytes());
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    this.empty = gl.createVertexArray();
    this.lineArray = gl.createVertexArray();
    this.lineBuffer = gl.createBuffer();
    gl.bindVertexArray(this.lineArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.lineBuffer);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 28, 0);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.FLOAT, false, 28, 12);
    gl.bindVertexArray(null);
  }

  /** Figures of lines, each of as many points (from, to, from, to, ...), with the colour of each figure, rgba. */
  setLines(figures: readonly (readonly Vec3[])[], colors: readonly (readonly [number, number, number, number])[]): void {
    const points = figures.flat();
    this.lineCount = figures[0]?.length ?? 0;
    const data = new Float32Array(points.length * 7);
    points.forEach((p, i) => {
      data.set(p, 7 * i);
      data.set(colors[Math.floor(i / this.lineCount)], 7 * i + 3);
    });
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.lineBuffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, data, this.gl.STATIC_DRAW);
  }

  setPhoto(image: ImageBitmap | null): void {
    const gl = this.gl;
    if (this.photo) gl.deleteTexture(this.photo);
    this.photo = null;
    if (!image) return;
    this.photo = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.photo);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, image);
    for (const [name, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ] as const) gl.texParameteri(gl.TEXTURE_2D, name, value);
  }

  /** Onto the canvas, whose size is that of the view; lines: the figures to draw. */
  draw(scene: GpuScene | null, view: View, look: Look, comparison: Comparison | null, lines: readonly number[]): void {
    this.target = this.sized(this.target, view.width, view.height);
    this.blend(this.target, scene, view, look);
    if (lines.length > 0) this.drawLines(view, lines);
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null);
    this.cover(this.target, look, comparison);
  }

  /** The picture of a view at its own size: rgba, rows from the top. */
  picture(scene: GpuScene | null, view: View, look: Look): Uint8ClampedArray<ArrayBuffer> {
    const gl = this.gl;
    const target = this.sized(null, view.width, view.height);
    this.blend(target, scene, view, look);
    const out = gl.createTexture();
    const frame = gl.createFramebuffer();
    gl.bindTexture(gl.TEXTURE_2D, out);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, view.width, view.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, out, 0);
    this.cover(target, look, null);
    const pixels = new Uint8Array(view.width * view.height * 4);
    gl.pixelStorei(gl.PACK_ALIGNMENT, 4);
    gl.readPixels(0, 0, view.width, view.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteFramebuffer(frame);
    gl.deleteTexture(out);
    this.freeTarget(target);
    const flipped = new Uint8ClampedArray(pixels.length);
    const line = 4 * view.width;
    for (let y = 0; y < view.height; ++y) flipped.set(pixels.subarray(y * line, (y + 1) * line), (view.height - 1 - y) * line);
    return flipped;
  }

  private sized(target: Target | null, width: number, height: number): Target {
    if (target && target.width === width && target.height === height) return target;
    if (target) this.freeTarget(target);
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.half ? gl.RGBA16F : gl.RGBA8, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    return { texture, frame, width, height };
  }

  private freeTarget(target: Target): void {
    this.gl.deleteTexture(target.texture);
    this.gl.deleteFramebuffer(target.frame);
  }

  private camera(uniforms: Uniforms, view: View): void {
    const gl = this.gl;
    gl.uniformMatrix3fv(uniforms["u_rotation"], true, view.rotation as unknown as number[]);
    gl.uniform3fv(uniforms["u_position"], view.position as unknown as number[]);
    gl.uniform4f(uniforms["u_lens"], view.fx, view.fy, view.cx, view.cy);
    gl.uniform2f(uniforms["u_size"], view.width, view.height);
  }

  private blend(target: Target, scene: GpuScene | null, view: View, look: Look): void {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.viewport(0, 0, view.width, view.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (!scene || scene.drawn === 0) return;
    const u = this.splat.uniforms;
    gl.useProgram(this.splat.handle);
    this.camera(u, view);
    const { lowX, highX, lowY, highY } = jacobianLimits(view);
    gl.uniform4f(u["u_limits"], lowX, highX, lowY, highY);
    gl.uniform1i(u["u_per_line"], scene.perLine);
    gl.uniform1i(u["u_coefficients"], scene.splats.coefficients);
    gl.uniform1i(u["u_degree"], Math.min(look.degree, scene.splats.degree));
    gl.uniform1f(u["u_scale"], look.scale);
    gl.uniform1i(u["u_antialiased"], scene.splats.antialiased ? 1 : 0);
    gl.uniform1i(u["u_points"], look.points ? 1 : 0);
    gl.uniform1f(u["u_point_radius"], look.pointRadius);
    gl.uniform1i(u["u_mode"], look.mode === "column" && !scene.column ? 0 : MODES.indexOf(look.mode));
    gl.uniform2f(u["u_range"], look.range[0], look.range[1]);
    gl.uniform3fv(u["u_crop_low"], look.cropLow as unknown as number[]);
    gl.uniform3fv(u["u_crop_high"], look.cropHigh as unknown as number[]);
    gl.uniform1ui(u["u_selected"], look.selected < 0 ? NOTHING_SELECTED : look.selected);
    const textures = [["u_words", scene.words], ["u_sh", scene.sh], ["u_ramp", this.ramp], ["u_column", scene.column ?? this.ramp]] as const;
    textures.forEach(([name, texture], i) => {
      gl.activeTexture(gl.TEXTURE0 + i);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(u[name], i);
    });
    gl.activeTexture(gl.TEXTURE0);
    gl.bindVertexArray(scene.array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, scene.drawn);
    gl.bindVertexArray(null);
  }

  private drawLines(view: View, figures: readonly number[]): void {
    const gl = this.gl;
    gl.useProgram(this.line.handle);
    this.camera(this.line.uniforms, view);
    gl.bindVertexArray(this.lineArray);
    for (const i of figures) gl.drawArrays(gl.LINES, i * this.lineCount, this.lineCount);
    gl.bindVertexArray(null);
  }

  private cover(target: Target, look: Look, comparison: Comparison | null): void {
    const gl = this.gl;
    const u = this.resolve.uniforms;
    gl.viewport(0, 0, target.width, target.height);
    gl.disable(gl.BLEND);
    gl.useProgram(this.resolve.handle);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.photo ?? this.ramp);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, target.texture);
    gl.uniform1i(u["u_blended"], 0);
    gl.uniform1i(u["u_photo"], 1);
    gl.uniform3fv(u["u_background"], look.background as unknown as number[]);
    gl.uniform2f(u["u_size"], target.width, target.height);
    gl.uniform1i(u["u_normals"], look.mode === "normal" ? 1 : 0);
    const shown = comparison && this.photo ? comparison : null;
    gl.uniform1i(u["u_compare"], shown ? { split: 1, photo: 2, difference: 3 }[shown.kind] : 0);
    if (shown) gl.uniform4f(u["u_photo_box"], ...shown.box);
    gl.uniform1f(u["u_wipe"], shown?.wipe ?? 0);
    gl.uniform1f(u["u_gain"], DIFFERENCE_GAIN);
    gl.bindVertexArray(this.empty);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
  }
}
