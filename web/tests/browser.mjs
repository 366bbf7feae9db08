// The viewer as a user meets it, in headless Chromium: a small scene is trained, served by the program, and looked at.
//
//   COVARY_BUILD=build node --test web/tests/browser.mjs
//   COVARY_SHOTS=FOLDER ...      keeps the pictures of the documentation, of a scene that is trained for longer: 5 minutes more
//                                (tests/viewer.sh shots makes them in docs/images)
//
// Needs `npm ci` in web/ and a Chromium ($COVARY_CHROMIUM, or chromium in $PATH).
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync, appendFileSync, existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const build = path.resolve(process.env.COVARY_BUILD ?? "build");
const shots = process.env.COVARY_SHOTS ?? "";
const covary = path.join(build, "covary");
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const work = mkdtempSync(path.join(tmpdir(), "covary_viewer_"));
const run = path.join(work, "studio");
const fine = path.join(work, "fine", "studio"); // of the pictures
const CAMERA = 1;

function program(args) {
  const result = spawnSync(covary, args, { encoding: "utf8", cwd: work, env: { ...process.env, GOMP_SPINCOUNT: "0" } });
  assert.equal(result.status, 0, `covary ${args.join(" ")}\n${result.stderr}`);
  return result.stdout;
}

/** `covary view` in the background; resolves with its address. */
function serve(args) {
  const child = spawn(covary, ["view", ...args, "--port", "0", "--json"], { cwd: work, stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (piece) => {
      text += piece;
      if (text.includes("\n")) resolve({ child, address: JSON.parse(text.split("\n")[0]).address });
    });
    child.on("exit", (code) => reject(new Error(`covary view ended with ${code}`)));
  });
}

async function ended(child) {
  const code = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGINT");
  return code;
}

let browser, server;

before(async () => {
  program(["train", "sample:studio,views=12,width=320,height=240", "-o", run, "--steps", "400", "--max-gaussians", "6000", "-q"]);
  if (shots) program(["train", "sample:studio,views=40,width=480,height=360", "-o", fine, "--steps", "3000", "--max-gaussians", "60000", "-q"]);
  server = await serve([run]);
  browser = await chromium.launch({
    executablePath: process.env.COVARY_CHROMIUM,
    args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--proxy-server=127.0.0.1:1", "--proxy-bypass-list=127.0.0.1"],
  });
});

after(async () => {
  await browser?.close();
  if (server) assert.equal(await ended(server.child), 0, "Ctrl-C ends the server cleanly");
  rmSync(work, { recursive: true, force: true });
});

/** A page that is watched: errors of its scripts and requests to other hosts fail the test. */
async function open(address, { width = 900, height = 600, wait = true, ...more } = {}) {
  const page = await browser.newPage({ viewport: { width, height }, ...more });
  page.watched = { errors: [], hosts: new Set() };
  page.on("pageerror", (e) => page.watched.errors.push(String(e)));
  page.on("console", (m) => m.type() === "error" && page.watched.errors.push(m.text()));
  page.on("request", (r) => /^(data|blob):/.test(r.url()) || page.watched.hosts.add(new URL(r.url()).host));
  await page.goto(address);
  if (wait) await settled(page);
  return page;
}
async function settled(page) {
  await page.waitForSelector("body[data-state=ready]", { timeout: 60000 });
  await page.evaluate(() => window.covary.settled());
}
async function close(page, address = server.address) {
  assert.deepEqual(page.watched.errors, []);
  assert.deepEqual([...page.watched.hosts].filter((host) => !address.includes(`//${host}/`)), []);
  await page.close();
}
const view = (page) => page.evaluate(() => window.covary.view());
async function section(page, name) {
  await page.evaluate((text) => { for (const d of document.querySelectorAll("details")) if (d.querySelector("summary").textContent === text) d.open = true; }, name);
}
async function press(page, ...keys) {
  await page.focus("#picture");
  for (const key of keys) await page.keyboard.press(key);
  await settled(page);
}
async function saved(page, act) {
  const [download] = await Promise.all([page.waitForEvent("download"), act()]);
  return readFileSync(await download.path());
}
/** What the frames of a video are, decoded. */
function frameHashes(file) {
  const result = spawnSync("ffmpeg", ["-v", "error", "-i", file, "-f", "framemd5", "-"], { encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => line.split(",").at(-1).trim());
}
/** dB between two PNG files, by the browser's decoder. */
async function psnr(page, a, b) {
  return page.evaluate(async (urls) => {
    const [x, y] = await Promise.all(urls.map(async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height);
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      return { size: [image.width, image.height].join(), data: context.getImageData(0, 0, image.width, image.height).data };
    }));
    if (x.size !== y.size) throw new Error(`sizes ${x.size} and ${y.size}`);
    let sum = 0;
    for (let i = 0; i < x.data.length; ++i) if (i % 4 !== 3) sum += (x.data[i] - y.data[i]) ** 2;
    return 10 * Math.log10(65025 / ((4 * sum) / (3 * x.data.length)));
  }, [a, b].map((bytes) => `data:image/png;base64,${bytes.toString("base64")}`));
}
/** How many pixels of what is shown have the colour that marks what is picked. */
async function marked(page, selector) {
  const shown = await page.locator(selector).screenshot();
  return page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) count += data[i] > 180 && data[i + 1] < 0.5 * data[i] && data[i + 2] > 0.6 * data[i];
    return count;
  }, `data:image/png;base64,${shown.toString("base64")}`);
}
async function faults(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
}
// Nothing here may wait for ever.
const check = (name, act) => test(name, { timeout: 180000 }, act);
const keep = async (page, name) => {
  // Neither the focus nor the rate of this machine's software drawing.
  await page.evaluate(() => { document.activeElement.blur(); document.getElementById("fps").textContent = ""; });
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: path.join(shots, name + ".jpg"), type: "jpeg", quality: 88, timeout: 120000 });
};

describe("the viewer", () => {
  check("draws what covary render draws", async () => {
    const page = await open(server.address);
    assert.match(await page.textContent("#count"), /^[\d,]+ Gaussians$/);
    const cameras = JSON.parse(readFileSync(path.join(run, "cameras.json"), "utf8")).cameras;
    for (const [mode, bar] of [["rgb", 40], ["normal", 28]]) {
      const out = path.join(work, "pictures-" + mode);
      program(["render", run, "--cameras", "all", "--modes", mode, "-o", out, "-q"]);
      await page.selectOption("#mode", mode === "rgb" ? "colour" : mode);
      await section(page, "Cameras");
      await page.selectOption("#camera", String(CAMERA));
      await settled(page);
      const ours = await saved(page, () => page.click("#screenshot"));
      const file = readdirSync(out, { recursive: true }).map(String).find((f) => f.includes(cameras[CAMERA].name.replace(/\.\w+$/, "")) && f.endsWith(".png"));
      const db = await psnr(page, ours, readFileSync(path.join(out, file)));
      console.log(`# ${mode}: ${db.toFixed(1)} dB to covary render`);
      assert.ok(db >= bar, `${mode}: ${db} dB`);
    }
    await close(page);
  });

  check("turns with the mouse, and comes back", async () => {
    const page = await open(server.address);
    const begin = await page.locator("#picture").screenshot();
    const first = await view(page);
    await page.mouse.move(300, 300);
    await page.mouse.down();
    await page.mouse.move(420, 330, { steps: 5 });
    await page.mouse.up();
    await settled(page);
    const turned = await view(page);
    assert.notDeepEqual(turned.position, first.position);
    assert.ok((await psnr(page, begin, await page.locator("#picture").screenshot())) < 35, "the picture has changed");
    await page.mouse.wheel(0, 300);
    await settled(page);
    assert.notDeepEqual((await view(page)).position, turned.position);
    await page.click("#reset");
    await settled(page);
    assert.deepEqual((await view(page)).position, first.position);
    await close(page);
  });

  check("focuses on what is double-clicked, and tells the numbers of a Gaussian", async () => {
    const page = await open(server.address);
    const before_ = await view(page);
    await page.mouse.dblclick(300, 330);
    await page.waitForFunction((r) => window.covary.view().rotation.join() !== r, before_.rotation.join());
    await settled(page);
    await page.keyboard.down("Shift");
    await page.mouse.click(305, 300);
    await page.keyboard.up("Shift");
    assert.equal(await page.isVisible("#picked"), true);
    assert.match(await page.textContent("#picked"), /Row[\d,]+Position/);
    await close(page);
  });

  check("goes into a camera whose frustum is double-clicked", async () => {
    const page = await open(server.address);
    await page.mouse.move(300, 300);
    for (let i = 0; i < 3; ++i) await page.mouse.wheel(0, 300); // out, until cameras are seen
    await settled(page);
    const v = await view(page);
    const places = JSON.parse(readFileSync(path.join(run, "cameras.json"), "utf8")).cameras.map(({ cam_from_world: m }) => {
      // Just before the camera's own place, where its frustum is.
      const c = [0, 1, 2].map((k) => -[0, 1, 2].reduce((sum, r) => sum + m[r][k] * (m[r][3] - 0.1), 0));
      const p = [0, 1, 2].map((r) => [0, 1, 2].reduce((sum, k) => sum + v.rotation[3 * r + k] * (c[k] - v.position[k]), 0));
      return p[2] > 0.5 ? [(v.fx * p[0]) / p[2] + v.cx, (v.fy * p[1]) / p[2] + v.cy] : [-1, -1];
    });
    const inside = places.map(([x, y], i) => [i, x, y]).filter(([, x, y]) => x > 10 && y > 10 && x < v.width - 90 && y < v.height - 40);
    assert.ok(inside.length > 0, JSON.stringify(places));
    const [, x, y] = inside[0];
    await page.mouse.dblclick(x, y);
    await settled(page);
    assert.notEqual(await page.inputValue("#camera"), "-1");
    await close(page);
  });

  check("shows the photo beside the picture", async () => {
    const page = await open(server.address);
    await section(page, "Cameras");
    await page.selectOption("#camera", String(CAMERA));
    await page.selectOption("#compare", "split");
    await page.waitForFunction(() => document.getElementById("photo-figures").textContent.includes("dB"), null, { timeout: 90000 });
    const db = Number(/([\d.]+) dB/.exec(await page.textContent("#photo-figures"))[1]);
    assert.ok(db > 18 && db < 60, `${db} dB to the photo`);
    await settled(page);
    for (const kind of ["photo", "difference", "none"]) {
      const was = await page.locator("#picture").screenshot();
      await page.selectOption("#compare", kind);
      await settled(page);
      assert.ok((await psnr(page, was, await page.locator("#picture").screenshot())) < 45, kind);
    }
    await close(page);
  });

  check("colours by depth, normals and numbers; points; crop; scale; background", async () => {
    const page = await open(server.address);
    let was = await page.locator("#picture").screenshot();
    const differs = async (what) => {
      await settled(page);
      const is = await page.locator("#picture").screenshot();
      assert.ok((await psnr(page, was, is)) < 45, `${what} changes the picture`);
      was = is;
    };
    for (const option of (await page.$$eval("#mode option", (all) => all.map((o) => o.value))).slice(1)) {
      await page.selectOption("#mode", option);
      await page.waitForTimeout(100);
      await differs(option);
    }
    await page.selectOption("#mode", "colour");
    await differs("colour");
    await page.selectOption("#degree", "0");
    await settled(page);
    await page.check("#points");
    await differs("points");
    await page.uncheck("#points");
    await differs("splats");
    await page.fill("#scale", "0.3");
    await differs("scale");
    await page.fill("#background", "#4080c0");
    await differs("background");
    await section(page, "Crop");
    await page.check("#crop");
    await page.locator("#crop-sides input").first().fill("0");
    await differs("crop");
    await close(page);
  });

  check("works by the keyboard alone", async () => {
    const page = await open(server.address);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "picture");
    const first = await view(page);
    await page.keyboard.press("ArrowLeft");
    await settled(page);
    assert.notDeepEqual((await view(page)).position, first.position);
    const turned = await view(page);
    await page.keyboard.down("w");
    await page.waitForTimeout(200);
    await page.keyboard.up("w");
    await settled(page);
    assert.notDeepEqual((await view(page)).position, turned.position);
    await press(page, "c");
    assert.equal(await page.inputValue("#camera"), "0");
    await press(page, "c", "x", "Escape");
    assert.equal(await page.inputValue("#camera"), "-1");
    await press(page, "i");
    assert.equal(await page.isVisible("#picked"), true);
    await press(page, "m");
    assert.equal(await page.inputValue("#mode"), "depth");
    await page.keyboard.press("?");
    assert.equal(await page.isVisible("#help"), true);
    assert.deepEqual(await faults(page), []);
    await page.keyboard.press("Escape");
    assert.equal(await page.isVisible("#help"), false);
    // Every control of the open sections is reached, and the focus is seen.
    const reached = new Set();
    for (let i = 0; i < 40; ++i) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement.id));
    }
    for (const id of ["panel-toggle", "fov", "reset", "screenshot", "mode", "degree", "scale", "points", "background"]) assert.ok(reached.has(id), id);
    await close(page);
  });

  check("records a path that covary render takes", async () => {
    const page = await open(server.address);
    await press(page, "v", "ArrowLeft", "ArrowLeft", "ArrowLeft", "v", "ArrowUp", "ArrowUp", "v");
    await section(page, "Camera path");
    assert.equal(await page.textContent("#path-count"), "3 views recorded");
    await page.fill("#path-seconds", "1");
    await page.click("#path-play");
    await page.waitForTimeout(1200);
    await settled(page);
    const file = path.join(work, "path.json");
    writeFileSync(file, await saved(page, () => page.click("#path-save")));
    program(["render", run, "--path", file, "--frames", "3", "-o", path.join(work, "frames"), "--scale", "0.25", "-q"]);
    assert.equal(readdirSync(path.join(work, "frames"), { recursive: true }).filter((f) => String(f).endsWith(".png")).length, 3);
    // The same view by the program, through --cameras.
    program(["render", run, "--cameras", file, "-o", path.join(work, "views"), "-q"]);
    await close(page);
  });

  check("makes a video of the path, as covary render does, and stops when told to", async () => {
    const page = await open(server.address, { width: 321, height: 241 });
    await section(page, "Camera path");
    await press(page, "v", "ArrowLeft", "ArrowLeft", "v");
    await page.evaluate(() => { document.getElementById("path-seconds").value = "1"; document.getElementById("film-fps").value = "5"; });
    const film = path.join(work, "page.mp4");
    const document_ = path.join(work, "film-path.json");
    const asked = page.waitForRequest("**/api/film");
    writeFileSync(film, await saved(page, () => page.evaluate(() => document.getElementById("film-make").click())));
    const body = (await asked).postDataJSON();
    assert.equal(body.frames, 5);
    writeFileSync(document_, JSON.stringify(body.path));
    program(["render", run, "--path", document_, "--frames", "5", "--fps", "5", "-o", path.join(work, "program.mp4"), "-q"]);
    assert.deepEqual(frameHashes(film), frameHashes(path.join(work, "program.mp4")));
    assert.match(await page.textContent("#film-note"), /is saved/);
    // A long one is ended by the button, and the next can be made at once.
    await page.evaluate(() => { document.getElementById("path-seconds").value = "600"; document.getElementById("film-make").click(); });
    await page.waitForFunction(() => /^frame \d+ of 3000/.test(document.getElementById("film-note").textContent));
    assert.deepEqual(await faults(page), []);
    await page.evaluate(() => document.getElementById("film-cancel").click());
    await page.waitForFunction(() => document.getElementById("film-note").textContent === "cancelled");
    await page.evaluate(() => { document.getElementById("path-seconds").value = "1"; });
    await page.waitForTimeout(500);
    await saved(page, () => page.evaluate(() => document.getElementById("film-make").click()));
    page.watched.errors = page.watched.errors.filter((e) => !/ERR_ABORTED|AbortError/.test(e));
    await close(page);
  });

  check("draws by the program where it is asked to, and the same picture", async () => {
    const remote = await serve([run, "--remote"]);
    const page = await open(remote.address, { width: 640, height: 480 });
    const own = await open(server.address, { width: 640, height: 480 });
    for (const p of [page, own]) await p.evaluate(() => document.getElementById("panel-toggle").click());
    assert.match(await page.textContent("#remote-note"), /covary view --remote draws/);
    assert.equal(await page.textContent("#count"), await own.textContent("#count"));
    const shot = async (p) => {
      await settled(p);
      return saved(p, () => p.keyboard.press("p"));
    };
    const same = async (what, bar) => {
      await settled(own);
      await settled(page);
      const db = await psnr(page, await shot(page), await shot(own));
      console.log(`# by the program, ${what}: ${db.toFixed(1)} dB to the page's own`);
      assert.ok(db >= bar, `${what}: ${db} dB`);
    };
    const both = async (act) => { for (const p of [page, own]) { await act(p); await settled(p); } };
    await both((p) => p.focus("#picture"));
    await same("first view", 45);
    await both((p) => p.keyboard.press("ArrowLeft"));
    await same("turned", 45);
    await both((p) => p.evaluate(() => { const e = document.getElementById("scale"); e.value = "0.5"; e.dispatchEvent(new Event("input")); }));
    await same("smaller splats", 40);
    await both((p) => p.evaluate(() => { const e = document.getElementById("crop"); e.checked = true; e.dispatchEvent(new Event("change")); const s = document.querySelector("#crop-sides input"); s.value = "0"; s.dispatchEvent(new Event("input")); }));
    await same("cropped", 40);
    for (const mode of ["column opacity", "column elongation", "normal"]) {
      await both((p) => p.selectOption("#mode", mode, { force: true }));
      await same(mode, 25);
    }
    await page.evaluate(() => { const e = document.getElementById("mode"); e.value = "depth"; e.dispatchEvent(new Event("change")); });
    await settled(page);
    assert.match(await page.textContent("#range-text"), /depth: [\d.]+ to [\d.]+/);
    assert.deepEqual(await faults(page), []);
    // A picture that one sees, not only that is saved.
    assert.equal(await page.isVisible("#remote-picture"), true);
    const seen = await page.locator("#remote-picture").screenshot();
    await press(page, "m");
    await settled(page);
    assert.ok((await psnr(page, seen, await page.locator("#remote-picture").screenshot())) < 45);
    await own.close();
    await close(page, remote.address);
    assert.equal(await ended(remote.child), 0);
  });

  check("falls to the program by itself without WebGL2, where all works but points", async () => {
    const page = await browser.newPage({ viewport: { width: 900, height: 600 } });
    page.watched = { errors: [], hosts: new Set() };
    page.on("pageerror", (e) => page.watched.errors.push(String(e)));
    await page.addInitScript(() => {
      const own = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...more) { return kind === "webgl2" ? null : own.call(this, kind, ...more); };
    });
    await page.goto(server.address);
    await settled(page);
    assert.match(await page.textContent("#remote-note"), /no WebGL2/);
    assert.equal(await page.isDisabled("#remote"), true);
    assert.equal(await page.isDisabled("#points"), true);
    const first = await view(page);
    await page.mouse.move(300, 300);
    await page.mouse.down();
    await page.mouse.move(420, 330, { steps: 5 });
    await page.mouse.up();
    await settled(page);
    assert.notDeepEqual((await view(page)).position, first.position);
    const before_ = await marked(page, "#remote-picture");
    await press(page, "i");
    await page.waitForSelector("#picked:not([hidden])");
    assert.match(await page.textContent("#picked"), /Row[\d,]+Position/);
    await settled(page);
    assert.ok((await marked(page, "#remote-picture")) > before_, "what is picked is marked");
    const rotation = (await view(page)).rotation;
    await page.mouse.dblclick(300, 330);
    await page.waitForFunction((r) => window.covary.view().rotation.join() !== r, rotation.join());
    await settled(page);
    await section(page, "Cameras");
    await page.selectOption("#camera", String(CAMERA));
    await settled(page);
    for (const kind of ["split", "photo", "difference"]) {
      const was = await page.locator("#remote-picture").screenshot();
      await page.selectOption("#compare", kind);
      await page.waitForFunction(() => document.getElementById("photo-figures").textContent.includes("dB"), null, { timeout: 60000 });
      await settled(page);
      assert.ok((await psnr(page, was, await page.locator("#remote-picture").screenshot())) < 45, kind);
    }
    const db = Number(/([\d.]+) dB/.exec(await page.textContent("#photo-figures"))[1]);
    assert.ok(db > 18 && db < 60, `${db} dB to the photo`);
    await page.setInputFiles("#file", { name: "other.ply", mimeType: "application/octet-stream", buffer: readFileSync(path.join(run, "scene.ply")) });
    await page.waitForSelector("#message:not([hidden])");
    assert.match(await page.textContent("#message-text"), /WebGL2/);
    assert.deepEqual(await faults(page), []);
    assert.deepEqual(page.watched.errors, []);
    await page.close();
  });

  check("falls to the program when the scene is more than its textures hold, and may choose to", async () => {
    const page = await browser.newPage({ viewport: { width: 640, height: 480 } });
    await page.addInitScript(() => {
      const own = WebGL2RenderingContext.prototype.getParameter;
      WebGL2RenderingContext.prototype.getParameter = function (name) { return name === this.MAX_TEXTURE_SIZE ? 16 : own.call(this, name); };
    });
    await page.goto(server.address);
    await settled(page);
    assert.match(await page.textContent("#remote-note"), /more than this graphics card's textures hold/);
    assert.match(await page.textContent("#count"), /^[\d,]+ Gaussians$/);
    await page.close();
    const free = await open(server.address);
    await free.check("#remote");
    await settled(free);
    assert.equal(await free.isVisible("#remote-picture"), true);
    await free.uncheck("#remote");
    await settled(free);
    assert.equal(await free.isVisible("#remote-picture"), false);
    assert.match(await free.textContent("#count"), /^[\d,]+ Gaussians$/);
    await close(free);
  });

  check("opens files of other formats, some here and some by the program", async () => {
    for (const [name, sent] of [["scene.splat", false], ["scene.spz", true], ["scene.sog", true], ["scene.ksplat", true], ["scene.glb", true], ["scene.compressed.ply", false]]) {
      const file = path.join(work, name);
      program(["convert", path.join(run, "scene.ply"), file, "-q"]);
      const page = await open(server.address);
      const before_ = await page.textContent("#count");
      let posts = 0;
      page.on("request", (r) => (posts += r.url().includes("/api/convert")));
      await section(page, "Another scene");
      await page.setInputFiles("#file", file);
      await page.waitForFunction(() => document.getElementById("name").textContent === "scene");
      await settled(page);
      assert.equal(await page.textContent("#count"), before_, name);
      assert.equal(posts > 0, sent, name);
      await close(page);
    }
    const page = await open(server.address);
    await page.setInputFiles("#file", { name: "broken.spz", mimeType: "application/octet-stream", buffer: Buffer.from("hello") });
    await page.waitForSelector("#message:not([hidden])");
    assert.match(await page.textContent("#name"), /studio/);
    await page.close();
  });

  check("opens another scene, and keeps the one before when a file is broken", async () => {
    const page = await open(server.address);
    const before_ = await page.textContent("#count");
    await section(page, "Another scene");
    const scene = readFileSync(path.join(run, "scene.ply"));
    for (const [name, buffer, says] of [
      ["cut.ply", scene.subarray(0, scene.length - 100), /ends early/],
      ["text.ply", Buffer.from("hello"), /no \.ply/],
      ["empty.ply", Buffer.alloc(0), /no \.ply/],
    ]) {
      await page.setInputFiles("#file", { name, mimeType: "application/octet-stream", buffer });
      await page.waitForSelector("#message:not([hidden])");
      assert.match(await page.textContent("#message-text"), says);
      assert.match(await page.textContent("#message-hint"), new RegExp(name));
      assert.deepEqual(await faults(page), []);
      await page.click("#message-close");
      assert.equal(await page.textContent("#count"), before_);
    }
    await page.setInputFiles("#file", { name: "other.ply", mimeType: "application/octet-stream", buffer: scene });
    await page.waitForFunction(() => document.getElementById("name").textContent === "other");
    await settled(page);
    assert.equal(await page.textContent("#count"), before_);
    assert.equal(await page.isVisible("#cameras-box"), false);
    await close(page);
  });

  test("is what the documentation shows", { timeout: 600000, skip: shots ? false : "COVARY_SHOTS is not set" }, async () => {
    const shown = await serve([fine]);
    const page = await open(shown.address, { width: 1200, height: 750 });
    await keep(page, "viewer");
    // The photo loads the capture, which is traced anew: that takes a while.
    await section(page, "Cameras");
    await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = d.textContent.includes("Wipe"); });
    await page.selectOption("#camera", String(CAMERA));
    await page.selectOption("#compare", "split");
    await page.waitForFunction(() => document.getElementById("photo-figures").textContent.includes("dB"), null, { timeout: 300000 });
    await settled(page);
    await keep(page, "viewer_wipe");
    await close(page, shown.address);
    const narrow = await open(shown.address, { width: 360, height: 640, hasTouch: true, isMobile: true });
    await keep(narrow, "viewer_narrow");
    await narrow.close();
    assert.equal(await ended(shown.child), 0);
  });

  check("has no fault that axe-core finds", async () => {
    const page = await open(server.address);
    await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
    assert.deepEqual(await faults(page), []);
    await close(page);
  });

  check("fits a narrow screen, with touch", async () => {
    const page = await open(server.address, { width: 360, height: 640, hasTouch: true, isMobile: true });
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(await wide(), 360);
    assert.equal(await page.isVisible("#panel"), false);
    await page.tap("#panel-toggle");
    assert.equal(await page.isVisible("#panel"), true);
    assert.equal(await wide(), 360);
    assert.deepEqual(await faults(page), []);
    const first = await view(page);
    const box = await page.locator("#picture").boundingBox();
    const touch = await page.context().newCDPSession(page);
    const fingers = (type, ...at) => touch.send("Input.dispatchTouchEvent", { type, touchPoints: at.map(([x, y], id) => ({ x, y: box.y + y, id })) });
    await fingers("touchStart", [100, 100]);
    for (const x of [110, 130, 160]) await fingers("touchMove", [x, 100]);
    await fingers("touchEnd");
    await settled(page);
    const turned = await view(page);
    assert.notDeepEqual(turned.position, first.position);
    await fingers("touchStart", [100, 100], [140, 100]);
    for (const d of [10, 20, 30]) await fingers("touchMove", [100 - d, 100], [140 + d, 100]);
    await fingers("touchEnd");
    await settled(page);
    assert.notDeepEqual((await view(page)).position, turned.position);
    await close(page);
  });

  check("follows a run whose scene and log change", async () => {
    const page = await open(server.address);
    appendFileSync(path.join(run, "log.jsonl"), [1000, 1001].map((s) => JSON.stringify({ step: s, loss: 0.01, test_psnr: 30, count: 5 }) + "\n").join(""));
    await page.waitForSelector("#training:not([hidden]) .curve");
    const second = path.join(work, "second");
    program(["train", "sample:studio,views=12,width=160,height=120", "-o", second, "--steps", "20", "--max-gaussians", "500", "-q"]);
    const was = await page.textContent("#count");
    const scene = path.join(run, "scene.ply");
    const whole = readFileSync(scene);
    writeFileSync(scene, readFileSync(path.join(second, "scene.ply")));
    await page.waitForFunction((text) => document.getElementById("count").textContent !== text, was, { timeout: 20000 });
    await settled(page);
    // Half a file is no scene: the one before stays.
    const less = await page.textContent("#count");
    writeFileSync(scene, whole.subarray(0, 5000));
    await page.waitForTimeout(2500);
    assert.equal(await page.textContent("#count"), less);
    writeFileSync(scene, whole);
    await page.waitForFunction((text) => document.getElementById("count").textContent === text, was, { timeout: 20000 });
    await close(page);
  });

  check("shows a training while it runs, with a rising PSNR, and pauses and stops it", async () => {
    const live = path.join(work, "live");
    const child = spawn(covary, ["train", "sample:studio,views=12,width=160,height=120", "-o", live, "--steps", "100000", "--max-gaussians", "3000", "--eval-every", "20", "--view"],
      { cwd: work, env: { ...process.env, GOMP_SPINCOUNT: "0" } });
    const address = await new Promise((resolve, reject) => {
      let text = "";
      child.stderr.on("data", (piece) => {
        text += piece;
        const found = /look at it: (\S+)/.exec(text);
        if (found) resolve(found[1]);
      });
      child.on("exit", (code) => reject(new Error(`covary train ended with ${code}\n${text}`)));
    });
    child.removeAllListeners("exit");
    const page = await open(address);
    const step = async () => Number(/step (\d+)/.exec(await page.textContent("#note"))?.[1] ?? 0);
    const figure = () => page.evaluate(() => {
      const curve = [...document.querySelectorAll(".curve")].find((c) => c.textContent.includes("held-out"));
      return curve ? { last: Number(curve.querySelector("strong").textContent), points: curve.querySelector("polyline").getAttribute("points").split(" ").map((p) => Number(p.split(",")[1])) } : null;
    });
    await page.waitForFunction(() => (document.querySelector(".curve svg[aria-label*=held-out] polyline")?.getAttribute("points").split(" ").length ?? 0) >= 5, null, { timeout: 120000 });
    const psnrs = await figure();
    assert.ok(psnrs.points.at(-1) < psnrs.points[0], "the curve rises"); // y of the picture falls
    const first = await step();
    await page.waitForFunction((s) => Number(/step (\d+)/.exec(document.getElementById("note").textContent)?.[1]) > s, first, { timeout: 60000 });
    await settled(page);
    assert.deepEqual(await faults(page), []);
    await page.click("#pause");
    await page.waitForTimeout(3000);
    const paused = await step();
    await page.waitForTimeout(3000);
    assert.equal(await step(), paused);
    assert.match(await page.textContent("#cap-note"), /at most 3,000 now/);
    await page.fill("#cap", "2500");
    await page.click("#cap-set");
    await page.click("#resume");
    await page.waitForFunction(() => document.getElementById("cap-note").textContent === "at most 2,500 now", null, { timeout: 60000 });
    await page.fill("#cap", "0");
    await page.click("#cap-set");
    await page.waitForSelector("#message:not([hidden])");
    await page.click("#message-close");
    await page.check("#remote");
    await page.waitForSelector("#remote-picture:not([hidden])", { timeout: 60000 });
    await page.uncheck("#remote");
    await page.waitForFunction((s) => Number(/step (\d+)/.exec(document.getElementById("note").textContent)?.[1]) > s, paused, { timeout: 60000 });
    await close(page, address);
    const late = await open(address);
    await late.click("#stop");
    await late.close();
    await new Promise((resolve) => (child.exitCode === null ? child.on("exit", resolve) : resolve()));
    assert.equal(child.exitCode, 0);
    const metrics = JSON.parse(readFileSync(path.join(live, "metrics.json"), "utf8"));
    assert.match(metrics.note, /stopped by hand/);
    assert.equal(metrics.caps[0].max_gaussians, 2500);
    assert.match(readFileSync(path.join(live, "log.jsonl"), "utf8"), /"event":"cap"/);
  });

  check("says so when the server is gone", async () => {
    const other = await serve([path.join(run, "scene.ply")]);
    const late = await open(other.address);
    assert.equal(await ended(other.child), 0);
    await late.selectOption("#mode", "depth");
    await settled(late);
    assert.deepEqual([...late.watched.hosts].length, 1);
    await late.close();
  });

  check("is a file that opens from disk", async (t) => {
    const html = path.join(work, "scene.html");
    const writer = spawnSync(path.join(build, "covary_serve_test"), ["--gtest_filter=ExportHtml.WritesAFileForTheBrowserTest"], {
      env: { ...process.env, COVARY_EXPORT_FROM: path.join(run, "scene.ply"), COVARY_EXPORT_TO: html },
    });
    if (writer.status !== 0 || !existsSync(html)) return t.skip("covary_serve_test is not built");
    const page = await open("file://" + html);
    assert.match(await page.textContent("#count"), /^[\d,]+ Gaussians$/);
    await page.selectOption("#mode", "normal");
    await settled(page);
    assert.equal(await page.textContent("#file-kinds"), ".ply, compressed .ply and .splat");
    await page.setInputFiles("#file", { name: "other.spz", mimeType: "application/octet-stream", buffer: Buffer.from("spz") });
    await page.waitForSelector("#message:not([hidden])");
    assert.match(await page.textContent("#message-hint"), /reads \.ply, compressed \.ply and \.splat/);
    await close(page, "file:////");
    const blind = await browser.newPage();
    await blind.addInitScript(() => { HTMLCanvasElement.prototype.getContext = () => null; });
    await blind.goto("file://" + html);
    await blind.waitForSelector("body[data-state=error] #message:not([hidden])");
    assert.match(await blind.textContent("#message-text"), /WebGL2/);
    await blind.close();
    console.log(`# one file: ${readFileSync(html).length} bytes`);
  });

  check("is small", () => {
    const total = ["index.html", "viewer.js", "viewer.css"]
      .map((f) => spawnSync("gzip", ["-9", "-c", path.join(path.dirname(new URL(import.meta.url).pathname), "../dist", f)]).stdout.length)
      .reduce((a, b) => a + b);
    console.log(`# page: ${total} bytes gzip`);
    assert.ok(total > 0 && total < 1.5e6);
  });
});
