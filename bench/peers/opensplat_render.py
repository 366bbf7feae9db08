#!/usr/bin/env python3
"""Drawing a finished scene on the CPU beside OpenSplat's CPU mode: the same Gaussians, cameras and picture size.

    python3 bench/peers/opensplat_render.py SOURCE BUILD build/covary RUN CAPTURE [--downscale 2] [--threads 2]
                                            [--rounds 3] [--repeats 3] [--no-fast] [--whole] [--json]

SOURCE is OpenSplat's checkout and BUILD the folder that Ninja built it in for the CPU (see opensplat.py beside this). RUN is
a run of `covary train` on CAPTURE, a COLMAP folder; its held-out views are drawn.

OpenSplat has no program that draws a finished scene. A small one of ours, below, is compiled with the commands of its own
build (same flags, same libtorch) and linked with its objects in place of its main program: it reads the capture and the
scene by OpenSplat's readers, and times the call of its model that turns a camera into a picture, loading and writing left
out. That call is the one of its training: it keeps for each pixel the Gaussians that it blended, for a gradient that nobody
asks for, and there is no other. Its scene file is RUN/scene.ply with the comment line that its reader wants, and without what
lies behind the camera of each view, which on the CPU it does not leave out (--whole: it is left in). One thing is mended on
the way: its CPU compositor reads the depths, a strided view of a tensor, as if they lay one after the other, so that it does
not blend by depth and a scene trained elsewhere comes out at 16 dB. The linker puts a function of ours before that
compositor, which hands it the depths as it expects them.

Ours is what `covary render --benchmark` says of drawing alone, exact and with --fast. The three take turns; figures are
medians over the repeats of means over the views. CPU seconds are of all threads, and the machine need not be idle for them;
wall seconds are told too, and mean little unless it is. GOMP_SPINCOUNT=0, so that waiting threads do no work that would be
counted. The PSNR to the photos says that both draw the same views: theirs by its program, ours by `covary eval`.

Without OpenSplat it says so and ends with 77.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile

import opensplat

PROGRAM = r"""
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "input_data.hpp"
#include "model.hpp"

// COMPOSITOR is the symbol of its compositor, whose calls the linker sends to the second of these (--wrap).
using Tensor = torch::Tensor;
using Drawn = std::tuple<Tensor, Tensor, std::vector<int32_t>*>;
Drawn compositor(int, int, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                 const Tensor&) asm("__real_" COMPOSITOR);
Drawn with_depths(int, int, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                  const Tensor&) asm("__wrap_" COMPOSITOR);
Drawn with_depths(int w, int h, const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d, const Tensor& e,
                  const Tensor& f, const Tensor& depths) {
  return compositor(w, h, a, b, c, d, e, f, depths.contiguous());
}

// timer CAPTURE SCENES DOWNSCALE ROUNDS OUTPUT NAME...: draws SCENES/NAME.ply from the camera NAME; a line a view,
// "name width height cpu_s wall_s psnr".
int main(int argc, char** argv) {
  InputData data = inputDataFromX(argv[1], "");
  Model model(data, static_cast<int>(data.cameras.size()), 0, 3000, 3, 1000, 100, 500, 30, 0.0002f, 0.01f, 4000, 0.05f, 30000,
              true, torch::kCPU);
  std::ofstream out(argv[5]);
  for (int a = 6; a < argc; ++a) {
    for (Camera& camera : data.cameras) {
      if (std::filesystem::path(camera.filePath).filename() != argv[a]) continue;
      camera.loadImage(std::stof(argv[3]));
      const int step = model.loadPly(std::string(argv[2]) + "/" + argv[a] + ".ply");
      std::vector<double> cpu, wall;
      double psnr = 0;
      for (int round = 0; round <= std::stoi(argv[4]); ++round) {
        timespec before, after;
        const auto begin = std::chrono::steady_clock::now();
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        const torch::Tensor picture = model.forward(camera, step);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        cpu.push_back(static_cast<double>(after.tv_sec - before.tv_sec) + 1e-9 * static_cast<double>(after.tv_nsec - before.tv_nsec));
        psnr = -10 * std::log10((picture - camera.image).pow(2).mean().item<double>());
      }
      // The first round also takes memory, and is left out.
      const auto median = [](std::vector<double> v) {
        v.erase(v.begin());
        std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
        return v[v.size() / 2];
      };
      out << argv[a] << " " << camera.width << " " << camera.height << " " << median(cpu) << " " << median(wall) << " " << psnr
          << std::endl;
    }
  }
}
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def timer(source, build, folder):
    """Our program among OpenSplat's objects, made by the commands of its build."""
    if not (source / "model.hpp").is_file():
        skip(f"no OpenSplat at {source}")
    if not (build / "build.ninja").is_file() or not (build / "opensplat").is_file():
        skip(f"OpenSplat is not built by Ninja in {build}")
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", "opensplat"], capture_output=True, text=True, check=True).stdout
    compile_line = next(line for line in listed.splitlines() if re.search(r"-c \S*/opensplat\.cpp$", line))
    link_line = next(line for line in listed.splitlines() if " -o opensplat " in line)
    code, target, program = folder / "timer.cpp", folder / "timer.o", folder / "timer"
    code.write_text(PROGRAM)
    symbols = subprocess.run(["nm", build / "libgsplat_cpu.a"], capture_output=True, text=True, check=True).stdout
    compositor = re.search(r" T (_Z\d+rasterize_forward_tensor_cpu\w+)$", symbols, re.M).group(1)
    words = shlex.split(compile_line)
    flags = [w for i, w in enumerate(words[1:], 1)
             if w not in ("-MD", "-MT", "-MF", "-o", "-c") and words[i - 1] not in ("-MT", "-MF", "-o", "-c")]
    made = subprocess.run([words[0], *flags, "-I", source, f'-DCOMPOSITOR="{compositor}"', "-o", target, "-c", code], cwd=build, capture_output=True, text=True)
    if made.returncode == 0:
        line = re.sub(r"\S*/opensplat\.cpp\.o", str(target), link_line).replace(" -o opensplat ", f" -o {program} ")
        line = line.replace(" -o ", f" -Wl,--wrap={compositor} -o ", 1)
        made = subprocess.run(line, shell=True, cwd=build, capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(f"error: the timing program does not build with this OpenSplat\nhint: the compiler said\n{made.stderr[-2000:]}")
    return program


def write_scenes(scene, cameras, folder, whole):
    """A copy of a PLY file for each camera, as OpenSplat's reader wants it; what is not before the camera is left out."""
    header, body = scene.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    properties = [line for line in lines if line.startswith("property ")]
    if any(not line.startswith("property float ") for line in properties) or properties[:3] != [f"property float {k}" for k in "xyz"]:
        sys.exit(f"error: {scene} is no scene of floats\nhint: name a run of covary train")
    row = struct.Struct(f"<{len(properties)}f").size
    near = 0.01  # as ours
    folder.mkdir()
    for camera in cameras:
        a, b, c, d = camera["cam_from_world"][2]
        if whole:
            kept = [body]
        else:
            kept = [body[at:at + row] for at in range(0, len(body), row)
                    for x, y, z in [struct.unpack_from("<3f", body, at)] if a * x + b * y + c * z + d > near]
        count = len(body) // row if whole else len(kept)
        start = ["ply", "format binary_little_endian 1.0", "comment Generated by opensplat at iteration 30000",
                 f"element vertex {count}", *properties, "end_header", ""]
        (folder / f"{camera['name']}.ply").write_bytes("\n".join(start).encode() + b"".join(kept))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path, help="OpenSplat's checkout")
    parser.add_argument("build", type=pathlib.Path, help="where it was built")
    parser.add_argument("covary", help="build/covary")
    parser.add_argument("run", type=pathlib.Path, help="of covary train")
    parser.add_argument("capture")
    parser.add_argument("--downscale", type=int, default=2, help="divides the photos' size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="over the views, in each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-fast", action="store_true")
    parser.add_argument("--whole", action="store_true", help="show OpenSplat what lies behind the cameras as well")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    cameras = [c for c in json.loads((args.run / "cameras.json").read_text())["cameras"] if c["split"] == "test"]
    views = [c["name"] for c in cameras]
    if not views:
        sys.exit(f"error: {args.run} holds out no views\nhint: train with --test-every 8")

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        program = timer(args.source.resolve(), args.build.resolve(), folder)
        capture = opensplat.only_colmap(args.capture, folder / "capture")
        write_scenes(args.run / "scene.ply", cameras, folder / "scenes", args.whole)

        def theirs():
            told = folder / "told"
            opensplat.run([program, capture, folder / "scenes", str(args.downscale), str(args.rounds), told, *views], folder / "log")
            rows = [line.split() for line in told.read_text().splitlines()]
            if len(rows) != len(views):
                sys.exit(f"error: OpenSplat found {len(rows)} of {len(views)} views\nhint: is {args.capture} the run's capture?")
            mean = lambda k: statistics.mean(float(row[k]) for row in rows)
            return {"size": f"{rows[0][1]}x{rows[0][2]}", "cpu_ms": 1e3 * mean(3), "wall_ms": 1e3 * mean(4), "psnr": mean(5)}

        def covary(*more):
            environment = {**os.environ, "GOMP_SPINCOUNT": "0"}
            said = subprocess.run([args.covary, "render", args.run, "-o", folder / "pictures", "--overwrite", "--quiet", "--cameras",
                                   "test", "--downscale", str(args.downscale), "--threads", str(args.threads), "--benchmark",
                                   str(args.rounds), "--json", *more], capture_output=True, text=True, env=environment)
            if said.returncode != 0:
                sys.exit(f"error: {args.covary} ended with {said.returncode}\nhint: it said\n{said.stderr}")
            document = json.loads(said.stdout)
            return {"size": f"{document['width']}x{document['height']}", "cpu_ms": document["drawing"]["cpu_ms_per_frame"],
                    "wall_ms": document["drawing"]["ms_per_frame"], "fast": document.get("fast")}

        programs = {"opensplat": theirs, "covary": covary}
        if not args.no_fast:
            programs["covary --fast"] = lambda: covary("--fast")
        told = {name: [] for name in programs}
        for _ in range(args.repeats):
            for name, measure in programs.items():
                told[name].append(measure())
                print(f"{name}: {told[name][-1]['cpu_ms']:.1f} ms of CPU a frame", file=sys.stderr)
        said = subprocess.run([args.covary, "eval", args.run, args.capture, "--downscale", str(args.downscale), "--json", "--quiet"],
                              capture_output=True, text=True)
        psnr = json.loads(said.stdout)["evaluations"][0]["psnr"]["value"] if said.returncode == 0 else None

    out = {"threads": args.threads, "views": len(views), "load": os.getloadavg()[0]}
    for name, runs in told.items():
        out[name] = {"size": runs[0]["size"], **{k: statistics.median(r[k] for r in runs) for k in ("cpu_ms", "wall_ms")}}
    out["opensplat"]["psnr"], out["covary"]["psnr"] = told["opensplat"][0]["psnr"], psnr
    if "covary --fast" in told:
        out["covary --fast"].update({k: told["covary --fast"][0]["fast"][k] for k in ("gaussians", "kept", "psnr", "seconds")})
    if args.json:
        print(json.dumps(out, indent=2))
        return
    for name in programs:
        row = out[name]
        print(f"{name:14} {row['size']:9} CPU {row['cpu_ms']:8.1f} ms a frame   wall {row['wall_ms']:8.1f} ms   "
              f"{1e3 / row['wall_ms']:6.2f} frames/s   OpenSplat takes {out['opensplat']['cpu_ms'] / row['cpu_ms']:5.1f} x the CPU")
    print(f"PSNR to the photos: OpenSplat {out['opensplat']['psnr']:.2f} dB, Covary " + (f"{psnr:.2f} dB" if psnr else "unknown"))
    if "covary --fast" in out:
        fast = out["covary --fast"]
        print(f"--fast: {fast['kept']} of {fast['gaussians']} Gaussians, {fast['psnr']:.1f} dB to the exact picture, "
              f"prepared in {fast['seconds']:.1f} s")
    print(f"{len(views)} views, {args.threads} thread(s), medians of {args.repeats}; load of the machine {out['load']:.1f}")


if __name__ == "__main__":
    main()
