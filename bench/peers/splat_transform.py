#!/usr/bin/env python3
"""Conversion of splats beside PlayCanvas's splat-transform: time, size, likeness, and whether each reads the other.

    npm install --prefix peers @playcanvas/splat-transform
    python3 bench/peers/splat_transform.py --peer peers/node_modules/.bin/splat-transform --covary build/covary
                                           [--splats 1000000] [--degree 3] [--scene FILE.ply] [--repeats 3] [--json]
    python3 bench/peers/splat_transform.py --peer ... --covary ... --cross      each reads what the other wrote

Without --scene, a scene is drawn: splats on noisy surfaces, with standard deviations, opacities and colours as trained
scenes have them and SH that depend on the place, so that palettes and entropy coders find the order that they find in
real scenes; it is no real scene, and sizes of real ones differ. Written are .spz (version 4, what the peer writes),
.sog and compressed .ply from the .ply. CPU seconds are user + system time of the process, starts included, medians of
the repeats, the programs in turn; PSNR is of views drawn by Covary, each program's file against the input. The peer runs
without a GPU (`-g cpu`), as Covary does. --peer-limit ends it after so many seconds a file, and says so.
"""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

OUTPUTS = ("spz", "sog", "compressed.ply")


def run(command, limit=None):
    """CPU and wall seconds of a process; None when it ran past the limit."""
    environment = {**os.environ, "GOMP_SPINCOUNT": "0"}
    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        child = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT, env=environment)
        status = usage = None
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if limit and time.perf_counter() - begin > limit:
                child.kill()
                os.wait4(child.pid, 0)
                child.returncode = -9
                return None
            time.sleep(0.01)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            log.seek(0)
            sys.exit(f"error: {command[0]} ended with {child.returncode}\nhint: it said\n{log.read()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, wall


def write_scene(path, count, degree):
    """A .ply of splats on five bent sheets. NumPy alone."""
    import numpy as np
    rng = np.random.default_rng(1)
    rest = (degree + 1) ** 2 - 1
    u, v = rng.uniform(-1, 1, (2, count))
    sheet = rng.integers(0, 5, count)
    angle = sheet * 1.1
    bend = 0.3 * np.sin(3 * u + sheet) * np.cos(2 * v - sheet) + 0.004 * rng.normal(size=count)
    xyz = np.stack([u * np.cos(angle) - bend * np.sin(angle), v, u * np.sin(angle) + bend * np.cos(angle)], 1) * 3
    size = np.log(3.0 / np.sqrt(count / 5)) + 0.5 * rng.normal(size=(count, 1))
    scale = size + np.array([[0.3, 0, -1.8]]) + 0.4 * rng.normal(size=(count, 3))
    half = angle / 2 + 0.15 * rng.normal(size=count)
    quat = np.stack([np.cos(half), 0.1 * rng.normal(size=count), -np.sin(half), 0.1 * rng.normal(size=count)], 1)
    opacity = np.where(rng.uniform(size=count) < 0.7, 4 + rng.normal(size=count), 3 * rng.normal(size=count) - 1)
    wave = np.stack([np.sin(4 * u + k + sheet) * np.cos(5 * v - k) for k in range(3)], 1)
    dc = 0.9 * wave + 0.15 * rng.normal(size=(count, 3))
    # Harmonics follow a few materials, weaker by degree, with noise of their own.
    material = ((u * 4).astype(int) + 7 * (v * 4).astype(int) + 13 * sheet) % 64
    table = rng.normal(size=(64, 3 * rest)) * 0.12
    sh = table[material] + 0.03 * rng.normal(size=(count, 3 * rest))
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{i}" for i in range(3 * rest)]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    rows = np.concatenate([xyz, np.zeros((count, 3)), dc, sh, opacity[:, None], scale, quat], 1).astype("<f4")
    head = "ply\nformat binary_little_endian 1.0\nelement vertex %d\n" % count
    head += "".join(f"property float {n}\n" for n in names) + "end_header\n"
    with open(path, "wb") as f:
        f.write(head.encode())
        rows.tofile(f)


def likeness(covary, scene, file, folder):
    """Mean and worst PSNR of a file's views against the scene's, drawn by Covary."""
    report = folder / "report.json"
    run([covary, "convert", file, folder / "plain.npz", "--overwrite", "--report", report, "--against", scene])
    row = json.loads(report.read_text())["rows"][0]
    return row["psnr"], row["psnr_worst"]


def medians(times):
    return {"cpu_s": statistics.median(t[0] for t in times), "wall_s": statistics.median(t[1] for t in times)}


def show(row, options):
    if options.json:
        print(json.dumps(row), flush=True)
    elif "limit_s" in row:
        print(f"{row['format']:22} {row['program']:16} not done within {row['limit_s']} s", flush=True)
    else:
        more = f" {row['bytes']:12,} bytes {row['psnr']:6.2f} dB (worst {row['psnr_worst']:.2f})" if "bytes" in row else ""
        print(f"{row['format']:22} {row['program']:16} {row['cpu_s']:8.2f} CPU s {row['wall_s']:8.2f} s{more}", flush=True)


def measure(options, folder):
    scene = pathlib.Path(options.scene) if options.scene else folder / "scene.ply"
    if not options.scene:
        write_scene(scene, options.splats, options.degree)
    results = []
    for kind in OUTPUTS:
        files = {"covary": folder / ("ours." + kind), "splat-transform": folder / ("theirs." + kind)}
        commands = {"covary": [options.covary, "convert", scene, files["covary"], "--overwrite", "--spz-version", "4"],
                    "splat-transform": [options.peer, "-w", "-g", "cpu", scene, files["splat-transform"]]}
        times = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                if None in times[name]:
                    continue
                times[name].append(run(command, options.peer_limit if name != "covary" else None))
        for name in commands:
            row = {"format": kind, "program": name, "repeats": len(times[name])}
            if None in times[name]:
                row["limit_s"] = options.peer_limit
            else:
                row.update(medians(times[name]))
                row["bytes"] = files[name].stat().st_size
                row["psnr"], row["psnr_worst"] = likeness(options.covary, scene, files[name], folder)
            results.append(row)
            show(row, options)
        # Back to .ply, both from our file.
        commands = {"covary": [options.covary, "convert", files["covary"], folder / "back.ply", "--overwrite"],
                    "splat-transform": [options.peer, "-w", files["covary"], folder / "back.ply"]}
        times = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                times[name].append(run(command))
        for name in commands:
            row = {"format": kind + " to ply", "program": name, "repeats": len(times[name]), **medians(times[name])}
            results.append(row)
            show(row, options)
    return results


def columns_of(path):
    """Columns of a binary .ply of floats by name."""
    import numpy as np
    data = pathlib.Path(path).read_bytes()
    end = data.index(b"end_header\n") + 11
    names = [l.split()[2].decode() for l in data[:end].split(b"\n") if l.startswith(b"property float")]
    rows = np.frombuffer(data, "<f4", offset=end).reshape(-1, len(names))
    return {n: rows[:, i] for i, n in enumerate(names)}


def covariances(c):
    import numpy as np
    q = np.stack([c[f"rot_{k}"] for k in range(4)], 1).astype("f8")
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    r = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                  [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                  [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]).transpose(2, 0, 1)
    m = r * np.exp(np.stack([c[f"scale_{k}"] for k in range(3)], 1).astype("f8"))[:, None]
    return m @ m.transpose(0, 2, 1)


def cross(options, folder):
    """Each program reads what the other wrote; values are compared splat by splat, in the order of places."""
    import numpy as np
    scene = folder / "scene.ply"
    write_scene(scene, 5000, options.degree)
    bad = 0

    def compare(what, first, second, bound):
        nonlocal bad
        a, b = columns_of(first), columns_of(second)
        if len(a["x"]) != len(b["x"]):
            print(f"{what}: {len(a['x'])} splats against {len(b['x'])}")
            bad += 1
            return
        for c in (a, b):  # an opacity of 1 is an infinite logit in some files
            c["opacity"] = 1 / (1 + np.exp(-c["opacity"].astype("f8")))
        plain = [n for n in a if n in b and not n.startswith(("n", "rot", "scale"))]
        differ = {n: float(np.abs(a[n] - b[n]).max()) for n in plain}
        # Quaternions that differ by a symmetry of the ellipsoid are the same splat: covariances are compared, each by its size.
        first, second = covariances(a), covariances(b)
        size = np.abs(first).max((1, 2), keepdims=True)
        differ["covariance"] = float((np.abs(first - second) / size).max())
        lacking = sorted((set(a) ^ set(b)) - {"nx", "ny", "nz"})
        worst = max(differ, key=differ.get)
        fine = differ[worst] <= bound and not lacking
        bad += not fine
        print(f"{'ok  ' if fine else 'BAD '} {what}: {len(a['x'])} splats, worst {worst} {differ[worst]:.2e}"
              + (f", only in one: {lacking}" if lacking else ""))

    # The same file read by both: what they make of it must agree to rounding.
    for kind in ("ply", "spz", "sog", "compressed.ply", "glb", "ksplat", "splat"):
        ours = folder / ("ours." + kind)
        run([options.covary, "convert", scene, ours, "--overwrite", "--spz-version", "4"])
        for writer, file in (("covary", ours), ("splat-transform", folder / ("theirs." + kind))):
            if writer != "covary":
                if kind in ("ksplat", "splat"):
                    continue
                run([options.peer, "-w", "-g", "cpu", scene, file])
            if kind == "glb":
                # The peer writes glTF and does not read it: Covary reads both, against the scene itself.
                run([options.covary, "convert", file, folder / "a.ply", "--overwrite"])
                compare(f"{kind} by {writer}, read by covary, against the scene", folder / "a.ply", scene, 2e-3)
                continue
            run([options.covary, "convert", file, folder / "a.ply", "--overwrite"])
            run([options.peer, "-w", file, folder / "b.ply"])
            # The peer takes rotation bytes of a .splat over 255 rather than 128.
            compare(f"{kind} by {writer}, read by both", folder / "a.ply", folder / "b.ply", 5e-2 if kind == "splat" else 2e-3)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--covary", default="build/covary")
    parser.add_argument("--splats", type=int, default=1000000)
    parser.add_argument("--degree", type=int, default=3)
    parser.add_argument("--scene")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-limit", type=float, default=1800)
    parser.add_argument("--cross", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.cross:
            sys.exit(1 if cross(options, folder) else 0)
        measure(options, folder)


main()
