// Where a scene comes from: the program that serves the page, or the page's own file.

import { SplatReader } from "./stream";
import type { Splats } from "./splats";
import type { Quat, Vec3 } from "./math";

export interface Facts {
  revision: number;
  name: string;
  note: string;
  error?: string;
  rows: number;
  count: number;
  sh_degree: number;
  antialiased: boolean;
  columns: string[];
  centre: Vec3;
  radius: number;
  focus: Vec3;
  up: Vec3;
  background: Vec3;
  cameras: number;
  photos: boolean;
  live?: boolean;
  camera_file?: unknown;
  // Of a server alone:
  sh_degree_drawn?: number; // by the program
  remote?: boolean; // the program draws, whatever the page could
  rows_sent?: boolean; // false: the rows are more than a page can hold
  films?: boolean; // videos are made
  files?: boolean; // false: what the page cannot read is not read at all
  most_pixels?: number; // of a picture that the program draws
  max_gaussians?: number | null; // cap of a training, null = none
  most_gaussians?: number; // that it may be; 0 = there is no cap
}

/** What /api/frame takes: frames.h of the program. */
export interface FrameRequest {
  camera: { projection: string; width: number; height: number; fx: number; fy: number; cx: number; cy: number; cam_from_world: number[][] };
  mode: string;
  degree: number;
  scale: number;
  background: Vec3;
  crop: readonly [Vec3, Vec3] | null;
  selected: number; // a row that is marked; -1 = none
  quality?: number;
  exact?: boolean;
}

export interface Frame {
  picture: Blob;
  range: [number, number] | null; // of depths or a column
}

/** A Gaussian that the program has picked. */
export interface PickedRow {
  row: number;
  weight: number;
  depth: number;
  mean: Vec3;
  scale: Vec3;
  quat: Quat;
  opacity: number;
  color: Vec3;
}

/** What /api/film takes: film.h of the program. */
export interface FilmRequest {
  id: string;
  path: unknown;
  frames: number;
  fps: number;
  background: Vec3;
}

/** Called with the rows that are there so far; more are read once it is through. */
export type Grown = (splats: Splats) => void | Promise<void>;

export interface Source {
  readonly served: boolean;
  facts(): Promise<Facts>;
  splats(facts: Facts, grown: Grown, signal: AbortSignal): Promise<Splats>;
  cameras(facts: Facts): Promise<unknown>;
  column(facts: Facts, name: string): Promise<Float32Array>;
  photo(facts: Facts, camera: number): Promise<Blob>;
  frame(request: FrameRequest): Promise<Frame>;
  pick(request: FrameRequest, x: number, y: number): Promise<PickedRow | null>;
  film(request: FilmRequest, signal: AbortSignal): Promise<Blob>;
  /** The rows of a scene file of any format that the program reads. */
  converted(file: File): Promise<Splats>;
  command(command: Readonly<Record<string, unknown>>): Promise<void>;
}

export class ServerError extends Error {
  constructor(message: string, readonly hint: string) {
    super(message);
  }
}

async function ask(path: string, how: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, how);
  } catch (fault) {
    if (how.signal?.aborted) throw fault;
    throw new ServerError("the program that serves this page does not answer", "start covary view again, then load this page again");
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { what?: string; hint?: string } };
  throw new ServerError(body.error?.what ?? `the server answered ${response.status}`, body.error?.hint ?? "");
}

const post = (path: string, body: unknown, how: RequestInit = {}): Promise<Response> => ask(path, { ...how, method: "POST", body: JSON.stringify(body) });

async function readAll(stream: ReadableStream<Uint8Array>, grown: Grown): Promise<Splats> {
  const reader = new SplatReader();
  const pieces = stream.getReader();
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) return reader.end();
    if (reader.push(value)) await grown(reader.splats!);
  }
}

class ServerSource implements Source {
  readonly served = true;
  async facts(): Promise<Facts> {
    return (await ask("/api/scene").then((r) => r.json())) as Facts;
  }
  async splats(facts: Facts, grown: Grown, signal: AbortSignal): Promise<Splats> {
    const response = await ask(`/api/splats?revision=${facts.revision}`, { signal });
    return readAll(response.body!, grown);
  }
  async cameras(facts: Facts): Promise<unknown> {
    return ask(`/api/cameras?revision=${facts.revision}`).then((r) => r.json() as Promise<unknown>);
  }
  async column(facts: Facts, name: string): Promise<Float32Array> {
    const response = await ask(`/api/column?revision=${facts.revision}&name=${encodeURIComponent(name)}`);
    return new Float32Array(await response.arrayBuffer());
  }
  async photo(facts: Facts, camera: number): Promise<Blob> {
    return ask(`/api/photo?revision=${facts.revision}&camera=${camera}`).then((r) => r.blob());
  }
  async frame(request: FrameRequest): Promise<Frame> {
    const response = await post("/api/frame", request);
    const range = response.headers.get("X-Covary-Range");
    return { picture: await response.blob(), range: range ? (JSON.parse(range) as [number, number]) : null };
  }
  async pick(request: FrameRequest, x: number, y: number): Promise<PickedRow | null> {
    const hit = (await post("/api/pick", { ...request, x, y }).then((r) => r.json())) as Partial<PickedRow>;
    return hit.row === undefined ? null : (hit as PickedRow);
  }
  async film(request: FilmRequest, signal: AbortSignal): Promise<Blob> {
    return post("/api/film", request, { signal }).then((r) => r.blob());
  }
  async converted(file: File): Promise<Splats> {
    const response = await ask(`/api/convert?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    return readAll(response.body!, () => undefined);
  }
  async command(command: Readonly<Record<string, unknown>>): Promise<void> {
    await post("/api/command", command);
  }
}

// A page of one file: facts and bytes are elements of it.
class FileSource implements Source {
  readonly served = false;
  constructor(private readonly text: string) {}
  facts(): Promise<Facts> {
    return Promise.resolve(JSON.parse(this.text) as Facts);
  }
  async splats(_facts: Facts, grown: Grown): Promise<Splats> {
    const element = document.getElementById("scene-bytes")!;
    const encoded = atob(element.textContent.trim());
    element.remove();
    const bytes = new Uint8Array(encoded.length);
    for (let i = 0; i < bytes.length; ++i) bytes[i] = encoded.charCodeAt(i);
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return readAll(unpacked, grown);
  }
  cameras(facts: Facts): Promise<unknown> {
    return Promise.resolve(facts.camera_file);
  }
  column(): Promise<Float32Array> {
    return Promise.reject(new ServerError("this file holds no columns", ""));
  }
  photo(): Promise<Blob> {
    return Promise.reject(new ServerError("this file holds no photos", ""));
  }
  frame(): Promise<Frame> {
    return alone("draws");
  }
  pick(): Promise<PickedRow | null> {
    return alone("picks");
  }
  film(): Promise<Blob> {
    return alone("makes videos");
  }
  converted(file: File): Promise<Splats> {
    return Promise.reject(new ServerError(`${file.name} is not read here`, `this page is a file of its own and reads ${READ_HERE}; covary view reads the others`));
  }
  command(): Promise<void> {
    return alone("trains");
  }
}

/** What the page reads without the program. */
export const READ_HERE = ".ply, compressed .ply and .splat";

const alone = (what: string): Promise<never> => Promise.reject(new ServerError(`this page is a file: no program ${what} behind it`, "covary view serves one"));

export function sourceOfPage(): Source {
  const own = document.getElementById("scene-facts");
  return own ? new FileSource(own.textContent) : new ServerSource();
}
