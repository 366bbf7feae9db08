// The page as a whole: a scene that is shown, a camera, and what the panel says about both.

import { boxOf, camerasDocument, fitted, frustumLines, pathAt, readCameras } from "./camera";
import type { CameraFile, View } from "./camera";
import { Controls } from "./controls";
import { Curves } from "./curves";
import type { Figures } from "./curves";
import { Film } from "./film";
import { byId, download, grouped, input, on, select, setChoices, short } from "./dom";
import { across, add, dot, norm, row, scaled, sub, unit } from "./math";
import type { Vec3 } from "./math";
import { hideMessage, hideSceneMessage, showFault, showMessage } from "./message";
import { pick, pointAt } from "./pick";
import { readPly } from "./ply";
import { rampBytes } from "./ramp";
import { RemotePicture, cameraOf, wholeSize } from "./remote";
import type { Figure, RemoteLook } from "./remote";
import { GpuScene, GraphicsError, Renderer } from "./renderer";
import type { Comparison, Look, Mode } from "./renderer";
import { Rig } from "./rig";
import { Sorter, axisOf } from "./sorter";
import { OtherFormat } from "./stream";
import { READ_HERE, ServerError } from "./source";
import type { Facts, PickedRow, Source } from "./source";
import { readSplat } from "./splat_file";
import { middleRange } from "./splats";
import type { Splats } from "./splats";

const EVERYWHERE = 1e30;
const NEAR_FRUSTUM = 4; // px beside a frustum that still mean it
const MOST_FRUSTUM = 0.02; // of the picture, that a frustum to be entered covers
const CHOSEN = "as you chose";
const READERS: Readonly<Record<string, (bytes: ArrayBuffer) => Splats>> = { ".ply": readPly, ".splat": readSplat };
const MOST_DROPPED = 2 ** 31 - 1; // bytes
const MOST_RATIO = 2; // device pixels a pixel
const OWN_COLUMNS = ["opacity", "largest scale", "elongation"] as const;
const MOST_LOOKED_AT = 4000; // rows for the range of depths
const UP_AXES: readonly Vec3[] = [[0, 0, 1], [0, -1, 0], [0, 1, 0], [0, 0, -1], [1, 0, 0], [-1, 0, 0]];

export class App {
  private readonly canvas = byId<HTMLCanvasElement>("picture");
  private readonly renderer: Renderer | null; // null: this browser cannot draw
  private readonly remote: RemotePicture;
  private remoteWhy = ""; // why the program draws; empty: the page does
  private noGraphics = ""; // why the page cannot
  private pickedRow = -1; // of the scene's file, as the program counts them
  private readonly sorter = new Sorter();
  private readonly rig = new Rig();
  private readonly controls: Controls;
  private readonly curves = new Curves(byId("curves"));
  private readonly look: Look = {
    background: [0, 0, 0], degree: 3, scale: 1, points: false, pointRadius: 1.5, mode: "colour", range: [0, 1],
    cropLow: [-EVERYWHERE, -EVERYWHERE, -EVERYWHERE], cropHigh: [EVERYWHERE, EVERYWHERE, EVERYWHERE], selected: -1,
  };

  private facts: Facts | null = null;
  private cameras: CameraFile = readCameras(null);
  private frustumDepth = 1;
  private figures: Figure[] = [];
  private shown: GpuScene | null = null; // what is drawn
  private sorting: GpuScene | null = null; // what the sorter holds: the same, or the next
  private dropped = false; // the scene is not the server's
  private converts = true; // the program reads files that the page cannot
  private loading: AbortController | null = null;
  private wanted = -1; // revision that is shown, or is on its way

  private entered = -1; // camera of the capture that one looks through
  private photo: { camera: number; image: ImageBitmap } | null = null;
  private wipe = 0.5;
  private recorded: View[] = [];
  private readonly film: Film;
  private playing: { begin: number; duration: number } | null = null;

  private dirty = true;
  private sortBusy: Promise<void> | null = null;
  private sortAgain = false;
  private lastFrame = 0;
  private frameTime = 0; // ms, mean of late

  constructor(private readonly source: Source) {
    this.renderer = this.drawer();
    this.remote = new RemotePicture(source, (frame, ms) => {
      if (!this.remoteWhy) return this.remote.stop();
      if (frame.range) {
        this.look.range = frame.range;
        this.showRange();
      }
      this.showRate(ms);
      this.markFirst();
      this.dirty = true;
      if (document.body.dataset["state"] === "loading") this.setState("ready");
    }, showFault);
    this.film = new Film(source);
    this.controls = new Controls(this.canvas, this.rig, () => this.view().fx / this.ratio(), {
      changed: () => {
        this.leaveCamera();
        this.playing = null;
        this.wake();
      },
      focusAt: (x, y) => void this.focusAt(x, y).catch(showFault),
      pickAt: (x, y) => void this.pickAt(x, y).catch(showFault),
      key: (key) => this.key(key),
    });
    this.connect();
    new ResizeObserver(() => this.wake()).observe(this.canvas);
    this.canvas.addEventListener("webglcontextlost", (e) => {
      e.preventDefault();
      this.noGraphics = "the graphics card has dropped the picture";
      if (this.source.served && !this.dropped) this.drawRemotely(this.noGraphics);
      else showMessage(this.noGraphics, "load the page again");
    });
  }

  // A page of one file has nobody else to draw for it.
  private drawer(): Renderer | null {
    try {
      return new Renderer(this.canvas);
    } catch (fault) {
      if (!this.source.served || !(fault instanceof GraphicsError)) throw fault;
      this.noGraphics = fault.message;
      return null;
    }
  }

  async begin(): Promise<void> {
    requestAnimationFrame((now) => this.frame(now));
    // A training that has just begun has no scene yet: the events bring it.
    if (this.source.served) this.listen();
    const facts = await this.source.facts();
    if (facts.revision !== this.wanted) await this.load(facts);
  }

  /** The camera of the picture, px of the canvas. */
  view(): View {
    const [width, height] = this.size();
    const camera = this.cameras.cameras[this.entered];
    if (camera) return fitted(camera, width, height);
    const f = (0.5 * Math.min(width, height)) / Math.tan((this.rig.fieldOfView * Math.PI) / 360);
    return { position: this.rig.position, rotation: this.rig.rotation, width, height, fx: f, fy: f, cx: width / 2, cy: height / 2 };
  }

  /** When the scene is all there, and sorted and drawn for the camera of now. */
  async settled(): Promise<void> {
    while (document.body.dataset["state"] === "loading" || this.sortBusy || this.dirty || this.playing || this.controls.busy || (this.remoteWhy && this.remote.busy))
      await new Promise((done) => setTimeout(done, 20));
  }

  // ---- scenes ----

  private async load(facts: Facts): Promise<void> {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    this.wanted = facts.revision;
    if (facts.files === false) this.offerFiles(false);
    if (facts.error) {
      this.setState("error");
      return showMessage(facts.error, "the page shows the scene as soon as it can be read", "scene");
    }
    const first = this.facts === null || this.facts.name !== facts.name;
    let gpu: GpuScene | null = null;
    try {
      if (first) {
        this.setState("loading");
        byId("name").textContent = facts.name;
        byId("note").textContent = "loading";
      }
      const why = this.whyRemote(facts);
      let adopted = !first;
      let drawn = 0;
      const grown = async (splats: Splats): Promise<void> => {
        if (loading.signal.aborted) return;
        gpu ??= new GpuScene(this.renderer!.gl, splats);
        // A scene that replaces one is shown when it is whole, so that nothing flickers.
        if (!adopted || (!first && splats.count < splats.capacity)) return;
        gpu.upload();
        // Drawn again when it has doubled: to draw each block would cost more than it shows.
        if (splats.count > drawn && (splats.count >= 2 * drawn || splats.count === splats.capacity)) {
          const begun = drawn > 0;
          const sorted = this.take(gpu, drawn === 0 || !first);
          drawn = splats.count;
          if (!begun && first) {
            // The first picture comes before the work for the next.
            await sorted;
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          }
        }
        byId("count").textContent = `${grouped(splats.count)} of ${grouped(facts.rows)} Gaussians`;
      };
      // The rows are on their way while the cameras are read.
      const coming = why ? null : this.source.splats(facts, grown, loading.signal);
      coming?.catch(() => undefined); // told where it is awaited
      if (first) {
        const file = readCameras(facts.cameras > 0 ? await this.source.cameras(facts) : null);
        if (loading.signal.aborted) return;
        this.facts = facts;
        this.adopt(facts, file);
        adopted = true;
      }
      if (!coming) return this.showRemote(facts, why);
      this.setRemote("");
      const splats = await coming;
      if (loading.signal.aborted) return;
      await grown(splats); // all may have come before the cameras
      this.facts = facts;
      this.finish(splats, facts);
      hideSceneMessage();
    } catch (fault) {
      if (loading.signal.aborted) return;
      if (fault instanceof GraphicsError && this.source.served) this.showRemote(facts, fault.message);
      else showFault(fault, "", "scene");
    } finally {
      if (gpu && gpu !== this.sorting && gpu !== this.shown) (gpu as GpuScene).free();
    }
  }

  // The sorter's scene from now on; it is drawn once it is sorted.
  private take(gpu: GpuScene, fresh: boolean): Promise<void> {
    if (fresh && this.sorting && this.sorting !== this.shown) this.sorting.free();
    this.sorter.update(gpu.splats, fresh);
    this.sorting = gpu;
    return this.sort();
  }

  private finish(splats: Splats, facts: Facts): void {
    this.describe(facts, splats.degree);
    void this.setMode();
    void this.sort().then(() => {
      this.setState("ready");
      return this.comparePhoto();
    });
  }

  // ---- drawn by the program ----

  private whyRemote(facts: Facts): string {
    if (!this.source.served) return "";
    if (facts.remote) return "covary view --remote draws";
    if (this.noGraphics) return this.noGraphics;
    if (facts.rows_sent === false) return `${grouped(facts.count)} Gaussians are more than a page can hold`;
    return this.remoteWhy === CHOSEN ? CHOSEN : "";
  }

  private setRemote(why: string): void {
    this.remoteWhy = why;
    const box = input("remote");
    box.checked = why !== "";
    box.disabled = why !== "" && why !== CHOSEN;
    (box.closest("label") as HTMLElement).hidden = !this.source.served || this.dropped;
    byId("remote-note").hidden = why === "" || why === CHOSEN;
    byId("remote-note").textContent = `Drawn by the program: ${why}.`;
    input("points").disabled = why !== "";
    if (!why) this.remote.stop();
  }

  private showRemote(facts: Facts, why: string): void {
    this.facts = facts;
    this.setRemote(why);
    this.describe(facts, facts.sh_degree_drawn ?? facts.sh_degree);
    this.setRemoteMode();
    this.remote.renew();
    this.wake();
    hideSceneMessage();
    void this.comparePhoto();
  }

  // The other way to draw, for the scene of now.
  private drawRemotely(why: string): void {
    if (!this.facts) return;
    if (why) return this.showRemote(this.facts, why);
    this.setRemote("");
    void this.load(this.facts);
  }

  private setRemoteMode(): void {
    const value = select("mode").value;
    this.look.mode = (value.startsWith("column ") ? "column" : value) as Mode;
    byId("range").hidden = value === "colour" || value === "normal";
    this.dirty = true;
  }

  private remoteLook(): RemoteLook {
    const { look } = this;
    const cropped = look.cropHigh[0] < EVERYWHERE;
    return { mode: select("mode").value, degree: look.degree, scale: look.scale, background: look.background, crop: cropped ? [look.cropLow, look.cropHigh] : null, selected: this.pickedRow };
  }

  // What the panel says of a scene.
  private describe(facts: Facts, degree: number): void {
    const left = facts.rows - facts.count;
    byId("count").textContent = `${grouped(facts.count)} Gaussians` + (left > 0 ? `, ${grouped(left)} not finite` : "");
    byId("note").textContent = facts.note;
    setChoices(select("degree"), Array.from({ length: degree + 1 }, (_, d) => [String(d), String(d)] as const).reverse());
    this.look.degree = Number(select("degree").value);
    this.look.selected = this.pickedRow = -1;
    byId("picked").hidden = true;
    byId("picked-none").hidden = false;
    setChoices(select("mode"), [
      ["colour", "colour"], ["depth", "depth"], ["normal", "normal"],
      ...[...OWN_COLUMNS, ...facts.columns].map((name) => [`column ${name}`, name] as const),
    ]);
    this.film.offer(facts.films === true && !this.dropped);
    this.showCap(facts);
  }

  // What belongs to a scene beside its rows: cameras, up, background, where one begins.
  private adopt(facts: Facts, file: CameraFile): void {
    this.cameras = file;
    this.entered = -1;
    this.setPhoto(null);
    this.recorded = [];
    this.pathChanged();
    this.rig.up = unit(facts.up);
    this.look.background = facts.background;
    input("background").value = "#" + facts.background.map((v) => Math.round(255 * v).toString(16).padStart(2, "0")).join("");
    byId("cameras-box").hidden = file.cameras.length === 0;
    setChoices(select("camera"), [["-1", "none"], ...file.cameras.map((c, i) => [String(i), c.name + (c.split === "test" ? " (held out)" : "")] as const)]);
    select("camera").value = "-1";
    for (const id of ["compare", "wipe"]) (byId(id).closest("label") as HTMLElement).hidden = !facts.photos;
    document.title = `${facts.name} - Covary`;

    const distances = file.cameras.map((c) => norm(sub(c.position, facts.focus))).sort((a, b) => a - b);
    this.frustumDepth = 0.08 * (distances[distances.length >> 1] ?? 1);
    const colors = file.cameras.map((c) => (c.split === "test" ? ([1, 0.65, 0.3, 0.8] as const) : ([0.5, 0.72, 1, 0.6] as const)));
    this.figures = file.cameras.map((c, i) => ({ points: frustumLines(c, this.frustumDepth), color: colors[i] }));
    this.renderer?.setLines(this.figures.map((f) => f.points), colors);
    this.resetView();
  }

  private resetView(): void {
    const { facts, rig } = this;
    if (!facts) return;
    this.entered = -1;
    this.playing = null;
    const camera = this.cameras.cameras[0];
    if (camera) {
      rig.target = facts.focus;
      rig.take(camera);
      this.setFieldOfView((360 / Math.PI) * Math.atan(0.5 * Math.min(camera.width / camera.fx, camera.height / camera.fy)));
    } else {
      const side = across(rig.up);
      rig.place(add(facts.centre, scaled(unit(add(scaled(side, 0.87), scaled(rig.up, 0.5))), 2.2 * facts.radius)), facts.centre);
      this.setFieldOfView(60);
    }
    this.showCamera();
    this.wake();
  }

  private listen(): void {
    const events = new EventSource("/api/events");
    events.onerror = () => (byId("note").textContent = "not connected to the program");
    events.onopen = () => (byId("note").textContent = this.facts?.note ?? "");
    const data = (e: Event): unknown => JSON.parse((e as MessageEvent<string>).data);
    events.addEventListener("scene", (e) => {
      const facts = data(e) as Facts;
      if (!this.dropped && facts.revision !== this.wanted) void this.load(facts);
    });
    events.addEventListener("history", (e) => {
      this.curves.set(data(e) as Figures[]);
      this.showTraining();
    });
    events.addEventListener("progress", (e) => {
      const figures = data(e) as Figures;
      this.curves.add(figures);
      const cap = figures["max_gaussians"];
      if (this.facts && cap !== undefined) this.showCap(Object.assign(this.facts, { max_gaussians: cap }));
      this.showTraining();
    });
    events.addEventListener("film", (e) => this.film.progress(data(e) as { id: string; done: number; frames: number }));
  }

  // Whether the program reads what the page cannot.
  private offerFiles(converts: boolean): void {
    this.converts = converts;
    if (!converts) for (const id of ["file-kinds", "drop-kinds"]) byId(id).textContent = READ_HERE;
  }

  private showTraining(): void {
    byId("training").hidden = this.curves.empty;
    byId("commands").hidden = this.facts?.live !== true;
  }

  // Read here, else by the program.
  private async read(file: File): Promise<Splats> {
    const reader = READERS[/\.[a-z]+$/i.exec(file.name)?.[0].toLowerCase() ?? ""];
    if (!reader) return this.converted(file);
    try {
      return reader(await file.arrayBuffer());
    } catch (fault) {
      if (!(fault instanceof OtherFormat) || !this.source.served) throw fault;
      return this.converted(file);
    }
  }

  private converted(file: File): Promise<Splats> {
    if (this.converts || !this.source.served) return this.source.converted(file);
    return Promise.reject(new ServerError(`${file.name} is not read here`, `while a scene trains the page reads ${READ_HERE}; covary view reads the others`));
  }

  private async open(file: File): Promise<void> {
    try {
      if (!this.renderer) return showMessage(`${file.name} cannot be drawn here: ${this.noGraphics}`, "covary view FILE shows it");
      if (file.size > MOST_DROPPED) return showMessage(`${file.name} is larger than a page can read`, "covary view shows it");
      byId("note").textContent = `reading ${file.name}`;
      const splats = await this.read(file).finally(() => (byId("note").textContent = this.facts?.note ?? ""));
      const gpu = new GpuScene(this.renderer.gl, splats);
      this.loading?.abort();
      this.dropped = true;
      this.setRemote("");
      const facts = factsOf(splats, file.name.replace(/(\.compressed)?\.[a-z]+$/i, ""));
      this.facts = facts;
      byId("name").textContent = facts.name;
      this.adopt(facts, readCameras(null));
      gpu.upload();
      void this.take(gpu, true);
      this.finish(splats, facts);
      hideMessage();
    } catch (fault) {
      showFault(fault, `${file.name} was not opened; the scene before it stays`);
    }
  }

  // ---- drawing ----

  private size(): [number, number] {
    const r = this.ratio();
    return [Math.max(1, Math.round(this.canvas.clientWidth * r)), Math.max(1, Math.round(this.canvas.clientHeight * r))];
  }
  private ratio(): number {
    return Math.min(window.devicePixelRatio || 1, MOST_RATIO);
  }

  private wake(): void {
    this.dirty = true;
    void this.sort();
  }

  // One request at a time; what is asked for meanwhile is one more.
  private sort(): Promise<void> {
    if (this.sortBusy) {
      this.sortAgain = true;
      return this.sortBusy;
    }
    if (!this.sorting) return Promise.resolve();
    this.sortBusy = (async (): Promise<void> => {
      do {
        this.sortAgain = false;
        const gpu = this.sorting!;
        const order = await this.sorter.sort(axisOf(this.view()));
        if (gpu !== this.sorting) {
          this.sortAgain = true;
          continue;
        }
        gpu.setOrder(order);
        if (this.shown !== gpu) {
          this.shown?.free();
          this.shown = gpu;
        }
        this.dirty = true;
      } while (this.sortAgain);
      this.sortBusy = null;
    })();
    return this.sortBusy;
  }

  private frame(now: number): void {
    requestAnimationFrame((next) => this.frame(next));
    const onWay = this.rig.step(now);
    if (this.controls.step(now) || onWay) this.wake();
    if (this.playing) this.play(now);
    const [width, height] = this.size();
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.dirty = true;
    }
    if (!this.dirty) return;
    this.dirty = false;
    const gap = now - this.lastFrame;
    this.lastFrame = now;
    if (gap < 500 && !this.remoteWhy) this.showRate(gap);
    const view = this.view();
    if (this.remoteWhy) {
      this.remote.want(view, this.remoteLook());
      return this.remote.paint((of) => this.comparison(of), (of) => this.frustumsOf(of).map((i) => this.figures[i]));
    }
    if (this.look.mode === "depth") this.setDepthRange(view);
    if (this.shown) this.markFirst();
    this.renderer?.draw(this.shown, view, this.look, this.comparison(view), this.frustumsOf(view));
  }

  private markFirst(): void {
    if (performance.getEntriesByName("first picture").length === 0) performance.mark("first picture");
  }

  private showRate(ms: number): void {
    this.frameTime = this.frameTime ? 0.9 * this.frameTime + 0.1 * ms : ms;
    byId("fps").textContent = `${(1000 / Math.max(this.frameTime, 1)).toFixed(0)} fps`;
  }

  // Cameras in front of which one does not stand.
  private frustumsOf(view: View): number[] {
    if (this.entered >= 0 || !input("frustums").checked) return [];
    return [...this.cameras.cameras.keys()].filter((i) => norm(sub(this.cameras.cameras[i].position, view.position)) > 2 * this.frustumDepth);
  }

  private setDepthRange(view: View): void {
    if (!this.shown) return;
    this.look.range = depthRange(this.shown.splats, view);
    this.showRange();
  }

  private comparison(view: View): Comparison | null {
    const kind = select("compare").value;
    const camera = this.cameras.cameras[this.entered];
    if (!camera || !this.photo || this.photo.camera !== this.entered || kind === "none") return null;
    const { left, top, zoom } = fitted(camera, view.width, view.height);
    return { kind: kind as Comparison["kind"], box: [left, top, zoom * camera.width, zoom * camera.height], wipe: left + this.wipe * zoom * camera.width };
  }

  // The picture at the size of the camera that was entered, or of the window, sorted for it.
  private async picture(): Promise<ImageData> {
    const view: View = this.cameras.cameras[this.entered] ?? this.view();
    if (this.remoteWhy) {
      const { picture } = await this.source.frame({ ...this.remoteLook(), selected: -1, camera: cameraOf(view, wholeSize(view, this.facts?.most_pixels)), exact: true });
      return pixelsOf(await createImageBitmap(picture, { colorSpaceConversion: "none", premultiplyAlpha: "none" }));
    }
    await this.sort();
    return new ImageData(this.renderer!.picture(this.shown, view, { ...this.look, selected: -1 }), view.width, view.height);
  }

  private async screenshot(): Promise<void> {
    const data = await this.picture();
    const canvas = new OffscreenCanvas(data.width, data.height);
    canvas.getContext("2d")!.putImageData(data, 0, 0);
    const camera = this.cameras.cameras[this.entered];
    const name = camera ? camera.name.replace(/\.[a-z]+$/i, "").replaceAll(/[^\w.-]+/g, "_") : "view";
    download(`${this.facts?.name ?? "scene"}-${name}.png`, await canvas.convertToBlob({ type: "image/png" }));
  }

  // ---- cameras and photos ----

  private enter(index: number): void {
    const camera = this.cameras.cameras[index];
    if (!camera) return this.leaveCamera();
    this.playing = null;
    this.rig.target = this.facts!.focus;
    this.rig.take(camera);
    this.entered = index;
    this.showCamera();
    this.wake();
    void this.comparePhoto();
  }

  private leaveCamera(): void {
    if (this.entered < 0) return;
    const view = this.view();
    this.entered = -1;
    this.setFieldOfView((360 / Math.PI) * Math.atan((0.5 * Math.min(view.width, view.height)) / view.fx));
    this.showCamera();
    this.wake();
  }

  private showCamera(): void {
    select("camera").value = String(this.entered);
    if (this.entered < 0) byId("photo-figures").textContent = "";
  }

  private setPhoto(photo: { camera: number; image: ImageBitmap } | null): void {
    this.photo?.image.close();
    this.photo = photo;
    this.renderer?.setPhoto(photo?.image ?? null);
    this.remote.setPhoto(photo?.image ?? null);
  }

  // The photo of the camera that was entered, and how far the picture is from it.
  private async comparePhoto(): Promise<void> {
    const [index, facts] = [this.entered, this.facts];
    const camera = this.cameras.cameras[index];
    if (!camera || !facts?.photos || select("compare").value === "none") return;
    const say = (text: string): void => {
      if (this.entered === index) byId("photo-figures").textContent = text;
    };
    try {
      if (this.photo?.camera !== index) {
        say("loading the photo");
        const blob = await this.source.photo(facts, index);
        const image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
        if (this.entered !== index) return image.close();
        this.setPhoto({ camera: index, image });
        this.dirty = true;
      }
      const { image } = this.photo!;
      if (image.width !== camera.width || image.height !== camera.height) return say("the photo is of another size than its camera");
      const truth = pixelsOf(image).data;
      const drawn = await this.picture();
      if (this.entered !== index || drawn.data.length !== truth.length) return;
      say(`PSNR to the photo ${psnr(truth, drawn.data).toFixed(2)} dB` + (camera.split === "test" ? ", held out" : ""));
    } catch (fault) {
      say(fault instanceof Error ? fault.message : String(fault));
    }
  }

  // ---- paths ----

  private pathChanged(): void {
    const n = this.recorded.length;
    byId("path-count").textContent = n === 0 ? "no view recorded" : n === 1 ? "1 view recorded" : `${n} views recorded`;
  }

  private record(): void {
    this.recorded.push(this.view());
    this.pathChanged();
  }

  private startPath(): void {
    if (this.recorded.length < 2) return showMessage("a path needs two views or more", "add the view of now, move, add another");
    this.leaveCamera();
    this.playing = { begin: performance.now(), duration: 1000 * Math.max(1, Number(input("path-seconds").value) || 8) };
  }

  private play(now: number): void {
    const { begin, duration } = this.playing!;
    const t = Math.min(1, Math.max(0, (now - begin) / duration));
    this.rig.take(pathAt(this.recorded, t));
    if (t >= 1) this.playing = null;
    this.wake();
  }

  private savePath(): void {
    if (this.recorded.length === 0) return showMessage("no view is recorded yet", "add the view of now first");
    const text = camerasDocument(this.recorded, this.look.background, this.cameras.extent);
    download(`${this.facts?.name ?? "scene"}-path.json`, new Blob([text], { type: "application/json" }));
  }

  private makeFilm(): void {
    if (this.recorded.length < 2) return showMessage("a path needs two views or more", "add the view of now, move, add another");
    const document = camerasDocument(this.film.framed(this.recorded), this.look.background, this.cameras.extent);
    void this.film.make(`${this.facts?.name ?? "scene"}-path.mp4`, document, Number(input("path-seconds").value) || 8, this.look.background).catch(showFault);
  }

  // ---- a training's cap ----

  private showCap(facts: Facts): void {
    const most = facts.most_gaussians ?? 0;
    byId("cap-box").hidden = most === 0;
    const field = input("cap");
    field.max = String(most);
    const now = facts.max_gaussians ?? null;
    if (document.activeElement !== field && now !== null) field.value = String(now);
    byId("cap-note").textContent = now === null ? "no cap" : `at most ${grouped(now)} now`;
  }

  private async setCap(): Promise<void> {
    const most = Number(input("cap").value);
    if (!Number.isInteger(most) || most < 1) return showMessage("the cap is a whole number of Gaussians", "write 100000");
    await this.source.command({ do: "cap", max_gaussians: most });
    byId("cap-note").textContent = `at most ${grouped(most)} from the next step on`;
  }

  // ---- picking ----

  // px of the picture.
  private place(x: number, y: number): { view: View; px: number; py: number } {
    return { view: this.view(), px: x * this.ratio(), py: y * this.ratio() };
  }

  private hitAt(x: number, y: number): ReturnType<typeof pick> {
    const { view, px, py } = this.place(x, y);
    return this.shown && pick(this.shown.splats, view, px, py, this.look.scale, this.look.cropLow, this.look.cropHigh);
  }

  private remoteHitAt(x: number, y: number): Promise<PickedRow | null> {
    const { view, px, py } = this.place(x, y);
    return this.source.pick({ ...this.remoteLook(), camera: cameraOf(view, 1) }, px, py);
  }

  // The camera whose frustum is drawn there: the smallest, which is the farthest, of several.
  private frustumAt(x: number, y: number): number {
    const { view, px, py } = this.place(x, y);
    let [best, least] = [-1, view.width * view.height * MOST_FRUSTUM];
    for (const i of this.frustumsOf(view)) {
      const box = boxOf(view, this.figures[i].points);
      if (!box) continue;
      const [left, top, right, bottom] = box;
      const area = (right - left + 2 * NEAR_FRUSTUM) * (bottom - top + 2 * NEAR_FRUSTUM);
      if (px < left - NEAR_FRUSTUM || px > right + NEAR_FRUSTUM || py < top - NEAR_FRUSTUM || py > bottom + NEAR_FRUSTUM || area >= least) continue;
      [best, least] = [i, area];
    }
    return best;
  }

  private async focusAt(x: number, y: number): Promise<void> {
    const camera = this.frustumAt(x, y);
    if (camera >= 0) return this.enter(camera);
    const { view, px, py } = this.place(x, y);
    const hit = this.remoteWhy ? await this.remoteHitAt(x, y) : this.hitAt(x, y);
    if (!hit) return;
    this.leaveCamera();
    this.rig.focus(pointAt(view, px, py, hit.depth), performance.now());
  }

  private async pickAt(x: number, y: number): Promise<void> {
    if (this.remoteWhy) {
      const row = await this.remoteHitAt(x, y);
      this.look.selected = -1; // the page does not know where it lies among its own
      return this.showPicked(row);
    }
    const hit = this.hitAt(x, y);
    this.look.selected = hit?.index ?? -1;
    this.showPicked(hit && { ...this.shown!.splats.at(hit.index), depth: hit.depth, weight: hit.weight });
  }

  private showPicked(s: PickedRow | null): void {
    this.pickedRow = s?.row ?? -1;
    this.dirty = true;
    byId("picked").hidden = !s;
    byId("picked-none").hidden = !!s;
    byId<HTMLDetailsElement>("picked-box").open = true;
    if (!s) return;
    const list = (v: readonly number[]): string => v.map(short).join(", ");
    const rows: [string, string][] = [
      ["Row", grouped(s.row)], ["Position", list(s.mean)], ["Standard deviations", list(s.scale)], ["Rotation w x y z", list(s.quat)],
      ["Opacity", short(s.opacity)], ["Colour, degree 0", list(s.color)], ["Depth", short(s.depth)], ["Share of the pixel", `${(100 * s.weight).toFixed(0)}%`],
    ];
    byId("picked").querySelector("tbody")!.replaceChildren(
      ...rows.map(([name, value]) => {
        const tr = document.createElement("tr");
        const th = document.createElement("th");
        th.scope = "row";
        th.textContent = name;
        const td = document.createElement("td");
        td.textContent = value;
        tr.append(th, td);
        return tr;
      }),
    );
  }

  // ---- the panel ----

  private async setMode(): Promise<void> {
    if (this.remoteWhy) return this.setRemoteMode();
    const value = select("mode").value;
    byId("range").hidden = value === "colour" || value === "normal";
    const name = value.startsWith("column ") ? value.slice(7) : "";
    const gpu = this.sorting;
    if (name && gpu) {
      try {
        const own = OWN_COLUMNS.find((n) => n === name);
        const values = own ? gpu.splats.ownColumn(own) : await this.source.column(this.facts!, name);
        if (gpu !== this.sorting || select("mode").value !== value) return;
        gpu.setColumn(values);
        this.look.range = middleRange(values);
        this.showRange();
      } catch (fault) {
        showFault(fault);
      }
    }
    this.look.mode = (name ? "column" : value) as Mode;
    this.dirty = true;
  }

  private showRange(): void {
    const name = select("mode").value.replace(/^column /, "");
    byId("range-text").textContent = `${name === "largest scale" ? "log10 of the largest standard deviation" : name}: ${short(this.look.range[0])} to ${short(this.look.range[1])}`;
  }

  private setFieldOfView(degrees: number): void {
    this.rig.fieldOfView = Math.min(Math.max(degrees, 5), 140);
    input("fov").value = String(Math.round(this.rig.fieldOfView));
    byId("fov-value").textContent = `${this.rig.fieldOfView.toFixed(0)}°`;
  }

  private setCrop(): void {
    const { facts } = this;
    if (!facts) return;
    const sides = [...document.querySelectorAll<HTMLInputElement>("#crop-sides input")].map((e) => Number(e.value));
    const cropped = input("crop").checked;
    const at = (k: number): number => facts.centre[k >> 1] + 2 * facts.radius * sides[k];
    const box = (from: 0 | 1): Vec3 => [at(from), at(2 + from), at(4 + from)];
    const all: Vec3 = [EVERYWHERE, EVERYWHERE, EVERYWHERE];
    this.look.cropLow = cropped ? box(0) : scaled(all, -1);
    this.look.cropHigh = cropped ? box(1) : all;
    this.dirty = true;
  }

  private setState(state: "loading" | "ready" | "error"): void {
    document.body.dataset["state"] = state;
  }

  private setMove(flying: boolean): void {
    this.rig.flying = flying;
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=move]")) radio.checked = (radio.value === "fly") === flying;
  }

  private setPanel(open: boolean): void {
    document.body.classList.toggle("narrowed", !open);
    byId("panel-toggle").setAttribute("aria-expanded", String(open));
  }

  private key(key: string): boolean {
    const centre: [number, number] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const n = this.cameras.cameras.length;
    const actions: Readonly<Record<string, () => void>> = {
      c: () => n > 0 && this.enter((this.entered + 1) % n),
      x: () => n > 0 && this.enter((Math.max(this.entered, 0) + n - 1) % n),
      escape: () => {
        this.playing = null;
        this.leaveCamera();
      },
      o: () => this.setMove(!this.rig.flying),
      r: () => this.resetView(),
      p: () => void this.screenshot().catch(showFault),
      v: () => this.record(),
      m: () => {
        const modes = select("mode");
        modes.selectedIndex = (modes.selectedIndex + 1) % modes.options.length;
        void this.setMode();
      },
      f: () => void this.focusAt(...centre).catch(showFault),
      i: () => void this.pickAt(...centre).catch(showFault),
      "?": () => byId<HTMLDialogElement>("help").showModal(),
    };
    const act = actions[key.toLowerCase()];
    act?.();
    return act !== undefined;
  }

  private connect(): void {
    const redraw = (id: string, act: () => void): void =>
      on(id, "input", () => {
        act();
        this.dirty = true;
      });
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=move]"))
      radio.addEventListener("change", () => this.setMove(radio.value === "fly"));
    redraw("fov", () => {
      this.leaveCamera();
      this.setFieldOfView(Number(input("fov").value));
    });
    on("reset", "click", () => this.resetView());
    on("upright", "click", () => {
      const at = UP_AXES.findIndex((axis) => norm(sub(axis, this.rig.up)) < 1e-3);
      this.rig.up = UP_AXES[(at + 1) % UP_AXES.length]!;
      this.leaveCamera();
      this.rig.place(this.rig.position, this.rig.target);
      this.wake();
    });
    on("screenshot", "click", () => void this.screenshot().catch(showFault));
    on("help-open", "click", () => byId<HTMLDialogElement>("help").showModal());
    on("help-close", "click", () => byId<HTMLDialogElement>("help").close());

    on("mode", "change", () => void this.setMode());
    redraw("degree", () => (this.look.degree = Number(select("degree").value)));
    redraw("scale", () => {
      this.look.scale = Number(input("scale").value);
      byId("scale-value").textContent = short(this.look.scale);
    });
    redraw("points", () => (this.look.points = input("points").checked));
    redraw("background", () => {
      const hex = input("background").value;
      this.look.background = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255) as unknown as Vec3;
    });
    const ramp = byId<HTMLCanvasElement>("ramp");
    ramp.getContext("2d")!.putImageData(new ImageData(new Uint8ClampedArray(rampBytes()), 256, 1), 0, 0);

    for (const [k, name] of ["x from", "x to", "y from", "y to", "z from", "z to"].entries()) {
      const label = document.createElement("label");
      const range = document.createElement("input");
      Object.assign(range, { type: "range", min: "-1", max: "1", step: "0.01", value: k % 2 ? "1" : "-1" });
      range.addEventListener("input", () => this.setCrop());
      label.append(name + " ", range);
      byId("crop-sides").append(label);
    }
    on("crop", "change", () => this.setCrop());

    redraw("frustums", () => undefined);
    on("camera", "change", () => this.enter(Number(select("camera").value)));
    on("compare", "change", () => {
      this.dirty = true;
      void this.comparePhoto();
    });
    redraw("wipe", () => (this.wipe = Number(input("wipe").value)));

    on("path-add", "click", () => this.record());
    on("path-drop", "click", () => {
      this.recorded.pop();
      this.pathChanged();
    });
    on("path-play", "click", () => this.startPath());
    on("path-save", "click", () => this.savePath());
    on("film-make", "click", () => this.makeFilm());

    for (const word of ["pause", "resume", "stop"]) on(word, "click", () => void this.source.command({ do: word }).catch(showFault));
    on("cap-set", "click", () => void this.setCap().catch(showFault));

    on("remote", "change", () => this.drawRemotely(input("remote").checked ? CHOSEN : ""));

    on("file", "change", () => {
      const file = input("file").files?.[0];
      if (file) void this.open(file);
    });
    const over = (shown: boolean) => (e: Event): void => {
      e.preventDefault();
      byId("drop").hidden = !shown;
    };
    window.addEventListener("dragover", over(true));
    window.addEventListener("dragleave", over(false));
    window.addEventListener("drop", (e) => {
      over(false)(e);
      const file = e.dataTransfer?.files[0];
      if (file) void this.open(file);
    });
    on("panel-toggle", "click", () => this.setPanel(document.body.classList.contains("narrowed")));
    if (!this.source.served) this.offerFiles(false);
    if (window.innerWidth <= 700) this.setPanel(false);
  }
}

/** From the near to the far of what the picture shows of some of the rows. */
function depthRange(splats: Splats, view: View): [number, number] {
  const [a, b, c, d] = axisOf(view);
  const [rx, ry] = [row(view.rotation, 0), row(view.rotation, 1)];
  const depths: number[] = [];
  for (let i = 0; i < splats.count; i += Math.max(1, Math.floor(splats.count / MOST_LOOKED_AT))) {
    const [x, y, z] = [splats.means[3 * i], splats.means[3 * i + 1], splats.means[3 * i + 2]];
    const depth = a * x + b * y + c * z + d;
    const from = sub([x, y, z], view.position);
    const [px, py] = [(view.fx * dot(rx, from)) / depth + view.cx, (view.fy * dot(ry, from)) / depth + view.cy];
    if (depth > 0.01 && px >= 0 && py >= 0 && px < view.width && py < view.height) depths.push(depth);
  }
  return middleRange(new Float32Array(depths));
}

function pixelsOf(image: ImageBitmap): ImageData {
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

/** dB of two pictures of rgba bytes, alpha left out. */
function psnr(a: Uint8ClampedArray, b: Uint8ClampedArray): number {
  let sum = 0;
  for (let i = 0; i < a.length; ++i) if (i % 4 !== 3) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10((255 * 255) / Math.max((4 * sum) / (3 * a.length), 1e-10));
}

/** Of a scene that comes without any. */
function factsOf(splats: Splats, name: string): Facts {
  const coordinate = (k: number): number[] => Array.from({ length: splats.count }, (_, i) => splats.means[3 * i + k]).sort((a, b) => a - b);
  const centre = [0, 1, 2].map((k) => coordinate(k)[splats.count >> 1]) as unknown as Vec3;
  const distances = new Float64Array(splats.count);
  for (let i = 0; i < splats.count; ++i)
    distances[i] = Math.hypot(splats.means[3 * i] - centre[0], splats.means[3 * i + 1] - centre[1], splats.means[3 * i + 2] - centre[2]);
  distances.sort();
  return {
    revision: 0, name, note: "", rows: splats.count, count: splats.count, sh_degree: splats.degree, antialiased: splats.antialiased,
    columns: [], centre, radius: Math.max(distances[Math.floor(0.9 * (splats.count - 1))], 1e-9), focus: centre, up: [0, 0, 1],
    background: [0, 0, 0], cameras: 0, photos: false,
  };
}
