#!/usr/bin/env python3
"""A training step on the CPU beside OpenSplat's CPU mode: the same capture, the same photo size, the same SfM points.

    git clone https://github.com/pierotofy/OpenSplat peers/OpenSplat
    apt-get install libopencv-dev nlohmann-json3-dev libnanoflann-dev libcxxopts-dev
    cmake -S peers/OpenSplat -B peers/opensplat -G Ninja -DCMAKE_BUILD_TYPE=Release -DGPU_RUNTIME=CPU \\
          -DCMAKE_CXX_FLAGS=-march=native -DFETCHCONTENT_TRY_FIND_PACKAGE_MODE=ALWAYS -DCMAKE_PREFIX_PATH=LIBTORCH
    ninja -C peers/opensplat opensplat
    python3 bench/peers/opensplat.py peers/opensplat/opensplat build/covary CAPTURE [--downscale 4] [--threads 1]
                                     [--steps 5 25] [--covary-steps 20 220] [--repeats 5] [--json]

LIBTORCH is the folder that scripts/bootstrap names, so that both programs run on one libtorch. Without
FETCHCONTENT_TRY_FIND_PACKAGE_MODE, which takes the packages of the system, OpenSplat's CMake downloads its three small
libraries. Its release flags are -O3 -DNDEBUG without -march, hence the third line.
CAPTURE is a COLMAP folder: images/ and sparse/0 (or cameras.bin, images.bin and points3D.bin). OpenSplat is shown only
these, by links in a temporary folder, since it would prefer a transforms.json.

Each program is run to two numbers of steps; the difference of the two runs over the difference of the steps is a step
without the start, in which photos are read, undistorted and shrunk. CPU seconds are user + system time of the process,
and the machine need not be idle for them; wall is told too. The two programs take turns, and medians of the repeats are
printed. Both train from the first step on photos of full (shrunk) size, on all photos, at degree 0 of the spherical
harmonics (each raises it after 1,000 steps) of degree 3, with L1 and 0.2 of SSIM, and count for their density control
but do not refine (each begins after 500 steps), so the number of Gaussians stays that of the points.
GOMP_SPINCOUNT=0, so that waiting threads do no work that would be counted. OpenSplat's rasteriser runs on one thread in
any case, the rest of its step on those of libtorch.

Drawing a finished scene: opensplat_render.py beside this.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def run(command, log):
    """CPU and wall seconds of a process, children that it waits for included."""
    environment = {**os.environ, "GOMP_SPINCOUNT": "0"}
    with open(log, "w") as out:
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        said = pathlib.Path(log).read_text()[-2000:]
        sys.exit(f"error: {command[0]} ended with {child.returncode}\nhint: it said\n{said}")
    return usage.ru_utime + usage.ru_stime, wall


def only_colmap(capture, folder):
    """A folder with links to the photos and the COLMAP files of a capture, and nothing else."""
    capture = pathlib.Path(capture).resolve()
    folder.mkdir()
    found = [name for name in ("images", "sparse", "cameras.bin", "images.bin", "points3D.bin") if (capture / name).exists()]
    if "images" not in found or not {"sparse", "cameras.bin"} & set(found):
        sys.exit(f"error: {capture} is no COLMAP folder\nhint: it needs images/ and sparse/0/, with binary files")
    for name in found:
        (folder / name).symlink_to(capture / name)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("opensplat", help="OpenSplat's program")
    parser.add_argument("covary", help="build/covary")
    parser.add_argument("capture")
    parser.add_argument("--downscale", type=int, default=4, help="divides the photos' size")
    parser.add_argument("--steps", type=int, nargs=2, default=[5, 25], metavar=("LOW", "HIGH"), help="of OpenSplat")
    parser.add_argument("--covary-steps", type=int, nargs=2, default=[20, 220], metavar=("LOW", "HIGH"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for low, high in (args.steps, args.covary_steps):
        if not 1 <= low < high <= 500:
            sys.exit(f"error: cannot time from step {low} to {high}\n"
                     "hint: give 1 <= LOW < HIGH <= 500, before refinement begins")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        capture = only_colmap(args.capture, folder / "capture")

        def opensplat(steps):
            return [args.opensplat, capture, "--cpu", "-n", str(steps), "-d", str(args.downscale), "--num-downscales", "0",
                    "--sh-degree", "3", "--sh-degree-interval", "1000", "--warmup-length", "500",
                    "-o", folder / "opensplat.ply"]

        def covary(steps):
            return [args.covary, "train", capture, "-o", folder / "run", "--overwrite", "--quiet", "--steps", str(steps),
                    "--downscale", str(args.downscale), "--test-every", "0", "--threads", str(args.threads),
                    "--sh-degree", "3", "--sh-every", "1000", "--strategy", "default", "--default-start", "500",
                    "--default-stop", "15000", "--checkpoint-every", "0", "--eval-every", "0", "--until", "train"]

        programs = {"opensplat": (opensplat, args.steps), "covary": (covary, args.covary_steps)}
        spent = {name: {"cpu_s": [], "wall_s": []} for name in programs}
        for _ in range(args.repeats):
            for name, (command, (low, high)) in programs.items():
                first, last = run(command(low), folder / "log"), run(command(high), folder / "log")
                for kind, a, b in zip(("cpu_s", "wall_s"), first, last):
                    spent[name][kind].append((b - a) / (high - low))
                print(f"{name}: {1e3 * spent[name]['cpu_s'][-1]:.1f} ms of CPU a step", file=sys.stderr)
        theirs = json.loads((folder / "cameras.json").read_text())[0]
        ours = json.loads((folder / "run" / "cameras.json").read_text())["cameras"][0]

    sizes = {"opensplat": f"{theirs['width']}x{theirs['height']}", "covary": f"{ours['width']}x{ours['height']}"}
    out = {"threads": args.threads, "repeats": args.repeats, "downscale": args.downscale}
    for name, kinds in spent.items():
        out[name] = {"photo": sizes[name], "steps": programs[name][1],
                     **{kind: statistics.median(values) for kind, values in kinds.items()}, "runs": kinds}
    out["ratio"] = {kind: out["opensplat"][kind] / out["covary"][kind] for kind in ("cpu_s", "wall_s")}
    if args.json:
        print(json.dumps(out, indent=2))
        return
    for name in programs:
        cpu = spent[name]["cpu_s"]
        print(f"{name:10} {sizes[name]:9} steps {programs[name][1][0]} to {programs[name][1][1]:<4} a step: "
              f"CPU {1e3 * out[name]['cpu_s']:7.1f} ms ({1e3 * min(cpu):.1f} to {1e3 * max(cpu):.1f})  "
              f"wall {1e3 * out[name]['wall_s']:7.1f} ms")
    print(f"OpenSplat takes {out['ratio']['cpu_s']:.1f} times the CPU time of Covary and {out['ratio']['wall_s']:.1f} times "
          f"its wall time (medians of {args.repeats}, {args.threads} thread(s))")


if __name__ == "__main__":
    main()
