// How soon the viewer's page shows something of a large scene: over loopback, in headless Chromium with software WebGL.
//
//   node bench/first_picture.mjs build [rows = 1000000, or a scene file] [SH degree = 3] [loads = 5]
//
// Makes a scene of random Gaussians in a ball, serves it by `covary view`, and loads the page anew so many times. Prints, for
// each load, the milliseconds from its navigation to its first drawing call and to the second frame after it, when it is on the
// screen; then the medians.
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

const [build, rows = "1000000", degree = "3", loads = "5"] = process.argv.slice(2);
const { chromium } = createRequire(new URL("../web/package.json", import.meta.url))("playwright-core");
const work = mkdtempSync(path.join(tmpdir(), "covary_first_"));
const scene = /^\d+$/.test(rows) ? path.join(work, "ball.ply") : rows;

function writeScene(n, rest) {
  const names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", ...Array.from({ length: rest }, (_, k) => `f_rest_${k}`), "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"];
  const file = openSync(scene, "w");
  writeSync(file, `ply\nformat binary_little_endian 1.0\nelement vertex ${n}\n${names.map((p) => `property float ${p}\n`).join("")}end_header\n`);
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  for (let done = 0; done < n; ) {
    const some = Math.min(50000, n - done);
    const block = new Float32Array(some * names.length);
    for (let i = 0, k = 0; i < some; ++i) {
      for (let c = 0; c < 3; ++c) block[k++] = normal();
      for (let c = 0; c < 3 + rest; ++c) block[k++] = 0.3 * (random() - 0.5) * (c < 3 ? 5 : 1);
      block[k++] = 2 * normal();
      for (let c = 0; c < 3; ++c) block[k++] = -4.6 + 0.7 * normal();
      for (let c = 0; c < 4; ++c) block[k++] = normal();
    }
    writeSync(file, Buffer.from(block.buffer));
    done += some;
  }
  closeSync(file);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

if (scene !== rows) writeScene(Number(rows), 3 * ((Number(degree) + 1) ** 2 - 1));
const server = spawn(path.join(build, "covary"), ["view", scene, "--port", "0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
const address = await new Promise((resolve) => {
  let text = "";
  server.stdout.on("data", (piece) => {
    text += piece;
    if (text.includes("\n")) resolve(JSON.parse(text.split("\n")[0]).address);
  });
});
const browser = await chromium.launch({
  executablePath: process.env.COVARY_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
});
const figures = [];
for (let i = 0; i < Number(loads); ++i) {
  const page = await browser.newPage({ viewport: { width: 900, height: 600 } });
  await page.addInitScript(() => {
    let frames = 0;
    const look = () => {
      if (performance.getEntriesByName("first picture").length > 0 && ++frames === 2) return void (window.seen = performance.now());
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(address);
  await page.waitForFunction(() => window.seen, null, { timeout: 120000 });
  const [first, seen] = await page.evaluate(() => [performance.getEntriesByName("first picture")[0].startTime, window.seen]);
  console.log(`load ${i + 1}: drawn ${first.toFixed(0)} ms, seen ${seen.toFixed(0)} ms`);
  figures.push([first, seen]);
  await page.close();
}
console.log(`median: drawn ${median(figures.map((f) => f[0])).toFixed(0)} ms, seen ${median(figures.map((f) => f[1])).toFixed(0)} ms`);
await browser.close();
server.kill("SIGINT");
rmSync(work, { recursive: true, force: true });
