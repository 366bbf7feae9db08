// Where a scene comes from: the program that serves the page, or the page's own file.

import { SplatReader } from "./stream";
import type { Splats } from "./splats";
import type { Vec3 } from "./math";

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
}

/** Called with the rows that are there so far. */
export type Grown = (splats: Splats) => void;

export interface Source {
  readonly served: boolean;
  facts(): Promise<Facts>;
  splats(facts: Facts, grown: Grown, signal: AbortSignal): Promise<Splats>;
  cameras(facts: Facts): Promise<unknown>;
  column(facts: Facts, name: string): Promise<Float32Array>;
  photo(facts: Facts, camera: number): Promise<Blob>;
}

export class ServerError extends Error {
  constructor(message: string, readonly hint: string) {
    super(message);
  }
}

async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, signal ? { signal } : {});
  } catch (fault) {
    if (signal?.aborted) throw fault;
    throw new ServerError("the program that serves this page does not answer", "start covary view again, then load this page again");
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { what?: string; hint?: string } };
  throw new ServerError(body.error?.what ?? `the server answered ${response.status}`, body.error?.hint ?? "");
}

async function readAll(stream: ReadableStream<Uint8Array>, grown: Grown): Promise<Splats> {
  const reader = new SplatReader();
  const pieces = stream.getReader();
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) return reader.end();
    if (reader.push(value)) grown(reader.splats!);
  }
}

class ServerSource implements Source {
  readonly served = true;
  async facts(): Promise<Facts> {
    return (await ask("/api/scene").then((r) => r.json())) as Facts;
  }
  async splats(facts: Facts, grown: Grown, signal: AbortSignal): Promise<Splats> {
    const response = await ask(`/api/splats?revision=${facts.revision}`, signal);
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
}

export function sourceOfPage(): Source {
  const own = document.getElementById("scene-facts");
  return own ? new FileSource(own.textContent) : new ServerSource();
}
