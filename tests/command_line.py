#!/usr/bin/env python3
"""The program as a user meets it: broken input, interruption, kill -9, resumption.

    tests/command_line.py BUILD_FOLDER [--kills N] [-k WORD]

Runs the built `covary` on captures that it writes itself. --kills N: how often a run is killed at a random moment (2 in the
tests; 10 for the published figure). -k WORD: only the tests whose name holds the word. Standard library only.
"""
import argparse
import hashlib
import json
import math
import os
import pathlib
import random
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

COVARY = None
KILLS = 2


def png(path, width, height, pixel):
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in pixel(x, y)) for y in range(height))
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def colmap(folder, size=(48, 32), model_size=None, camera="PINHOLE", params="50 50 24 16", points=None, names=None, views=6):
    """A COLMAP text model: cameras beside one another that look along z."""
    width, height = size
    model_width, model_height = model_size or size
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    (folder / "images").mkdir()
    (sparse / "cameras.txt").write_text(f"1 {camera} {model_width} {model_height} {params}\n")
    lines = []
    for i in range(views):
        name = (names or "{:02d}.png").format(i)
        lines.append(f"{i + 1} 1 0 0 0 {0.2 * i - 0.5} {0.05 * (i % 3)} 0 1 {name}\n\n")
        png(folder / "images" / f"{i:02d}.png", width, height, lambda x, y: (5 * x % 256, 7 * y % 256, 40 * i % 256))
    (sparse / "images.txt").write_text("".join(lines))
    if points is None:
        rng = random.Random(1)
        points = [(rng.uniform(-2, 2), rng.uniform(-1, 1), rng.uniform(3, 6)) for _ in range(60)]
    (sparse / "points3D.txt").write_text(
        "".join(f"{i + 1} {x} {y} {z} 128 {i % 256} 90 0.5\n" for i, (x, y, z) in enumerate(points)))
    return folder


def run(*args, **kwargs):
    return subprocess.run([str(COVARY), *map(str, args)], capture_output=True, text=True, timeout=300, **kwargs)


def sha(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="covary-test-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.out = self.folder / "out"

    def done(self, *args, **kwargs):
        r = run(*args, **kwargs)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r

    def document(self, *args, **kwargs):
        return json.loads(self.done(*args, "--json", **kwargs).stdout)

    def refused(self, code, *args, says=(), **kwargs):
        """One error line that holds the words, one hint line, the exit code, and nothing written."""
        before = sorted(p for p in self.folder.rglob("*"))
        r = run(*args, **kwargs)
        lines = r.stderr.strip().splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        hints = [line for line in lines if line.startswith("hint: ")]
        self.assertEqual(r.returncode, code, r.stderr)
        self.assertEqual(len(errors), 1, r.stderr)
        self.assertEqual(len(hints), 1, r.stderr)
        for word in says:
            self.assertIn(word, errors[0])
        self.assertEqual(r.stdout, "")
        self.assertEqual(sorted(p for p in self.folder.rglob("*")), before, "something was left behind")
        return errors[0], hints[0]

    def stopped(self, word, *args):
        """What stderr has left to say when Ctrl-C comes after the word; the exit code is 130, and stdout empty."""
        child = subprocess.Popen([str(COVARY), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seen = ""
        while word not in seen:
            character = child.stderr.read(1)
            self.assertNotEqual(character, "", f"it ended before it said {word}")
            seen += character
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=120)
        self.assertEqual((child.returncode, out), (130, ""))
        return errors


class BrokenInput(Case):
    def train(self, capture, *more):
        return ("train", capture, "-o", self.out, "--steps", 3, *more)

    def test_missing_folder(self):
        self.refused(3, *self.train(self.folder / "nowhere"), says=["nowhere"])

    def test_empty_folder(self):
        (self.folder / "empty").mkdir()
        self.refused(3, *self.train(self.folder / "empty"), says=["empty"])

    def test_no_matching_images(self):
        c = colmap(self.folder / "c", names="other_{}.jpg")
        self.refused(3, *self.train(c), says=["other_0.jpg"])

    def test_unknown_camera_model(self):
        c = colmap(self.folder / "c", camera="THIN_PRISM_FISHEYE", params="50 50 24 16 0 0 0 0 0 0 0 0")
        self.refused(3, *self.train(c), says=["THIN_PRISM_FISHEYE", "cameras.txt"])

    def test_wrong_image_size(self):
        c = colmap(self.folder / "c", model_size=(48, 64))
        self.refused(3, *self.train(c), says=["00.png"])

    def test_no_points_is_said_and_not_fatal(self):
        c = colmap(self.folder / "c", points=[])
        r = run(*self.train(c, "--init-count", 50))
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("random", r.stderr)

    def test_nan_points_are_dropped_and_said(self):
        c = colmap(self.folder / "c", points=[(0, 0, 4), (float("nan"), 0, 4), (1, 0, 4), (0, 1, 5)])
        r = run(*self.train(c))
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("not finite", r.stderr)

    def test_truncated_model(self):
        c = colmap(self.folder / "c")
        sparse = c / "sparse" / "0"
        for f in sparse.glob("*.txt"):
            f.unlink()
        (sparse / "cameras.bin").write_bytes(struct.pack("<QIiQQ4d", 1, 1, 1, 48, 32, 50, 50, 24, 16)[:-9])
        (sparse / "images.bin").write_bytes(struct.pack("<Q", 0))
        (sparse / "points3D.bin").write_bytes(struct.pack("<Q", 0))
        self.refused(3, *self.train(c), says=["cameras.bin"])

    def test_absurd_counts_in_headers(self):
        c = colmap(self.folder / "c")
        sparse = c / "sparse" / "0"
        for f in sparse.glob("*.txt"):
            f.unlink()
        (sparse / "cameras.bin").write_bytes(struct.pack("<Q", 1 << 60))
        (sparse / "images.bin").write_bytes(struct.pack("<Q", 1 << 61))
        (sparse / "points3D.bin").write_bytes(struct.pack("<Q", 1 << 62))
        self.refused(3, *self.train(c), says=["cameras.bin"])
        ply = self.folder / "huge.ply"
        ply.write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999999\nproperty float x\nend_header\n")
        self.refused(3, "info", ply, says=["huge.ply"])

    def test_truncated_ply(self):
        c = colmap(self.folder / "c")
        self.assertEqual(run(*self.train(c)).returncode, 0)
        ply = self.folder / "cut.ply"
        ply.write_bytes((self.out / "scene.ply").read_bytes()[:-100])
        self.refused(3, "info", ply, says=["cut.ply"])
        self.refused(3, "render", ply, "-o", self.folder / "pictures", "--cameras", self.out / "cameras.json", says=["cut.ply"])

    def test_unwritable_output(self):
        c = colmap(self.folder / "c")
        (self.folder / "file").write_text("in the way")
        self.refused(3, "train", c, "-o", self.folder / "file" / "out", "--steps", 3, says=["file"])

    def test_full_disk(self):
        c = colmap(self.folder / "c")
        self.out.mkdir()

        def little_room():  # the kernel's answer to a write beyond the limit is an error, as that of a full disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        r = run(*self.train(c, "--overwrite"), preexec_fn=little_room)
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertEqual(len([line for line in r.stderr.splitlines() if line.startswith("hint: ")]), 1, r.stderr)
        left = [p.name for p in self.out.rglob("*") if p.is_file()]
        self.assertNotIn("scene.ply", left)
        self.assertEqual([n for n in left if "tmp" in n], [], "a half-written file was left")

    def test_contradictory_flags(self):
        c = colmap(self.folder / "c")
        self.refused(2, *self.train(c, "--strategy", "default", "--set", "mcmc.growth=1.1"), says=["growth"])
        self.refused(2, *self.train(c, "--resume", "--overwrite"), says=["resume"])

    def test_words_that_are_nearly_right(self):
        _, hint = self.refused(2, "trian", self.folder)
        self.assertIn("train", hint)
        _, hint = self.refused(2, "train", self.folder, "--stesp", 3)
        self.assertIn("--steps", hint)
        _, hint = self.refused(2, "train", self.folder, "--strategy", "mcmcc")
        self.assertIn("mcmc", hint)

    def test_errors_as_json(self):
        r = run("info", self.folder / "nowhere", "--json")
        self.assertEqual(r.returncode, 3)
        error = json.loads(r.stdout)["error"]
        self.assertEqual(error["code"], 3)
        self.assertTrue(error["what"] and error["where"] and error["hint"])


class Turbo(Case):
    def test_the_preset_trains_resumes_and_logs_what_it_goes_by(self):
        sample = "sample:studio,views=12,width=72,height=64,points=300"
        train = ("train", sample, "--preset", "turbo", "--steps", 60, "--max-gaussians", 600, "--set", "default.every=5",
                 "--set", "checkpoint_every=25", "--seed", 3)
        r = self.done(*train, "-o", self.out)
        self.assertIn("rises along its curve", r.stderr)  # so few steps have no history
        records = [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]
        grown = [r["growth"] for r in records if "growth" in r]
        self.assertTrue(all(g["exponent"] == 1 for g in grown))
        budgets = [g["budget"] for g in grown]
        self.assertEqual(budgets, sorted(budgets))
        self.assertGreater(budgets[-1], budgets[0])
        self.assertTrue(all(r["count"] <= 600 for r in records if "count" in r))
        self.assertTrue(all({"loss", "count", "wall_s"} <= r.keys() for r in records if "terms" in r))
        config = json.loads((self.out / "config.json").read_text())["options"]
        self.assertEqual((config["render_stride"], config["final_views"], config["growth"]["visits"]), (2, 4, True))

        again = self.folder / "again"
        child = subprocess.Popen([str(COVARY), *map(str, train), "-o", str(again)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        state = again / "checkpoint" / "state.cov"
        while child.poll() is None and not state.exists():
            time.sleep(0.01)
        child.kill()
        child.communicate()
        self.done(*train, "-o", again, "--resume")
        self.assertEqual(sha(self.out / "scene.ply"), sha(again / "scene.ply"))

    def test_what_cannot_be_is_refused(self):
        sample = "sample:studio,views=12,width=72,height=64,points=300"
        train = ("train", sample, "-o", self.out, "--steps", 5)
        self.refused(2, *train, "--set", "growth.budget=true", says=["growth.budget"])
        self.refused(2, *train, "--set", "growth.prune_schedule=0.5:1.5", says=["prune_schedule"])
        self.refused(2, *train, "--dilate", 2, "--cross-ray", "--views-per-step", 2, says=["cross_ray"])
        self.refused(2, *train, "--strategy", "mcmc", "--set", "growth.visits=true", says=["growth"])
        self.refused(2, *train, "--dilate", 0, says=["dilate"])

    def test_fewer_gaussians_than_points_are_said(self):
        c = colmap(self.folder / "c")
        r = self.done("train", c, "-o", self.out, "--steps", 3, "--max-gaussians", 20)
        self.assertIn("of 60 points 20 are used", r.stderr)


class Convert(Case):
    def splats(self, name="a.splat", count=40):
        """A .splat of a grid of small grey splats."""
        rows = b"".join(struct.pack("<6f", i % 5, i // 5 % 4, i // 20, 0.1, 0.1, 0.1) + bytes((128, 100, 90, 200, 255, 128, 128, 128))
                        for i in range(count))
        (self.folder / name).write_bytes(rows)
        return self.folder / name

    def test_there_and_back_through_every_format(self):
        scene = self.splats()
        for name in ("a.ply", "a.compressed.ply", "a.spz", "a.sog", "a.glb", "a.gltf", "a.ksplat", "a.csv", "a.npz"):
            there, back = self.folder / name, self.folder / (name + ".back.splat")
            d = self.document("convert", scene, there, "--keep-order")
            self.assertEqual(d["splats"], 40)
            files = [there] + ([there.with_suffix(".bin")] if name.endswith(".gltf") else [])
            self.assertEqual(d["outputs"][0]["bytes"], sum(f.stat().st_size for f in files))
            self.done("convert", there, back, "--keep-order")
            self.assertEqual(len(back.read_bytes()), 40 * 32, name)
            places = [struct.unpack_from("<3f", back.read_bytes(), 32 * i) for i in range(40)]
            for i, place in enumerate(places):
                for got, want in zip(place, (i % 5, i // 5 % 4, i // 20)):
                    self.assertLess(abs(got - want), 0.003, name)
            self.assertEqual(self.document("info", there)["count"], 40)

    def test_several_inputs_and_outputs_and_a_report(self):
        first, second = self.splats(), self.splats("b.splat", 7)
        report = self.folder / "r.json"
        d = self.document("convert", first, second, "-o", self.folder / "c.ply", "-o", self.folder / "c.spz", "--report", report,
                          "--views", 2)
        self.assertEqual(d["splats"], 47)
        rows = json.loads(report.read_text())["rows"]
        self.assertEqual([row["splats"] for row in rows], [47, 47])
        self.assertEqual(rows[0]["psnr"], 100)
        self.assertGreater(rows[1]["psnr_worst"], 40)
        self.done("render", self.folder / "c.spz", "-o", self.folder / "c.png", "--path", "orbit", "--frames", 1, "--scale", 0.1)

    def test_files_beside_an_output_are_not_overwritten_unasked(self):
        scene = self.splats()
        (self.folder / "a.bin").write_text("mine")
        self.refused(3, "convert", scene, self.folder / "a.gltf", says=["a.bin", "already"])
        self.assertEqual((self.folder / "a.bin").read_text(), "mine")
        self.done("convert", scene, self.folder / "a.gltf", "--overwrite")
        self.assertEqual(self.document("info", self.folder / "a.gltf")["count"], 40)

    def test_row_by_row_and_whole_are_the_same(self):
        ply = self.folder / "a.ply"
        self.done("convert", self.splats(), ply)
        for name in ("b.ply", "b.splat", "b.spz", "b.compressed.ply", "b.csv"):
            self.done("convert", ply, self.folder / name)
            # A report asks for the whole scene.
            self.done("convert", ply, self.folder / ("whole." + name), "--report", self.folder / "r.json", "--views", 0)
            self.assertEqual((self.folder / name).read_bytes(), (self.folder / ("whole." + name)).read_bytes(), name)

    def test_what_cannot_be_is_refused_and_leaves_nothing(self):
        scene = self.splats()
        self.refused(2, "convert", scene, says=["no output"])
        self.refused(2, "convert", scene, self.folder / "a.xyz", says=["a.xyz"])
        self.refused(2, "convert", scene, self.folder / "a.spz", "--axes", "ruf", says=["error: --axes:", "mirror"])
        self.refused(2, "convert", scene, self.folder / "a.spz", "--input-axes", "up", says=["--input-axes"])
        self.refused(3, "convert", self.folder / "gone.ply", self.folder / "a.spz", says=["gone.ply"])
        self.refused(3, "convert", scene, scene, says=["already"])
        cut = self.folder / "cut.splat"
        cut.write_bytes(scene.read_bytes()[:-5])
        self.refused(3, "convert", cut, self.folder / "a.spz", says=["cut.splat", "32 bytes"])
        (self.folder / "empty.spz").write_bytes(b"")
        self.refused(3, "info", self.folder / "empty.spz", says=["empty.spz"])
        self.done("convert", scene, self.folder / "a.spz", "--dry-run")
        page = self.folder / "a.html"
        d = self.document("convert", scene, page)
        self.assertEqual(d["outputs"][0]["format"], "html")
        self.assertEqual(d["outputs"][0]["bytes"], page.stat().st_size)
        self.assertIn("scene-bytes", page.read_text())
        self.assertFalse((self.folder / "a.spz").exists())


class Surface(Case):
    def splats(self):
        """A .splat of small opaque splats all over a ball of radius 1."""
        rows = b""
        for i in range(3000):
            z, turn = 1 - 2 * (i + 0.5) / 3000, math.pi * (1 + math.sqrt(5)) * i
            r = math.sqrt(1 - z * z)
            rows += struct.pack("<6f", r * math.cos(turn), r * math.sin(turn), z, 0.03, 0.03, 0.03) + bytes((200, 100, 50, 250, 255, 128, 128, 128))
        (self.folder / "ball.splat").write_bytes(rows)
        return self.folder / "ball.splat"

    def test_a_mesh_of_a_scene_and_one_for_physics(self):
        scene, views = self.splats(), ("--views", 12, "--width", 128, "--voxel", 0.08)
        d = self.document("surface", scene, "-o", self.folder / "a.ply", *views)
        self.assertGreater(d["triangles"], 1000)
        self.assertIn(b"element face %d" % d["triangles"], (self.folder / "a.ply").read_bytes())
        d = self.document("surface", scene, "-o", self.folder / "b.glb", "--collision", "--faces", 300, *views)
        self.assertLessEqual(d["triangles"], 300)
        self.assertTrue(d["closed"])
        self.assertEqual((self.folder / "b.glb").read_bytes()[:4], b"glTF")

    def test_what_cannot_be_is_refused(self):
        scene = self.splats()
        self.refused(2, "surface", scene, says=["-o"])
        self.refused(2, "surface", scene, "-o", self.folder / "a.stl", says=["a.stl"])
        self.refused(2, "surface", scene, "-o", self.folder / "a.ply", "--depth", "mode", says=["--depth", "mode"])
        self.done("surface", scene, "-o", self.folder / "a.ply", "--dry-run")
        self.assertFalse((self.folder / "a.ply").exists())


class Edit(Case):
    def splats(self, name="a.splat", count=40):
        """A .splat of a grid of small splats, 5 x 4 x 2, of falling opacity."""
        rows = b"".join(struct.pack("<6f", i % 5, i // 5 % 4, i // 20, 0.1, 0.1, 0.1)
                        + bytes((128, 100, 90, 250 - 5 * i, 255, 128, 128, 128)) for i in range(count))
        (self.folder / name).write_bytes(rows)
        return self.folder / name

    def places(self, file):
        back = self.folder / "back.csv"
        self.done("convert", file, back, "--overwrite")
        header, *rows = back.read_text().splitlines()
        at = [header.split(",").index(name) for name in "xyz"]
        return [tuple(round(float(row.split(",")[k]), 3) + 0.0 for k in at) for row in rows]

    def test_operations_act_in_the_order_typed(self):
        scene, out = self.splats(), self.folder / "out.ply"
        d = self.document("edit", scene, out, "--crop-box", "0,0,0,1,0,0", "--translate", "-1,0,2", "--scale", 2)
        self.assertEqual([s["after"] for s in d["steps"]], [2, 2, 2])
        self.assertEqual(self.places(out), [(-2, 0, 4), (0, 0, 4)])
        self.document("edit", scene, out, "--overwrite", "--scale", 2, "--translate", "-1,0,2", "--crop-box", "0,0,0,1,0,3")
        self.assertEqual(self.places(out), [(1, 0, 2)])
        self.document("edit", scene, out, "--overwrite", "-V", "y,lt,1", "--filter", "opacity > 0.95 or index == 4")
        self.assertEqual(self.places(out), [(0, 0, 0), (1, 0, 0), (4, 0, 0)])

    def test_inputs_are_edited_apart_and_joined(self):
        first, second, out = self.splats(), self.splats("b.splat", 3), self.folder / "out.ply"
        d = self.document("edit", first, "--filter", "index < 2", second, "--translate", "0,0,9", out,
                          "--set-column", "high=z > 1", "--filter", "x < 2", "--report", self.folder / "steps.csv")
        self.assertEqual(d["splats"], 4)
        self.assertEqual([s["step"] for s in d["steps"]],
                         ["filter index < 2", "translate 0,0,9", "set_column high,z > 1", "filter x < 2"])
        self.assertEqual(self.places(out), [(0, 0, 0), (1, 0, 0), (0, 0, 9), (1, 0, 9)])
        self.assertEqual((self.folder / "steps.csv").read_text().count("\n"), 5)
        facts = self.document("info", out, "--splat", 2)
        self.assertEqual(facts["columns"], ["high"])
        self.assertEqual(facts["gaussian"]["columns"]["high"], [1])
        self.assertEqual(facts["column_statistics"]["z"]["high"], 9)
        self.assertEqual(sum(facts["column_statistics"]["opacity"]["histogram"]["counts"]), 4)
        self.assertEqual(facts["column_statistics"]["scale_0"]["nan"], 0)
        self.assertEqual(len(facts["sh_energy"]), 1)
        recipe = self.folder / "recipe.json"
        recipe.write_text('{"operations": ["filter=index < 5", "sort"]}')
        self.assertEqual(self.document("edit", first, second, self.folder / "r.ply", "--config", recipe)["splats"], 5)

    def test_what_asks_the_views(self):
        scene, out = self.splats(), self.folder / "out.ply"
        d = self.document("edit", scene, out, "--decimate", "50%", "--views", 4)
        self.assertEqual(d["splats"], 20)
        preview = self.folder / "p.png"
        d = self.document("edit", scene, out, "--overwrite", "--views", 4, "--remove-floaters", f"0.5,preview={preview}")
        self.assertIn("floaters", d["steps"][0]["facts"])
        self.assertEqual(preview.read_bytes()[:4], b"\x89PNG")
        d = self.document("edit", scene, out, "--overwrite", "--views", 2, "--lod", 3)
        self.assertEqual(d["splats"], 40 + 20 + 10)
        moved = self.folder / "moved.ply"
        self.done("edit", scene, moved, "--translate", "0.2,0.1,0")
        d = self.document("edit", moved, out, "--overwrite", "--align", scene)
        self.assertLess(d["steps"][0]["facts"]["distance"], 0.01)

    def test_what_cannot_be_is_refused_and_leaves_nothing(self):
        scene, out = self.splats(), self.folder / "out.ply"
        self.refused(2, "edit", scene, says=["no output"])
        self.refused(2, "edit", scene, out, "--filter", "opacity >", says=["--filter, character 10"])
        self.refused(2, "edit", scene, out, "--filter", "opacty > 1", says=["opacty"])
        self.refused(2, "edit", scene, out, "--translate", "1,2", says=["--translate"])
        self.refused(2, "edit", scene, out, "--crop-views", 1, says=["--crop-views"])
        self.refused(3, "edit", scene, out, "--filter", "opacity > 2", says=["leaves no splat"])
        self.refused(3, "edit", scene, scene, "--sort", says=["already"])
        self.refused(3, "edit", self.folder / "gone.ply", out, "--sort", says=["gone.ply"])
        self.done("edit", scene, out, "--sort", "--dry-run")
        self.assertFalse(out.exists())


class Stages(Case):
    def setUp(self):
        super().setUp()
        self.capture = colmap(self.folder / "c")

    def rows(self, file):
        lines = file.read_text().splitlines()
        return lines[0].split(","), [line.split(",") for line in lines[1:]]

    def test_a_run_in_parts_with_its_reports_and_plots(self):
        self.done("train", self.capture, "-o", self.out, "--steps", 5, "--until", "load")
        self.assertFalse(self.out.exists())
        self.done("train", self.capture, "-o", self.out, "--steps", 5, "--until", "train")
        self.assertTrue((self.out / "scene.ply").exists())
        self.assertFalse((self.out / "eval").exists() or (self.out / "report.html").exists())
        self.assertNotIn("eval", json.loads((self.out / "metrics.json").read_text()))
        scene = sha(self.out / "scene.ply")

        sheet = self.folder / "sheet.png"
        self.done("train", "-o", self.out, "--resume", "--from", "evaluate", "--report", self.out / "curves.csv", "--plot", sheet)
        self.assertEqual(sha(self.out / "scene.ply"), scene)
        columns, rows = self.rows(self.out / "curves.csv")
        self.assertEqual(columns[0], "step")
        self.assertIn("loss", columns)
        self.assertEqual([row[0] for row in rows], ["1", "2", "3", "4", "5"])
        width, height = struct.unpack(">II", sheet.read_bytes()[16:24])
        self.assertEqual((width, height), (3 * 48 + 4 * 8, 32 + 2 * 8))  # one view is held out

        (self.out / "report.html").unlink()
        page, curves = self.folder / "page.html", self.folder / "curves.html"
        self.done("train", "-o", self.out, "--resume", "--from", "report", "--report", page, "--plot", curves)
        self.assertEqual(page.read_text(), (self.out / "report.html").read_text())
        self.assertIn("data:image/jpeg", page.read_text())
        self.assertIn("<polyline", curves.read_text())
        self.assertNotIn("data:image", curves.read_text())

    def test_eval_and_render_say_more_in_files_and_keep_to_limits(self):
        self.done("train", self.capture, "-o", self.out, "--steps", 5)
        metrics = (self.out / "metrics.json").read_bytes()
        for verb in (("eval", self.out), ("render", self.out, "-o", self.folder / "pictures")):
            self.refused(1, *verb, "--max-memory", "20M", says=["would need about", "60 Gaussians"])
            self.refused(1, *verb, "--time-budget", "1e-6", says=["would take at least"])
        self.assertEqual((self.out / "metrics.json").read_bytes(), metrics)

        frames = self.folder / "frames.csv"
        self.done("render", self.out, "-o", self.folder / "pictures", "--cameras", "all", "--report", frames,
                  "--precision", "double", "--time-budget", "1h", "--max-memory", "4G")
        columns, rows = self.rows(frames)
        self.assertEqual(columns, ["frame", "name", "width", "height", "seconds", "mean_alpha"])
        self.assertEqual([row[1] for row in rows], [f"{i:02d}.png" for i in range(6)])

        views, sheet = self.folder / "views.json", self.folder / "sheet.png"
        self.done("eval", self.out, "--report", views, "--plot", sheet)
        view = json.loads(views.read_text())["rows"][0]
        kept = json.loads((self.out / "metrics.json").read_text())["eval"]["test"]["views"][0]
        self.assertEqual((view["name"], view["psnr"]), (kept["name"], kept["psnr"]))
        self.assertEqual(struct.unpack(">II", sheet.read_bytes()[16:24]), (3 * 48 + 4 * 8, 32 + 2 * 8))

        page = self.folder / "page.html"
        r = self.done("eval", self.out / "scene.ply", self.capture, "--report", page, "--precision", "double", "--json")
        self.assertAlmostEqual(json.loads(r.stdout)["evaluations"][0]["psnr"]["value"], view["psnr"], delta=0.1)
        self.assertIn("data:image/jpeg", page.read_text())

        self.from_reference_cameras(view["psnr"])

    def test_render_says_how_fast_it_draws(self):
        self.done("train", self.capture, "-o", self.out, "--steps", 5)
        pictures = self.folder / "pictures"
        said = self.document("render", self.out, "-o", pictures, "--cameras", "all")
        self.assertEqual((said["frames"], said["drawing"]["frames_timed"], said["drawing"]["rounds"]), (6, 5, 1))
        kept = json.loads((pictures / "render.json").read_text())
        self.assertEqual((kept["drawing"], kept["names"]), (said["drawing"], said["names"]))
        self.assertEqual(sorted(p.name for p in (pictures / "rgb").iterdir()), [f"{i:02d}.png" for i in range(6)])
        once = [sha(p) for p in sorted((pictures / "rgb").iterdir())]

        r = self.done("render", self.out, "-o", pictures, "--cameras", "all", "--benchmark", "2", "--overwrite", "--json")
        drawing = json.loads(r.stdout)["drawing"]
        self.assertEqual((drawing["frames_timed"], drawing["rounds"]), (6, 2))
        self.assertAlmostEqual(drawing["frames_per_second"] * drawing["ms_per_frame"], 1000, places=3)
        self.assertGreater(drawing["cpu_ms_per_frame"], 0)
        self.assertIn("ms a frame", r.stderr)
        self.assertEqual([sha(p) for p in sorted((pictures / "rgb").iterdir())], once)
        self.refused(2, "render", self.out, "-o", self.folder / "no", "--benchmark", "-1", says=["benchmark"])

    def test_render_draws_fast_what_stays_near_the_exact_picture(self):
        self.done("train", self.capture, "-o", self.out, "--steps", 5)
        pictures = self.folder / "pictures"
        r = self.done("render", self.out, "-o", pictures, "--cameras", "all", "--fast", "--modes", "rgb,alpha", "--json")
        fast = json.loads(r.stdout)["fast"]
        self.assertGreaterEqual(fast["psnr"], 40)
        self.assertEqual((fast["gaussians"], fast["views_compared"], fast["views_checked"]), (60, 6, 0))
        self.assertTrue(0 < fast["kept"] <= 60)
        self.assertIn("of 60 Gaussians stay", r.stderr)
        self.assertEqual(len(list((pictures / "alpha").iterdir())), 6)
        other = self.folder / "other"
        exact = self.document("render", self.out, "-o", other, "--cameras", "all")
        self.assertNotIn("fast", exact)
        tight = self.document("render", self.out, "-o", other, "--fast", "--fast-psnr", "50", "--overwrite")["fast"]
        self.assertTrue(tight["psnr"] >= 50 and tight["threshold"] <= fast["threshold"])
        more = ("render", self.out, "-o", self.folder / "no")
        self.refused(1, *more, "--fast", "--time-budget", "1e-6", says=["would take at least"])
        self.refused(2, *more, "--fast", "--modes", "rgb,depth", says=["rgb and alpha"])
        self.refused(2, *more, "--fast", "--precision", "double", says=["double"])
        self.refused(2, *more, "--fast-psnr", "45", says=["belongs to --fast"])
        self.refused(2, *more, "--fast", "--fast-psnr", "70", says=["fast"])

    def from_reference_cameras(self, own):
        metrics = (self.out / "metrics.json").read_bytes()

        def psnr(*more):
            return json.loads(self.done("eval", self.out, "--json", *more).stdout)["evaluations"][0]["psnr"]["value"]

        self.assertAlmostEqual(psnr("--reference-cameras", self.out), own, places=3)
        cameras = json.loads((self.out / "cameras.json").read_text())
        for camera in cameras["cameras"]:
            camera["cam_from_world"][0][3] += 1
        moved = self.folder / "moved.json"
        moved.write_text(json.dumps(cameras))
        self.assertNotAlmostEqual(psnr("--reference-cameras", moved), own, places=3)
        model = colmap(self.folder / "other", params="60 60 24 16")
        self.assertNotAlmostEqual(psnr("--reference-cameras", model), own, places=3)
        self.assertEqual((self.out / "metrics.json").read_bytes(), metrics)
        cameras["cameras"][0]["name"] = "another.png"
        moved.write_text(json.dumps(cameras))
        self.refused(3, "eval", self.out, "--reference-cameras", moved, says=["00.png", "no camera"])


class Convexes(Case):
    """A fit of convexes and all that is made of it."""

    SCENE = "sample:studio,views=8,width=64,height=48,points=150"

    def train(self, *more):
        return ("train", self.SCENE, "-o", self.out, "--steps", 30, "--primitive", "convex", *more)

    def test_every_output(self):
        self.assertIn(" convexes after 30 steps", self.done(*self.train("--seed", 3)).stdout)
        scene = self.out / "scene.ply"
        head = scene.read_bytes()[:8000]
        self.assertIn(b"comment covary footprint convex", head)
        self.assertIn(b"property float hull_17", head)
        pictures, double = self.folder / "pictures", self.folder / "double"
        self.done("eval", self.out)
        self.done("render", self.out, "-o", pictures)
        self.done("render", self.out, "-o", double, "--precision", "double")
        self.assertTrue(any(pictures.rglob("*.png")) and any(double.rglob("*.png")))
        self.refused(2, "render", self.out, "-o", self.folder / "no", "--antialias", "mip", says=["convexes"])

        report = self.folder / "report.json"
        told = self.done("convert", scene, self.folder / "g.spz", "--report", report).stdout
        self.assertIn("the hulls", told)
        self.assertIn("likeness", told)
        self.assertNotIn("lost", self.done("convert", scene, self.folder / "same.ply").stdout)
        self.assertEqual(sha(self.folder / "same.ply"), sha(scene))
        self.assertIn("the hulls", (told := self.done("convert", scene, self.folder / "g.glb").stdout))
        self.assertNotIn("columns", told)

        told = self.done("info", scene, "--index", 3).stdout
        for words in (" convexes\n", "bytes a convex\n", "convex 3", "of 6 points, median delta "):
            self.assertIn(words, told)
        self.assertNotIn("Gaussian", told)
        facts = self.document("info", scene)
        self.assertEqual((facts["footprint"], facts["hulls"]["points"]), ("convex", 6))
        self.assertGreater(facts["hulls"]["delta_median"], 0)
        self.assertGreater(facts["hulls"]["sigma_median"], 0)
        self.assertIn("Gaussians\n", self.done("info", self.folder / "g.spz").stdout)

        for name in ("hulls.ply", "hulls.obj", "hulls.glb"):
            d = self.document("surface", self.out, "-o", self.folder / name, "--method", "hulls", "--alpha", 0.05)
            self.assertGreater(d["hulls"], 0)
            self.assertGreater((self.folder / name).stat().st_size, 1000)
        self.refused(3, "surface", self.folder / "g.spz", "-o", self.folder / "no.ply", "--method", "hulls", says=["convexes"])
        self.done("edit", scene, self.folder / "turned.ply", "--rotate", "0,90,0", "--scale", 2)
        self.refused(2, "edit", scene, self.folder / "no.ply", "--drop-columns", "hull_3", says=["hull_"])
        self.refused(2, "edit", scene, self.folder / "no.ply", "--set-column", "hull_3=hull_3", says=["hull_3"])
        for flags in (["--collision"], ["--faces", 10], ["--set", "smallest=0.1"], ["--least-views", 3]):
            self.refused(2, "surface", self.out, "-o", self.folder / "no.ply", "--method", "hulls", *flags, says=["tsdf"])

        cameras = json.loads((self.out / "cameras.json").read_text())
        cameras["cameras"][-1]["projection"] = "fisheye"
        (self.folder / "fisheye.json").write_text(json.dumps(cameras))
        for more in ((), ("--dry-run",)):
            _, hint = self.refused(2, "render", self.out, "-o", self.folder / "no", "--cameras", self.folder / "fisheye.json",
                                   *more, says=["pinhole", cameras["cameras"][-1]["name"]])
            self.assertNotIn("--projection", hint)

    def test_info_sees_points_that_are_no_numbers(self):
        self.done(*self.train())
        whole = (self.out / "scene.ply").read_bytes()
        body = whole.index(b"end_header\n") + len(b"end_header\n")
        names = [line.split()[-1] for line in whole[:body].splitlines() if line.startswith(b"property")]
        broken = bytearray(whole)
        struct.pack_into("<f", broken, body + 4 * (len(names) + names.index(b"hull_0")), float("nan"))
        (self.folder / "broken.ply").write_bytes(broken)
        facts = self.document("info", self.out / "scene.ply")
        self.assertEqual(facts["not_finite"], 0)
        self.assertEqual(self.document("info", self.folder / "broken.ply")["not_finite"], 1)
        d = self.document("edit", self.folder / "broken.ply", self.folder / "clean.ply", "--filter-nan")
        self.assertEqual(d["splats"], facts["count"] - 1)

    def test_what_does_not_go_together_is_refused(self):
        self.refused(2, *self.train("--strategy", "mcmc"), says=["mcmc"])
        self.refused(2, *self.train("--antialias"), says=["antialias"])
        self.refused(2, *self.train("--set", "convex.points=9"), says=["points"])
        self.refused(2, *self.train("--settings", "forest"), says=["settings"])


class Safety(Case):
    STEPS = 400

    def command(self, out, *more):
        return [str(COVARY), "train", str(self.capture), "-o", str(out), "--steps", str(self.STEPS), "--checkpoint-every", "40",
                "--set", "default.start=50", "--set", "default.every=50", *more]

    def setUp(self):
        super().setUp()
        self.capture = colmap(self.folder / "c", size=(96, 64), params="100 100 48 32")

    def whole(self):
        out = self.folder / "whole"
        r = subprocess.run(self.command(out), capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        return out

    def started(self, process, out, steps):
        """Waits until the log shows a step beyond `steps`."""
        log = out / "log.jsonl"
        end = time.time() + 120
        while time.time() < end and process.poll() is None:
            if (out / "checkpoint" / "state.cov").exists() and steps == 0:
                return
            time.sleep(0.005)

    def test_interrupted_run_goes_on_to_the_same_bits(self):
        whole = self.whole()
        p = subprocess.Popen(self.command(self.out), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.started(p, self.out, 0)
        p.send_signal(signal.SIGINT)
        _, stderr = p.communicate(timeout=120)
        self.assertEqual(p.returncode, 130, stderr)
        self.assertFalse((self.out / "scene.ply").exists())
        r = subprocess.run(self.command(self.out, "--resume"), capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(sha(self.out / "scene.ply"), sha(whole / "scene.ply"))

    def test_killed_run_resumes_and_loses_at_most_one_interval(self):
        whole = self.whole()
        rng = random.Random(7)
        began = time.time()
        subprocess.run(self.command(self.folder / "timed"), capture_output=True)
        length = time.time() - began
        for kill in range(KILLS):
            out = self.folder / f"killed{kill}"
            p = subprocess.Popen(self.command(out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.1, 0.95) * length)
            p.kill()
            p.wait()
            reached = 0
            if (out / "log.jsonl").exists():
                for line in (out / "log.jsonl").read_text().splitlines():
                    try:
                        reached = max(reached, json.loads(line).get("step", 0))
                    except ValueError:
                        pass  # the line that was being written
            r = subprocess.run(self.command(out, "--resume", "--verbose"), capture_output=True, text=True)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(sha(out / "scene.ply"), sha(whole / "scene.ply"), f"kill {kill}")
            for line in r.stderr.splitlines():
                if "resum" in line:
                    digits = [int(w.replace(",", "")) for w in line.replace(".", " ").split() if w.replace(",", "").isdigit()]
                    if digits:
                        self.assertLessEqual(reached - digits[0], 40, line)
            print(f"  killed after step {reached}: resumed, same bits", file=sys.stderr)


def corner(folder, views=9, size=(320, 240), names="{:02d}.png"):
    """Pictures of a corner of three walls with a pattern that never repeats, from an arc of cameras. Their true rotations
    (world to camera), by name."""
    width, height = size
    rng = random.Random(3)
    side = 512
    texture = [[0.0] * side for _ in range(side)]
    for cell, weight in ((64, 60), (16, 50), (6, 60), (3, 40)):
        n = side // cell + 2
        grid = [[rng.random() for _ in range(n)] for _ in range(n)]
        for y in range(side):
            gy, fy = divmod(y / cell, 1)
            row, above, below = texture[y], grid[int(gy)], grid[int(gy) + 1]
            for x in range(side):
                gx, fx = divmod(x / cell, 1)
                i = int(gx)
                row[x] += weight * ((1 - fy) * ((1 - fx) * above[i] + fx * above[i + 1]) + fy * ((1 - fx) * below[i] + fx * below[i + 1]))
    folder.mkdir(parents=True)
    rotations = {}
    for view in range(views):
        turn = math.pi / 4 + 0.09 * (view - (views - 1) / 2)
        eye = (3.2 * math.cos(turn), 3.2 * math.sin(turn), 1.6 + 0.06 * (view % 3))
        forward = [t - e for t, e in zip((0.5, 0.5, 0.8), eye)]
        length = math.sqrt(sum(c * c for c in forward))
        forward = [c / length for c in forward]
        right = [forward[1], -forward[0], 0]
        length = math.hypot(*right[:2])
        right = [c / length for c in right]
        down = [forward[1] * right[2] - forward[2] * right[1], forward[2] * right[0] - forward[0] * right[2],
                forward[0] * right[1] - forward[1] * right[0]]
        name = names.format(view)
        rotations[name] = [right, down, forward]

        def pixel(x, y):
            a, b = (x + 0.5 - width / 2) / (0.9 * width), (y + 0.5 - height / 2) / (0.9 * width)
            d = [a * r + b * w + f for r, w, f in zip(right, down, forward)]
            best, wall = 1e9, None
            for axis in range(3):
                if d[axis] < 0 and -eye[axis] / d[axis] < best:
                    best, wall = -eye[axis] / d[axis], axis
            if wall is None or best > 20:
                return (20, 20, 20)
            u, v = (eye[k] + best * d[k] for k in range(3) if k != wall)
            c = int(texture[int(v * 110 + 200 * wall) % side][int(u * 110 + 90 * wall) % side])
            return (c, min(255, c + 10 * wall), max(0, c - 15 * wall))

        png(folder / name, width, height, pixel)
    return rotations


def colmap_rotations(file):
    """Rotations of images.bin, by name."""
    data, at, found = file.read_bytes(), 8, {}
    for _ in range(struct.unpack_from("<Q", data)[0]):
        w, x, y, z = struct.unpack_from("<4d", data, at + 4)
        end = data.index(b"\0", at + 64)
        found[data[at + 64:end].decode()] = [[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                                             [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                                             [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]
        at = end + 1 + 8 + 24 * struct.unpack_from("<Q", data, end + 1)[0]
    return found


def angle_between(a, b, c, d):
    """Degrees between the turn from a to b and that from c to d."""
    def product(m, n):
        return [[sum(m[i][k] * n[j][k] for k in range(3)) for j in range(3)] for i in range(3)]
    p, q = product(b, a), product(d, c)
    trace = sum(p[i][k] * q[i][k] for i in range(3) for k in range(3))
    return math.degrees(math.acos(max(-1, min(1, (trace - 1) / 2))))


class Budgets(Case):
    def test_steps_follow_the_clock(self):
        capture = colmap(self.folder / "c", size=(96, 64), params="100 100 48 32")
        metrics = self.document("train", capture, "-o", self.out, "--time-budget", "4s")["metrics"]
        self.assertGreater(metrics["steps"], 50)
        self.assertLess(metrics["steps"], 30000)
        self.assertEqual(metrics["steps_planned"], metrics["steps"])
        self.assertTrue((self.out / "report.html").exists())
        self.done("train", capture, "-o", self.out, "--time-budget", "4s", "--resume", "--from", "evaluate")
        # With --steps they are what was asked for.
        other = self.folder / "other"
        self.assertEqual(self.document("train", capture, "-o", other, "--time-budget", "1min", "--steps", "20")["metrics"]["steps"], 20)

    def test_memory_caps_the_gaussians(self):
        capture = colmap(self.folder / "c")
        r = self.done("train", capture, "-o", self.out, "--max-memory", "200M", "--strategy", "mcmc", "--steps", "20")
        self.assertIn("Gaussians fit in --max-memory", r.stderr)
        self.refused(1, "train", capture, "-o", self.folder / "no", "--max-memory", "20M", says=["memory"])

    def test_photos_beyond_the_memory_are_decoded_by_need(self):
        capture = colmap(self.folder / "c", size=(400, 300), params="400 400 200 150")
        images = capture / "sparse" / "0" / "images.txt"
        for i in range(6, 700):  # 240 MiB when decoded
            os.link(capture / "images" / f"{i % 6:02d}.png", capture / "images" / f"{i}.png")
            with images.open("a") as f:
                f.write(f"{i + 1} 1 0 0 0 {0.002 * i - 0.5} 0 0 1 {i}.png\n\n")
        r = self.done("train", capture, "-o", self.out, "--max-memory", "200M", "--steps", "20", "--eval-every", "0",
                      "--max-gaussians", "500", "--until", "train")
        self.assertIn("of photos", r.stderr)
        self.assertIn("decoded by need", r.stderr)
        self.assertLess(json.loads((self.out / "metrics.json").read_text())["train"]["peak_memory_mb"], 210)
        plan = self.document("train", capture, "-o", self.folder / "x", "--max-memory", "200M", "--steps", "20", "--dry-run")
        self.assertFalse(plan["estimate"]["photos_all_held"])
        self.assertLessEqual(plan["estimate"]["memory_bytes"], 200 << 20)

    def test_a_bound_of_the_photos_changes_no_bit(self):
        capture = colmap(self.folder / "c")
        for name, *bound in (["all"], ["few", "--photo-cache", "10K"]):
            self.done("train", capture, "-o", self.folder / name, "--steps", "25", *bound)
        self.assertEqual(sha(self.folder / "all" / "scene.ply"), sha(self.folder / "few" / "scene.ply"))
        self.refused(3, "train", capture, "-o", self.folder / "no", "--sparse-depth", "0.1", says=["which points it sees"])


class Photos(Case):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"

    def test_photos_alone_become_a_capture_and_a_scene(self):
        truth = corner(self.photos)
        (self.photos / "IMG_1.HEIC").write_text("x")
        (self.photos / "broken.jpg").write_text("x")
        loaded = self.done("train", self.photos, "-o", self.out, "--downscale", "2", "--until", "load")
        self.assertIn("--resume goes on with them", loaded.stdout)
        self.assertFalse((self.out / "scene.ply").exists())
        document = self.document("train", self.photos, "-o", self.out, "--steps", "60", "--downscale", "2", "--resume")
        made = self.out / "capture"
        report = json.loads((made / "capture.json").read_text())
        self.assertEqual((report["photos"], report["registered"], report["sound"]), (9, 9, True), report)
        self.assertTrue(any("IMG_1.HEIC" in note for note in report["notes"]))
        self.assertTrue(any("broken.jpg" in note for note in report["notes"]))
        found = colmap_rotations(made / "sparse" / "0" / "images.bin")
        first = min(truth)
        for name in truth:
            self.assertLess(angle_between(truth[first], truth[name], found[first], found[name]), 0.7, name)
        self.assertFalse((made / "work").exists())
        self.assertTrue((made / "colmap.log").exists())
        self.assertGreater(document["metrics"]["eval"]["test"]["psnr"]["value"], 12)
        self.assertIn("PSNR", self.done("eval", self.out).stdout)  # the capture is found inside the run

        # A second run on the same photos keeps the cameras.
        file = made / "sparse" / "0" / "images.bin"
        before = (sha(file), file.stat().st_mtime_ns)
        self.done("train", self.photos, "-o", self.out, "--steps", "20", "--downscale", "2", "--overwrite", "--until", "train")
        self.assertEqual((sha(file), file.stat().st_mtime_ns), before)
        self.assertIn("9 views", self.done("info", made).stdout)

    def test_ctrl_c_while_cameras_are_found_goes_on_later(self):
        truth = corner(self.photos, views=6)
        self.stopped("matches", "capture", self.photos, "-o", self.out, "--no-tty", "-v")
        self.assertFalse((self.out / "sparse").exists())
        self.assertTrue((self.out / "work").exists())
        self.refused(3, "capture", self.photos, "-o", self.out, says=["not empty"])
        shutil.copytree(self.photos, self.folder / "others")
        self.refused(2, "capture", self.folder / "others", "-o", self.out, "--resume", says=["another input"])
        self.done("capture", self.photos, "-o", self.out, "--resume")
        self.refused(2, "capture", self.folder / "others", "-o", self.out, "--resume", says=["another input"])
        self.assertEqual(set(colmap_rotations(self.out / "sparse" / "0" / "images.bin")), set(truth))

    def test_what_is_no_capture_is_said(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.refused(3, "capture", empty, "-o", self.out, says=["no photos"])
        self.refused(3, "capture", self.folder / "absent", "-o", self.out, says=["absent"])
        text = self.folder / "text.txt"
        text.write_text("x")
        self.refused(3, "capture", text, "-o", self.out, says=["text.txt"])
        video = self.folder / "bad.mp4"
        video.write_text("no video")
        self.refused(3, "train", video, "-o", self.out, says=["bad.mp4"])
        archive = self.folder / "bad.zip"
        archive.write_bytes(b"PK\3\4 and then nothing")
        self.refused(3, "train", archive, "-o", self.out, says=["bad.zip"])
        posed = colmap(self.folder / "posed")
        self.refused(2, "capture", posed, "-o", self.out, says=["cameras already"])

    def test_photos_that_do_not_match_are_an_error_with_advice(self):
        self.photos.mkdir()
        for i in range(4):
            png(self.photos / f"{i}.png", 64, 48, lambda x, y: (40 * i, 10, 10))
        r = run("capture", self.photos, "-o", self.out)
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertIn("no two of the photos match", r.stderr)
        self.assertIn("hint: 4 of 4 photos show hardly any detail", r.stderr)
        self.assertFalse((self.out / "sparse").exists())

    def test_an_archive_with_cameras_is_trained_as_it_is(self):
        colmap(self.folder / "posed")
        shutil.make_archive(str(self.folder / "posed"), "zip", self.folder, "posed")
        document = self.document("train", self.folder / "posed.zip", "-o", self.out, "--steps", "10")
        self.assertEqual(document["metrics"]["steps"], 10)
        self.assertTrue((self.out / "capture" / "sparse" / "0" / "images.txt").exists())
        self.assertFalse((self.out / "capture" / "work").exists())

    def test_a_sample_is_written_as_files(self):
        self.done("capture", "sample:splats", "-o", self.out)
        self.assertTrue((self.out / "sparse" / "0" / "images.txt").exists())
        self.refused(3, "capture", "sample:splats", "-o", self.out, says=["not empty"])
        self.assertIn("views", self.done("info", self.out).stdout)

class Special(Case):
    def said(self, *args, **kwargs):
        r = run("special", *args, **kwargs)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_numbers(self):
        self.assertEqual(float(self.said("log-i", "--order", 1023, "--x", 1000)), 507.83022839542616)
        self.assertEqual(float(self.said("log-k", 1023, 10)), 4417.1773250313517)
        self.assertAlmostEqual(float(self.said("ratio", "--order", 0.5, "--x", 5)), 0.800090803982019376, places=14)
        self.assertEqual([self.said("log-i", 0, 0), self.said("log-i", 1, 0), self.said("log-k", 1, 0)], ["0\n", "-inf\n", "inf\n"])
        self.assertEqual(self.said("log-k", "--order", -2.5, "--x", 3), self.said("log-k", 2.5, 3))
        self.assertEqual(self.said("log-i", "--order", -3, "--x", 3), self.said("log-i", 3, 3))
        scaled = float(self.said("log-i", 2, 3, "--scaled"))
        self.assertAlmostEqual(scaled + 3, float(self.said("log-i", 2, 3)), places=14)

    def test_lists_and_tables(self):
        rows = self.said("log-k", "--order", "0:2", "--x", 1.5, "--derivatives").splitlines()
        self.assertEqual((len(rows), rows[0]), (4, "order,x,log_k,d_order,d_x"))
        # K_0' = -K_1
        k0, k1 = (float(row.split(",")[2]) for row in rows[1:3])
        self.assertAlmostEqual(float(rows[1].split(",")[4]), -math.exp(k1 - k0), places=14)
        table = self.folder / "t.csv"
        table.write_text("v,other,arg\n1,7,2\n3,7,-4\n")
        r = run("special", "log-i", table, "--columns", "v,arg", "--json")
        document = json.loads(r.stdout)
        self.assertEqual((document["outside"], document["log_i"][1]), (1, "nan"))
        self.assertIn("1 of 2", r.stderr)
        self.assertEqual(len(self.said("ratio", "-", "--kind", "k", input="order,x\n1,2\n3,4\n").splitlines()), 3)

    def test_arrays_broadcast(self):
        v, x, out = (self.folder / name for name in ("v.npy", "x.npy", "out.npy"))
        write_npy(v, [0.5, 2, 3], "(3, 1)")
        write_npy(x, [1, 2, 4, 8], "(4,)")
        self.said("log-k", v, x, "--scaled", "-o", out)
        raw = out.read_bytes()
        self.assertIn(b"(3, 4)", raw)
        values = struct.unpack("<12d", raw[-96:])
        self.assertEqual(values[6], float(self.said("log-k", 2, 4, "--scaled")))
        self.said("log-k", v, x, "--derivatives", "second", "-o", out)
        self.assertIn(b"(3, 4, 6)", out.read_bytes())
        self.said("log-k", v, "--x", 2, "-o", self.folder / "out.csv")
        self.assertEqual(len((self.folder / "out.csv").read_text().splitlines()), 4)

    def test_what_is_wrong_is_named(self):
        self.refused(2, "special", "log-i", "--order", -2.5, "--x", 3, says=["-2.5", "--order"])
        self.refused(2, "special", "ratio", "--order", -1, "--x", 3, says=["-1"])
        self.refused(2, "special", "log-i", "--order", 1, says=["--x"])
        self.refused(2, "special", "log-i", "--order", "0:2", "--x", "1,2", says=["[3]", "[2]"])
        self.refused(2, "special", "log-k", 1, 2, "--device", "cuda", says=["no CUDA"])
        bad = self.folder / "bad.npy"
        write_npy(bad, [1, -0.5], "(2,)")
        self.refused(3, "special", "log-i", bad, "--x", 1, says=["bad.npy", "element 1"])


def write_npy(path, values, shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (117 - len(head)) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head.encode() + struct.pack(f"<{len(values)}d", *values))


def two_clumps(path, rows=200):
    """A table with a header: two clumps, and which of them a row is of as a word."""
    rng = random.Random(3)
    lines = ["a,b,kind"]
    for i in range(rows):
        far = 8 * (i % 2)
        lines.append(f"{rng.gauss(far, 1)},{rng.gauss(-far, 0.5)},{'left' if far == 0 else 'right'}")
    path.write_text("\n".join(lines) + "\n")
    return path


class Mixtures(Case):
    def setUp(self):
        super().setUp()
        self.table = two_clumps(self.folder / "t.csv")

    def test_a_mixture_from_fit_to_samples(self):
        model, page = self.folder / "m.json", self.folder / "p.html"
        fit = self.document("mixture", "fit", self.table, "--target", "kind", "-k", "1:3", "-o", model, "--plot", page)
        self.assertEqual((len(fit["components"]), len(fit["fits"]), fit["columns"]), (2, 3, ["a", "b"]))
        self.assertEqual(page.read_text().count("<svg"), 4)
        self.assertIn("50% of the mass", page.read_text())
        labels = self.folder / "labels.csv"
        predicted = self.document("mixture", "predict", model, self.table, "--target", "kind", "--responsibilities", "-o", labels)
        self.assertEqual((predicted["counts"], predicted["adjusted_rand_index"]), ([100, 100], 1))
        self.assertEqual(labels.read_text().splitlines()[0], "component,p0,p1")
        score = self.document("mixture", "score", model, self.table)
        self.assertAlmostEqual(score["mean_log_density"], fit["fit"]["log_likelihood"] / 200, places=9)
        drawn = self.done("mixture", "sample", model, "-n", 5, "--labels").stdout.splitlines()
        self.assertEqual((len(drawn), drawn[0]), (6, "a,b,component"))
        self.assertEqual(self.document("mixture", "inspect", model)["components"], fit["components"])
        self.assertIn("*", self.done("mixture", "select", self.table, "--target", "kind", "-k", "1,2").stdout)
        shapes = self.document("mixture", "fit", self.table, "--target", "kind", "-k", 2, "--covariance", "mclust")
        self.assertEqual(sorted(f["covariance"] for f in shapes["fits"])[:3], ["EEE", "EEI", "EEV"])
        self.assertEqual(len(shapes["fits"]), 14)
        clusters = [self.document("mixture", "fit", self.table, "--target", "kind", "-k", 4, "--method", "kmeans", "--bounds", b)
                    for b in ("none", "hamerly", "elkan", "yinyang")]
        self.assertEqual([c["components"] for c in clusters], [clusters[0]["components"]] * 4)

    def test_both_kinds_of_model_file_say_the_same(self):
        scores = []
        for name in ("m.json", "m.cov"):
            self.done("mixture", "fit", self.table, "--columns", "a,b", "-k", 2, "-o", self.folder / name)
            scores.append(self.done("mixture", "score", self.folder / name, self.table, "-o", "-").stdout)
        self.assertEqual(scores[0], scores[1])
        cut = self.folder / "cut.cov"
        cut.write_bytes((self.folder / "m.cov").read_bytes()[:-40])
        self.refused(3, "mixture", "inspect", cut, says=["cut.cov"])

    def test_other_methods_and_standard_input(self):
        for more in (["--method", "vb", "-k", 8], ["--method", "kmeans", "-k", 2], ["--method", "online", "-k", 2, "--batch", 50],
                     ["--method", "online-vb", "-k", 8, "--batch", 50, "--passes", 2],
                     ["--method", "kmeans", "-k", 2, "--batch", 40, "--steps", 50, "--init", "k-means||"]):
            self.assertEqual(len(self.document("mixture", "fit", self.table, "--columns", "a,b", *more)["components"]), 2, more)
        piped = self.done("mixture", "fit", "-", "--columns", "a,b", "-k", 2, input=self.table.read_text())
        self.assertIn("200 rows", piped.stdout)

    def test_a_fit_begins_from_what_is_known(self):
        fit = ["mixture", "fit", self.table, "--target", "kind"]
        model, shares, means = (self.folder / name for name in ("m.json", "shares.csv", "means.csv"))
        plain = self.document(*fit, "-k", 2, "-o", model)
        self.done("mixture", "predict", model, self.table, "--target", "kind", "--responsibilities", "-o", shares)
        means.write_text("b,a\n0,0\n-9,9\n")
        starts = (["--init", "labels"], ["--init", "labels", "--init-from", shares],
                  ["--init", "responsibilities", "--init-from", shares], ["--init", "means", "--init-from", means],
                  ["--init", "model", "--init-from", model])
        for more in starts:
            again = self.document(*fit, *more)
            self.assertEqual(len(again["components"]), 2, more)
            self.assertAlmostEqual(again["fit"]["log_likelihood"], plain["fit"]["log_likelihood"], places=4, msg=str(more))
        for init in ("k-means++", "k-means||", "random"):
            self.assertEqual(len(self.document(*fit, "-k", 2, "--init", init)["components"]), 2, init)
        self.refused(2, *fit, "--init", "means", says=["--init-from"])
        self.refused(2, *fit, "--init", "means", "--init-from", means, "-k", 2, says=["--components"])
        self.refused(2, *fit, "-k", 2, "--init-from", means, says=["--init-from"])
        self.refused(2, *fit, "--method", "vb", "--init", "random", says=["--init"])
        self.refused(3, *fit, "--init", "labels", "--init-from", means, says=["means.csv", "2 columns"])
        means.write_text("a,c,d\n0,0,0\n")
        self.refused(3, *fit, "--init", "means", "--init-from", means, says=["means.csv"])

    def test_a_column_that_numbers_the_rows_is_pointed_out(self):
        numbered = self.folder / "numbered.csv"
        rows = self.table.read_text().splitlines()
        numbered.write_text("\n".join(f"{i or 'rownames'},{row}" for i, row in enumerate(rows)) + "\n")
        r = self.done("mixture", "fit", numbered, "--target", "kind", "-k", 1)
        self.assertIn("--columns a,b", r.stderr)
        r = self.done("mixture", "fit", numbered, "--columns", "rownames,a,b", "-k", 1)
        self.assertNotIn("--columns", r.stderr)

    def test_built_in_tables_and_what_info_says(self):
        fit = self.document("mixture", "fit", "sample:clumps,rows=300", "--target", "kind", "-k", 3, "-o", self.folder / "m.json")
        self.assertEqual(len(fit["components"]), 3)
        table = self.document("info", "sample:clumps,rows=300")
        self.assertEqual((table["rows"], [c["name"] for c in table["columns"]]), (300, ["x0", "x1", "kind"]))
        self.assertIn("sample:wave", self.done("info", "sample:").stdout)
        self.refused(2, "mixture", "fit", "sample:clump", says=["clump"])
        (self.folder / "hole.csv").write_text("a,b\n1,x\n,y\n4,x\n")
        a, b = self.document("info", self.folder / "hole.csv")["columns"]
        self.assertEqual((a["missing"], a["mean"], b["words"]), (1, 2.5, ["x", "y"]))
        self.assertIn("covary mixture inspect", self.done("info", self.folder / "m.json").stdout)

    def test_a_bare_name_is_looked_up_in_the_data_folder(self):
        (self.folder / "data" / "classic").mkdir(parents=True)
        self.table.rename(self.folder / "data" / "classic" / "two.csv")
        here = {**os.environ, "COVARY_DATA": str(self.folder / "data")}
        self.assertIn("200 rows", self.done("mixture", "fit", "two", "--target", "kind", "-k", 1, env=here).stdout)
        (self.folder / "data" / "two.npy").write_text("")
        self.refused(3, "mixture", "fit", "two", "-k", 1, env=here, says=["2 tables"])
        self.refused(3, "mixture", "fit", "three", "-k", 1, env=here, says=["three"])

    def test_a_mixture_of_directions_from_fit_to_samples(self):
        rng = random.Random(5)
        rows = [(rng.gauss(3 * (i % 2), 0.4), rng.gauss(3 - 3 * (i % 2), 0.4), rng.gauss(0, 0.4), i % 2) for i in range(200)]
        table, model, page = self.folder / "d.csv", self.folder / "d.json", self.folder / "d.html"
        table.write_text("x,y,z,kind\n" + "".join(f"{a},{b},{c},{k}\n" for a, b, c, k in rows))
        vmf = ["mixture", "fit", table, "--target", "kind", "--family", "vmf"]
        self.refused(3, *vmf, says=["d.csv", "row 0", "length"])
        fit = self.document(*vmf, "--normalise", "-k", "1:3", "-o", model, "--plot", page)
        self.assertEqual((len(fit["components"]), fit["family"], fit["columns"]), (2, "vmf", ["x", "y", "z"]))
        self.assertIn("hemispheres", page.read_text())
        predicted = self.document("mixture", "predict", model, table, "--target", "kind", "--responsibilities")
        self.assertEqual((predicted["counts"], predicted["adjusted_rand_index"]), ([100, 100], 1))
        score = self.document("mixture", "score", model, table, "--target", "kind")
        self.assertAlmostEqual(score["mean_log_density"], fit["fit"]["log_likelihood"] / 200, places=9)
        for line in self.done("mixture", "sample", model, "-n", 5).stdout.splitlines()[1:]:
            self.assertAlmostEqual(sum(float(v) ** 2 for v in line.split(",")), 1, places=12)
        self.assertEqual(self.document("mixture", "inspect", model)["components"], fit["components"])
        self.assertIn("*", self.done("mixture", "select", *vmf[2:], "--normalise", "-k", "1,2").stdout)
        for more in (["--assignment", "hard"], ["--method", "kmeans"]):
            self.assertEqual(len(self.document(*vmf, "--normalise", "-k", 2, *more)["components"]), 2)
        self.refused(2, *vmf, "--covariance", "tied", says=["--covariance"])
        self.refused(2, *vmf, "--floor", 0.1, says=["--floor"])

    def test_a_density_from_a_model_or_a_table(self):
        model, page = self.folder / "d.cov", self.folder / "d.html"
        self.done("density", "fit", self.table, "--columns", "a,b", "--bandwidth", "silverman", "-o", model, "--plot", page)
        self.assertIn("<rect", page.read_text())
        self.assertIn("50% of the mass", page.read_text())
        stored = self.done("density", "score", model, self.table, "-o", "-").stdout
        fresh = self.done("density", "score", self.table, self.table, "--columns", "a,b", "--bandwidth", "silverman", "-o", "-").stdout
        self.assertEqual(stored, fresh)
        tree = self.document("density", "score", model, self.table, "--rtol", "1e-3", "--engine", "tree")
        self.assertEqual(tree["engine"], "tree")
        rows = [float(x) for x in stored.split()[1:]]
        self.assertAlmostEqual(tree["mean_log_density"], sum(rows) / len(rows), delta=1e-3)
        self.assertEqual(len(self.done("density", "sample", model, "-n", 3).stdout.splitlines()), 4)

    def test_densities_with_bounds_local_widths_and_a_grid(self):
        model = self.folder / "local.json"
        self.done("density", "fit", self.table, "--columns", "a,b", "--bandwidth-kind", "adaptive", "--bandwidth-shape", "full", "--bounds", "b=-100:100", "-o", model)
        stored = self.document("density", "score", model, self.table)
        self.assertEqual((stored["bandwidth_kind"], stored["bandwidth_shape"]), ("adaptive", "full"))
        fixed = self.document("density", "score", self.table, self.table, "--columns", "a,b")
        self.assertGreater(stored["mean_log_density"], fixed["mean_log_density"] - 1)
        grid = self.document("density", "score", self.table, self.table, "--columns", "a,b", "--engine", "fft", "--atol", "1e-4")
        self.assertLessEqual(grid["error_bound"], 1.001e-4)
        self.assertAlmostEqual(grid["mean_log_density"], fixed["mean_log_density"], delta=0.05)
        self.refused(2, "density", "fit", self.table, "--engine", "fft", says=["absolute error"])
        self.refused(2, "density", "fit", self.table, "--bounds", "zz=0:", says=["zz"])
        self.refused(3, "density", "fit", self.table, "--columns", "a,b", "--bounds", "b=1000:", says=["bounds", "row 0"])
        self.refused(2, "density", "score", model, self.table, "--bounds", "a=0:", says=["--bounds"])

    def test_densities_by_expansions_estimates_trees_and_products(self):
        model, pair = self.folder / "d.json", ("--columns", "a,b")
        exact = self.document("density", "score", self.table, self.table, *pair)
        self.assertEqual((exact["engine"], exact["approximate"], exact["error_bound"]), ("exact", False, 0))
        series = self.document("density", "score", self.table, self.table, *pair, "--engine", "ifgt", "--atol", "1e-6")
        self.assertTrue(0 < series["error_bound"] <= 1.001e-6)
        self.assertAlmostEqual(series["mean_log_density"], exact["mean_log_density"], delta=1e-3)
        # A model remembers its engine, and what draws it.
        self.done("density", "fit", self.table, *pair, "--engine", "rff", "--features", 4000, "--engine-seed", 3, "-o", model)
        stored = self.document("density", "score", model, self.table)
        self.assertEqual((stored["engine"], stored["approximate"], stored["features"], stored["engine_seed"]), ("rff", True, 4000, 3))
        self.assertNotIn("error_bound", stored)
        self.assertGreater(stored["median_relative_error"], 0)
        self.assertAlmostEqual(stored["mean_log_density"], exact["mean_log_density"], delta=0.3)
        rows = self.done("density", "score", model, self.table, "-o", "-").stdout.split()
        self.assertEqual(rows[0], "log_density,standard_error")
        self.assertTrue(all(float(row.split(",")[1]) > 0 for row in rows[1:]))
        other = self.document("density", "score", model, self.table, "--engine-seed", 4)
        self.assertNotEqual(other["mean_log_density"], stored["mean_log_density"])
        self.assertIn("without a bound", self.done("density", "score", model, self.table).stdout)
        projected = self.document("density", "score", model, self.table, "--engine", "nystrom", "--landmarks", 150)
        self.assertEqual((projected["landmarks"], projected["approximate"]), (150, True))
        self.assertAlmostEqual(projected["mean_log_density"], exact["mean_log_density"], delta=1e-2)
        for kind in ("ball", "cover"):
            tree = self.document("density", "score", self.table, self.table, *pair, "--engine", "tree", "--tree", kind, "--rtol", "1e-4")
            self.assertEqual(tree["tree"], kind)
            self.assertAlmostEqual(tree["mean_log_density"], exact["mean_log_density"], delta=1e-4)
        box = ("--kernel", "epanechnikov", "--product", "--bandwidth", 3)
        self.done("density", "fit", self.table, *pair, *box, "-o", model)
        product = self.document("density", "score", model, self.table)
        self.assertTrue(product["product"])
        radial = self.document("density", "score", self.table, self.table, *pair, "--kernel", "epanechnikov", "--bandwidth", 3)
        self.assertNotEqual(product["mean_log_density"], radial["mean_log_density"])
        scan = self.document("density", "fit", self.table, *pair, "--bandwidth", "lscv")["width_scan"]
        self.assertEqual(len(scan["likelihood"]), len(scan["factors_of_scott"]))
        self.assertEqual(len(scan["least_squares"]), len(scan["factors_of_scott"]))
        self.refused(2, "density", "fit", self.table, "--engine", "ifgt", says=["absolute error"])
        self.refused(2, "density", "fit", self.table, "--engine", "rff", "--kernel", "tophat", says=["gaussian"])
        self.refused(2, "density", "score", model, self.table, "--product", says=["--product"])

    def test_what_is_wrong_is_named(self):
        bad = self.folder / "bad.csv"
        bad.write_text("a,b\n1,2\n3,inf\n")
        self.refused(3, "mixture", "fit", bad, "-k", 1, says=["bad.csv", "row 1"])
        self.refused(3, "mixture", "fit", self.folder / "none.csv", says=["none.csv"])
        self.refused(3, "mixture", "fit", self.table, "--columns", "a,c", says=["t.csv", "'c'"])
        self.refused(3, "mixture", "fit", self.table, "-k", 500, says=["t.csv", "200 rows"])
        self.refused(2, "mixture", "fit", self.table, "-o", self.folder / "m.txt", says=["m.txt"])
        self.refused(2, "mixture", "fit", self.table, "--method", "kmeans", says=["--components"])
        self.refused(3, "mixture", "score", self.folder / "none.csv", self.table, says=["none.csv"])
        self.refused(3, "mixture", "inspect", self.write("m.json", {"schema": "covary.mixture", "version": 9}), says=["version"])
        hole = self.folder / "hole.csv"
        hole.write_text("a,b\n1,2\n3,\n")
        self.refused(3, "density", "fit", hole, says=["hole.csv", "row 1", "missing"])

    def write(self, name, document):
        (self.folder / name).write_text(json.dumps(document))
        return self.folder / name


def wave(path, columns, rows=60, seed=1):
    """A sine of the first column and cosines of the others, with noise."""
    rng = random.Random(seed)
    lines = [",".join(f"x{k}" for k in range(columns)) + ",y"]
    for _ in range(rows):
        x = [rng.uniform(-2, 2) for _ in range(columns)]
        y = 5 + rng.gauss(0, 0.1) + math.sin(2 * x[0]) + sum(math.cos(v) for v in x[1:])
        lines.append(",".join(map(repr, x + [y])))
    path.write_text("\n".join(lines) + "\n")
    return path



class Filters(Case):
    """covary filter: fits, files, every method, streams and what is refused."""

    def setUp(self):
        super().setUp()
        rng = random.Random(3)
        level, rows = 10.0, ["t,y"]
        for t in range(120):
            level += rng.gauss(0, 0.3)
            rows.append(f"{1900 + t},{level + rng.gauss(0, 1) if t % 17 != 5 else ''}")
        self.table = self.write("t.csv", "\n".join(rows) + "\n")

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def rows(self, text):
        lines = text.strip().splitlines()
        return [dict(zip(lines[0].split(","), line.split(","))) for line in lines[1:]]

    def test_from_a_fit_to_forecasts_and_pages(self):
        model, page = self.folder / "m.json", self.folder / "p.html"
        fit = self.document("filter", "fit", self.table, "--model", "level", "-o", model, "--plot", page)
        self.assertEqual((fit["columns"], fit["fit"]["converged"]), (["y"], True))
        self.assertGreater(page.read_text().count("<svg"), 3)
        out = self.rows(self.done("filter", "run", model, self.table, "--ahead", 3).stdout)
        self.assertEqual((len(out), out[-1]["t"]), (123, "2022"))
        self.assertEqual(out[0]["predicted_y_sd"], "inf")
        self.assertGreater(float(out[-1]["predicted_y_sd"]), float(out[-2]["predicted_y_sd"]))
        self.assertEqual((out[5]["nis"], out[5]["innovation_y"]), ("", ""))
        run_ = self.document("filter", "run", model, self.table)
        self.assertAlmostEqual(run_["log_likelihood"], fit["fit"]["log_likelihood"], places=9)
        # A model in words is fitted first; given all, a state is surer than given what came before.
        smooth = self.rows(self.done("filter", "smooth", "level", self.table).stdout)
        self.assertLess(float(smooth[60]["level_sd"]), float(out[60]["level_sd"]))
        self.assertAlmostEqual(float(smooth[-1]["level"]), float(out[119]["level"]), places=6)

    def test_both_kinds_of_model_file_say_the_same(self):
        matrices = self.write("m.json", json.dumps({"F": [[1, 1], [0, 1]], "Q": [[0.1, 0], [0, 0.01]], "H": [[1, 0]],
                                                    "R": 1, "diffuse": True, "states": ["level", "slope"]}))
        self.done("filter", "fit", self.table, "--model", matrices, "-o", self.folder / "a.cov")
        self.done("filter", "fit", self.table, "--model", matrices, "-o", self.folder / "a.json")
        a, b = (self.done("filter", "run", self.folder / n, self.table).stdout for n in ("a.cov", "a.json"))
        self.assertEqual(a, b)
        self.assertTrue(a.startswith("t,level,level_sd,slope,slope_sd,"))

    def test_nonlinear_models_by_every_method(self):
        series = self.folder / "s.csv"
        self.done("filter", "sample", "turn(q=0.01, r=0.25)", "--steps", 80, "-o", series)
        found = {}
        for method in ("ekf", "ukf", "ckf", "ghf", "particle"):
            page = self.folder / "p.html"
            more = ["--points", 2] if method == "ghf" else []
            d = self.document("filter", "run", "turn(q=0.01, r=0.25)", series, "--columns", "x_observed,y_observed",
                              "--method", method, "--particles", 2000, "--plot", page, *more)
            self.assertEqual((d["method"], d["rows"]), (method, 80))
            self.assertIn("Way through the plane", page.read_text())
            found[method] = d["log_likelihood"]
        for method in ("ukf", "ckf", "ghf"):
            self.assertAlmostEqual(found[method], found["ekf"], delta=5)
        drawn = self.done("filter", "sample", "level(1)+noise(1)", self.table, "-n", 3).stdout.splitlines()
        self.assertEqual((len(drawn), drawn[0]), (121, "t,level_0,level_1,level_2"))

    def test_a_stream_is_answered_line_by_line(self):
        model = "level(0.1)+noise(1)"
        whole = self.rows(self.done("filter", "run", model, self.table).stdout)
        p = subprocess.Popen([str(COVARY), "filter", "run", model, "-", "--columns", "y", "-q"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        answers = []
        for k, line in enumerate(self.table.read_text().splitlines()[:8]):
            p.stdin.write(line + "\n")
            p.stdin.flush()
            if k == 1:
                header = p.stdout.readline().strip().split(",")  # it is there before more is sent
            if k > 0:
                answers.append(dict(zip(header, p.stdout.readline().strip().split(","))))
        p.stdin.close()
        self.assertEqual(p.wait(timeout=60), 0)
        p.stdout.close()
        for a, b in zip(answers, whole):
            self.assertAlmostEqual(float(a["level"]), float(b["level"]), places=9)
            self.assertAlmostEqual(float(a["log_likelihood"]), float(b["log_likelihood"]), places=9)
        lines = self.done("filter", "run", model, "-", "--json", input='{"y0": 1.5}\n{"y0": null}\n[2]\n').stdout.splitlines()
        self.assertEqual([json.loads(line)["step"] for line in lines], [0, 1, 2])
        self.refused(2, "filter", "run", "level", "-", says=["level: has no value"], input="1\n")
        r = run("filter", "run", model, "-", input="1\nx\n")
        self.assertEqual(r.returncode, 3)
        self.assertIn("line 2", r.stderr)

    def test_what_is_wrong_is_named(self):
        bad = self.write("bad.json", json.dumps({"F": [[1, 0], [0, 1]], "Q": [[1, 2], [2, 1]], "H": [[1, 0]], "R": 1,
                                                 "mean0": [0, 0], "cov0": [[1, 0], [0, 1]]}))
        self.refused(3, "filter", "run", bad, self.table, says=["bad.json: Q", "eigenvalue is -1"])
        self.refused(3, "filter", "run", self.folder / "none.json", self.table, says=["none.json"])
        error, hint = self.refused(2, "filter", "run", "levl", self.table, says=["levl"])
        self.assertIn("level", hint)
        self.refused(2, "filter", "run", "pendulum", self.table, "--method", "kalman", says=["not linear"])
        self.refused(2, "filter", "run", "level(1)+noise(1)", self.table, "--method", "ukf", says=["diffuse"])
        self.refused(3, "filter", "fit", self.table, "--columns", "z", says=["t.csv", "'z'"])
        self.refused(3, "filter", "fit", self.write("c.csv", "y\n" + "1\n" * 40), says=["c.csv", "constant"])
        self.refused(3, "filter", "run", "turn", self.write("one.csv", "y\n1\n5\n4\n"), says=["one.csv"])
        self.refused(2, "filter", "fit", self.table, "-o", self.folder / "m.txt", says=["m.txt"])
        self.refused(3, "filter", "run", "level", self.write("d.csv", "t,y\n3,1\n2,2\n5,1\n"), "--time", "t", says=["d.csv", "'t'", "rise"])


class Processes(Case):
    def setUp(self):
        super().setUp()
        self.one, self.many = wave(self.folder / "one.csv", 1), wave(self.folder / "many.csv", 3)
        self.new = wave(self.folder / "new.csv", 3, rows=12, seed=2)

    def rows(self, text):
        lines = text.split()
        return lines[0].split(","), [[float(v) for v in line.split(",")] for line in lines[1:]]

    def test_a_grid_of_fits_and_what_one_would_be(self):
        out = self.folder / "grid"
        sweep = ["gp", "fit", self.many, "--target", "y", "--sweep", "kernel=rbf;matern52(ard)", "--sweep", "mean=zero,const"]
        grid = self.document(*sweep, "-o", out)
        self.assertEqual([(r["kernel"], r["mean"]) for r in grid["rows"]],
                         [(k, m) for k in ("rbf", "matern52(ard)") for m in ("zero", "const")])
        one = self.document("gp", "inspect", out / "sweep" / "003" / "model.cov")
        self.assertAlmostEqual(one["log_likelihood"], grid["rows"][3]["log_likelihood"], places=9)
        self.refused(3, *sweep, "-o", out, says=["not empty"])
        (out / "sweep" / "002" / "result.json").unlink()
        self.assertEqual(self.document(*sweep, "-o", out, "--resume")["rows"], grid["rows"])
        self.refused(2, *sweep, says=["folder"])
        before = sorted(self.folder.rglob("*"))
        plan = self.document("gp", "fit", self.many, "--target", "y", "--dry-run", "-o", self.folder / "none.cov")
        self.assertEqual((plan["method"], plan["rows"], plan["options"]["seed"]), ("exact", 60, 42))
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_a_process_from_fit_to_draws(self):
        model, page, report = (self.folder / n for n in ("m.cov", "p.html", "r.json"))
        fit = self.document("gp", "fit", self.many, "--target", "y", "--kernel", "matern52(ard)+white", "-o", model,
                            "--plot", page, "--report", report)
        self.assertEqual((fit["method"], fit["rows"], fit["columns"]), ("exact", 60, ["x0", "x1", "x2"]))
        self.assertEqual(fit["fit"]["ending"], "converged")
        self.assertIn("Predicted against observed", page.read_text())
        held = json.loads(report.read_text())["leave_one_out"]
        self.assertEqual((sum(held["pit"]), set(held["coverage"])), (60, {"50", "80", "95"}))
        head, rows = self.rows(self.done("gp", "predict", model, self.new, "--quantiles", ".05,.95").stdout)
        self.assertEqual((head, len(rows)), (["mean", "sd", "q0.05", "q0.95"], 12))
        for mean, sd, low, high in rows:
            self.assertAlmostEqual(mean + 1.6448536269514722 * sd, high, places=9)
            self.assertAlmostEqual(mean - low, high - mean, places=9)
        score = self.document("gp", "score", model, self.new)["scores"]
        self.assertLess(score["rmse"], 0.3)
        self.assertAlmostEqual(self.document("gp", "score", model)["scores"]["nlpd"], held["nlpd"], places=9)
        likelihood = self.document("gp", "inspect", model)["log_likelihood"]
        self.assertAlmostEqual(likelihood, fit["log_likelihood"], places=6)
        before = sha(model)
        update = self.document("gp", "update", model, self.new)
        self.assertEqual((update["rows"], update["parameters"]), (72, fit["parameters"]))
        self.assertNotEqual(sha(model), before)
        again = self.folder / "again.json"
        self.assertEqual(self.document("gp", "update", model, self.new, "--refit", "-o", again)["rows"], 84)
        head, rows = self.rows(self.done("gp", "sample", again, self.new, "-n", 3).stdout)
        self.assertEqual((head, len(rows)), (["draw0", "draw1", "draw2"], 12))

    def test_the_method_is_said_and_a_table_serves_as_a_model(self):
        page = self.folder / "one.html"
        series = self.document("gp", "fit", self.one, "--target", "y", "--plot", page)
        self.assertEqual(series["method"], "state-space")
        self.assertIn("draw 1", page.read_text())
        dense = self.document("gp", "fit", self.one, "--target", "y", "--method", "exact")
        self.assertAlmostEqual(dense["log_likelihood"], series["log_likelihood"], places=4)
        sparse = self.document("gp", "fit", self.many, "--target", "y", "--method", "sgpr", "--inducing", 10)
        self.assertLess(sparse["log_likelihood"], sparse["log_likelihood_upper"])
        kernel = ("--kernel", "const(1)*matern52(1.5)+white(0.05)", "--no-fit")
        whole = self.document("gp", "fit", self.many, "--target", "y", *kernel)
        solved, report = self.folder / "cg.cov", self.folder / "cg.json"
        products = self.document("gp", "fit", self.many, "--target", "y", "--method", "cg", *kernel, "-o", solved,
                                 "--report", report)
        self.assertEqual(products["method"], "cg")
        self.assertLess(abs(products["log_likelihood"] - whole["log_likelihood"]),
                        4 * products["solves"]["log_likelihood_error"] + 1e-6)
        self.assertEqual(json.loads(report.read_text())["leave_one_out"]["rows"], 60)
        again = self.document("gp", "inspect", solved)
        self.assertEqual((again["log_likelihood"], again["solves"]), (products["log_likelihood"], products["solves"]))
        grid = self.folder / "grid.csv"
        grid.write_text("a,b,y\n" + "".join(f"{i},{j / 2},{math.sin(i) + j / 10}\n"
                                            for i in range(6) for j in range(5)))
        whole = self.document("gp", "fit", grid, "--target", "y", "--method", "kron")
        self.assertEqual((whole["method"], whole["structure"]), ("kron", "grid of 6 x 5"))
        self.refused(3, "gp", "fit", self.many, "--target", "y", "--method", "kron", says=["is no grid"])
        for method, word in (("hsgp", "functions"), ("vecchia", "nearest")):
            near = self.document("gp", "fit", self.one, "--target", "y", "--method", method)
            self.assertIn(word, near["structure"])
        model = self.folder / "m.json"
        self.done("gp", "fit", self.one, "--target", "y", "-o", model)
        stored, fresh = (self.rows(self.done("gp", "predict", m, self.one, *more).stdout)[1]
                         for m, more in ((model, []), (self.one, ["--target", "y"])))
        self.assertLess(max(abs(a - b) for p, q in zip(stored, fresh) for a, b in zip(p, q)), 1e-9)

    def test_labels_and_counts(self):
        rng = random.Random(4)
        labels, counts, new, model, page = (self.folder / n for n in
                                            ("labels.csv", "counts.csv", "grid.csv", "m.cov", "p.html"))
        x = [rng.uniform(-3, 3) for _ in range(80)]
        labels.write_text("x,y\n" + "".join(f"{v!r},{int(rng.gauss(math.sin(v), 0.3) > 0)}\n" for v in x))
        counts.write_text("x,y\n" + "".join(f"{v!r},{int(math.exp(1 + math.sin(v)) + rng.random())}\n" for v in x)
                          + "0.5,\n")
        new.write_text("x\n-1.5\n1.5\n")
        fit = self.document("gp", "fit", labels, "--target", "y", "--likelihood", "bernoulli", "-o", model, "--plot", page)
        self.assertEqual((fit["method"], fit["likelihood"]), ("laplace", "bernoulli-logit"))
        self.assertIn("probability, and its 95 % band", page.read_text())
        head, rows = self.rows(self.done("gp", "predict", model, new, "--quantiles", ".05,.95").stdout)
        self.assertEqual(head, ["mean", "sd", "q0.05", "q0.95"])
        self.assertTrue(0 < rows[0][2] < rows[0][0] < rows[0][3] < 0.5 < rows[1][2] < rows[1][0] < rows[1][3] < 1, rows)
        score = self.document("gp", "score", model)["scores"]
        self.assertEqual(set(score), {"rows", "nlpd", "accuracy", "brier"})
        self.assertGreater(score["accuracy"], 0.8)
        for method in ("laplace", "ep", "vi", "svgp"):
            with self.subTest(method=method):
                fit = self.document("gp", "fit", counts, "--target", "y", "--likelihood", "poisson", "--kernel", "rbf",
                                    "--method", method, "--restarts", 1, "--steps", 20, "-o", model)
                self.assertEqual((fit["method"], fit["rows"]), (method, 81))
                of = json.loads(self.done("gp", "predict", model, new, "--json").stdout)
                self.assertEqual(of["of"], "rates")
                self.assertLess(abs(of["mean"][1] - math.exp(2)), 2)
                lines = self.done("gp", "score", model, counts, "-o", "-").stdout.split()
                self.assertEqual((lines[0], len(lines)), ("log_density,function_mean,function_sd", 82))
                self.assertLess(float(lines[1].split(",")[0]), 0)
                self.assertEqual(lines[81].split(",")[0], "")  # a missing value has no density
                self.assertEqual(self.document("gp", "update", model, counts)["rows"], 162)

    def test_several_outputs(self):
        rng = random.Random(3)
        table, new, model, report = (self.folder / n for n in ("two.csv", "grid.csv", "m.cov", "r.json"))
        x = [rng.uniform(-3, 3) for _ in range(40)]
        table.write_text("x,a,b\n" + "".join(
            f"{v!r},{math.sin(v) + 0.1 * rng.gauss(0, 1)!r},{'' if k % 4 else repr(3 - 2 * math.sin(v))}\n"
            for k, v in enumerate(x)))
        new.write_text("x\n-1.5\n1.5\n")
        for form, kept in (("icl:1", "icm:1"), ("lmc:2", "lmc:2"), ("independent", "independent")):
            with self.subTest(form=form):
                fit = self.document("gp", "fit", table, "--target", "a,b", "--outputs", form, "-o", model, "--report", report)
                self.assertEqual((fit["outputs"], fit["targets"], fit["columns"], fit["values"]),
                                 (kept, ["a", "b"], ["x"], 50))
                self.assertEqual(json.loads(report.read_text())["leave_one_out"]["b"]["rows"], 10)
                head, rows = self.rows(self.done("gp", "predict", model, new, "--quantiles", ".95").stdout)
                self.assertEqual(head, ["mean_a", "sd_a", "q0.95_a", "mean_b", "sd_b", "q0.95_b"])
                self.assertLess(abs(rows[1][0] - 1), 0.3)
                if form != "independent":
                    self.assertLess(abs(rows[0][3] - 5) + abs(rows[1][3] - 1), 0.6)
                    self.assertLess(fit["between"][0][1], 0)
                score = self.document("gp", "score", model)["scores"]
                self.assertEqual((score["a"]["rows"], score["b"]["rows"]), (40, 10))
                lines = self.done("gp", "score", model, table, "-o", "-").stdout.splitlines()
                self.assertEqual((lines[0], len(lines)),
                                 ("log_density_a,mean_a,sd_a,log_density_b,mean_b,sd_b", 41))
                head, rows = self.rows(self.done("gp", "sample", model, new, "-n", 2).stdout)
                self.assertEqual((head, len(rows)), (["draw0_a", "draw0_b", "draw1_a", "draw1_b"], 2))
                inspect = self.document("gp", "inspect", model)
                self.assertAlmostEqual(inspect["log_likelihood"], fit["log_likelihood"], places=6)
                self.assertEqual(self.document("gp", "update", model, table)["rows"], 80)
        fit = ("gp", "fit", table, "--target")
        self.assertEqual(self.document(*fit, "a,b", "--dry-run")["outputs"], "icm:1")
        self.refused(3, *fit, "a,z", says=["two.csv", "'z'"])
        self.refused(2, *fit, "a,a", says=["twice"])
        self.refused(2, *fit, "a,b", "--outputs", "joint", says=["joint"])
        self.refused(2, *fit, "a,b", "--likelihood", "poisson", says=["normal"])
        self.refused(2, *fit, "a,b", "--plot", self.folder / "p.html", says=["page"])
        self.refused(2, "gp", "inspect", model, "--outputs", "icm:1", says=["--outputs"])
        broken = self.folder / "broken.json"
        broken.write_text(json.dumps({"schema": "covary.outputs", "version": 1, "outputs": "icm:1"}))
        self.refused(3, "gp", "inspect", broken, says=["broken.json"])

    def test_noise_that_changes_and_classes(self):
        table = self.folder / "w.csv"
        rows = [(i / 40, math.sin(i / 8) + (0.05 + i / 80) * math.sin(37.7 * i * i)) for i in range(40)]
        table.write_text("t,y,kind\n" + "".join(
            f"{t},{y},{'low' if t < 0.3 else 'middle' if t < 0.7 else 'high'}\n" for t, y in rows))
        new, model, page = self.folder / "v.csv", self.folder / "rows.json", self.folder / "rows.html"
        new.write_text("t\n0.1\n0.5\n0.95\n")
        fit = ("gp", "fit", table, "--columns", "t", "--restarts", 1, "-o", model, "--plot", page, "--target")
        f = self.document(*fit, "y", "--likelihood", "heteroscedastic(matern32)")
        self.assertEqual((f["method"], f["latents"]), ("state-space", 2))
        p = self.document("gp", "predict", model, new, "--quantiles", ".05,.95")
        self.assertLess(p["noise_sd"][0], p["noise_sd"][2])
        for i in range(3):
            self.assertLess(p["noise_q.025"][i], p["noise_q.975"][i])
            self.assertLess(p["q0.05"][i], p["mean"][i])
        head, lines = self.rows(self.done("gp", "sample", model, new, "-n", 2).stdout)
        self.assertEqual((head, len(lines)), (["draw0", "draw1"], 3))
        scores = self.document("gp", "score", model)["scores"]
        self.assertGreater(scores["inside_95"], 0.7)
        self.assertAlmostEqual(self.document("gp", "inspect", model)["log_likelihood"], f["log_likelihood"], places=5)
        self.assertEqual(self.document("gp", "update", model, table)["rows"], 80)
        self.assertIn("The noise", page.read_text())
        f = self.document(*fit, "kind", "--likelihood", "softmax", "--kernel", "rbf")
        self.assertEqual(f["classes"], ["low", "middle", "high"])
        lines = self.done("gp", "predict", model, new).stdout.splitlines()
        self.assertTrue(lines[0].startswith("class,p_low,sd_low"))
        self.assertEqual([line.split(",")[0] for line in lines[1:]], ["low", "middle", "high"])
        score = self.document("gp", "score", model, table)["scores"]
        self.assertGreater(score["accuracy"], 0.9)
        self.assertEqual(sum(map(sum, score["confusion"])), 40)
        self.assertIn("Probability of each class", page.read_text())
        self.refused(2, "gp", "sample", model, new, says=["classes"])
        plan = self.document("gp", "fit", table, "--columns", "t", "--target", "kind", "--likelihood", "softmax", "--dry-run")
        self.assertEqual((plan["method"], plan["classes"]), ("laplace", ["low", "middle", "high"]))
        self.assertEqual(plan["bytes"], 8 * 10 * 40 * 40)
        self.document(*fit[:-1], "--target", "kind", "--likelihood", "softmax", "--priors", "gamma")
        self.refused(2, *fit[:-1], "--target", "kind", "--likelihood", "softmax", "--inducing", 5, says=["no points stand"])
        self.refused(2, "gp", "predict", model, new, "--quantiles", ".5", says=["--quantiles"])
        new.write_text("t,kind\n0.1,none\n")
        self.refused(3, "gp", "score", model, new, says=["'none'", "no class"])

    def test_rows_have_weights_and_noise_of_their_own(self):
        draw = random.Random(3)
        rows = [(4 * draw.random() - 2, 1 + i % 3, 0.01 * (i % 4)) for i in range(30)]
        values = [math.sin(2 * x) + 0.2 * draw.gauss(0, 1) for x, _, _ in rows]
        table, copies, bad = (self.folder / n for n in ("weights.csv", "copies.csv", "bad-weights.csv"))
        table.write_text("x,w,v,y\n" + "".join(f"{x},{w},{v},{y}\n" for (x, w, v), y in zip(rows, values)) + "0,0,0,99\n")
        copies.write_text("x,y\n" + "".join(f"{x},{y}\n" * w for (x, w, _), y in zip(rows, values)))
        model = self.folder / "weights.cov"
        stated = ("--target", "y", "--kernel", "const(1)*matern32(1) + white(0.04)", "--no-fit")
        for method in ("exact", "cg"):
            with self.subTest(method=method):
                how = ("gp", "fit", table, *stated, "--columns", "x", "--method", method, "--weights", "w")
                weighted = self.document(*how, "-o", model)
                self.assertEqual((weighted["rows"], weighted["weightless"]), (31, 1))
                plain = self.document("gp", "fit", copies, *stated, "--method", method, "-o", self.folder / "plain.cov")
                known = sum(-0.5 * ((w - 1) * math.log(2 * math.pi * 0.04) + math.log(w)) for _, w, _ in rows)
                if method == "exact":
                    self.assertAlmostEqual(plain["log_likelihood"], weighted["log_likelihood"] + known, places=6)
                a, b = (self.document("gp", "predict", m, self.one, "--columns", "x0") for m in (model, self.folder / "plain.cov"))
                for x, y in zip(a["mean"] + a["sd"], b["mean"] + b["sd"]):
                    self.assertAlmostEqual(x, y, delta=1e-3)
                score = self.document("gp", "score", model, table)["scores"]
                self.assertEqual(score["rows"], 30)
                more = self.document("gp", "update", model, table, "-o", self.folder / "more.cov")
                self.assertEqual((more["rows"], more["weightless"]), (62, 2))
        self.assertIn("1 row of weight 0 left out", self.done("gp", "fit", table, *stated, "--weights", "w").stderr)
        both = self.document("gp", "fit", table, *stated, "--columns", "x", "--weights", "w", "--noise-column", "v", "-o", model)
        self.assertNotAlmostEqual(both["log_likelihood"], weighted["log_likelihood"], places=3)
        self.assertIn("no column 'w'", self.done("gp", "score", model, copies).stderr)
        bad.write_text("x,w,y\n0,1,2\n1,-1,3\n2,1,4\n")
        self.refused(3, "gp", "fit", bad, "--target", "y", "--weights", "w", says=["bad-weights.csv", "row 1", "'w'"])
        self.refused(2, "gp", "fit", table, *stated, "--weights", "w", "--method", "toeplitz", says=["toeplitz", "one noise"])
        self.refused(2, "gp", "fit", table, *stated, "--weights", "w", "--method", "hsgp", "--noise", "v", says=["hsgp"])
        self.refused(2, "gp", "inspect", model, "--weights", "w", says=["--weights"])
        counts = self.folder / "counts.csv"
        counts.write_text("x,w,y\n" + "".join(f"{x},{w},{int(abs(3 * y))}\n" for (x, w, _), y in zip(rows, values)))
        self.done("gp", "fit", counts, "--target", "y", "--weights", "w", "--likelihood", "poisson", "--restarts", 1)
        self.refused(2, "gp", "fit", counts, "--target", "y", "--weights", "w", "--likelihood", "poisson", "--method", "ep",
                     says=["ep", "weights"])

    def test_standard_errors_are_kept_in_the_model(self):
        model = self.folder / "errors.cov"
        fit = self.document("gp", "fit", self.one, "--target", "y", "--standard-errors", "-o", model)
        told = [p for p in fit["parameters"].values() if p["standard_error"]]
        self.assertGreater(len(told), 0)
        for p in told:
            self.assertLess(p["interval"][0], p["value"])
            self.assertLess(p["value"], p["interval"][1])
        self.assertIn(", 95 % ", self.done("gp", "inspect", model).stdout)
        self.assertEqual(self.document("gp", "inspect", model)["parameters"], fit["parameters"])
        self.assertNotIn("standard_error", next(iter(self.document("gp", "fit", self.one, "--target", "y")["parameters"].values())))
        self.refused(2, "gp", "fit", self.one, "--target", "y", "--standard-errors", "--no-fit", says=["--standard-errors"])

    def test_networks_eigenvectors_and_grids_of_differences(self):
        model = self.folder / "kernels.json"
        done = self.done("gp", "fit", self.one, "--target", "y", "--kernel", "deep(rbf,layers=[3,1])", "--restarts", 1, "-o", model)
        self.assertIn("network         9 weights", done.stdout)
        self.assertIn("weights=[", model.read_text())
        p = self.document("gp", "predict", model, self.one, "--columns", "x0")
        self.assertEqual(len(p["mean"]), 60)
        self.refused(2, "gp", "fit", self.one, "--target", "y", "--kernel", "deep(rbf,layers=[0])", says=["layers"])
        ring = self.folder / "ring.csv"  # nodes of a ring by the first eigenvectors of its Laplacian
        turns = [2 * math.pi * i / 30 for i in range(30)]
        ring.write_text("e0,e1,e2,f\n" + "".join(
            f"1,{math.sqrt(2) * math.cos(t)},{math.sqrt(2) * math.sin(t)},{1 + math.sin(t) + 0.01 * math.cos(9 * t)}\n" for t in turns))
        fit = ("gp", "fit", ring, "--target", "f", "--kernel", "eigenvectors(values=[0,1,1],density=matern32)", "-o", model)
        self.assertIn("eigenvectors.lengthscale", self.document(*fit)["parameters"])
        p = self.document("gp", "predict", model, ring)
        self.assertLess(max(abs(m - 1 - math.sin(t)) for m, t in zip(p["mean"], turns)), 0.05)
        _, hint = self.refused(2, *fit[:-4], "--kernel", "eigenvectors(values=[0,1,1],density=box)", says=["box"])
        self.assertIn("matern32", hint)
        grid = self.folder / "grid.csv"
        cells = [(0.3 * i, 0.2 * j) for i in range(9) for j in range(11)]
        draw = random.Random(4)
        grid.write_text("a,b,y\n" + "".join(f"{a},{b},{math.sin(a + 2 * b) + 0.1 * draw.gauss(0, 1)}\n" for a, b in cells))
        fit = ("gp", "fit", grid, "--target", "y", "--method")
        f = self.document(*fit, "toeplitz", "--kernel", "matern52(ard)", "--restarts", 1, "-o", model)
        self.assertIn("9 x 11 with equal steps", f["structure"])
        score = self.document("gp", "score", model)["scores"]
        self.assertLess(score["rmse"], 0.3)
        self.assertLess(self.document("gp", "score", model, grid)["scores"]["rmse"], score["rmse"])
        errors = self.document(*fit, "kron", "--kernel", "rbf", "--standard-errors")["parameters"]
        self.assertTrue(all(p["standard_error"] > 0 for p in errors.values()))

    def test_parameters_by_draws(self):
        model, page, again = (self.folder / n for n in ("drawn.cov", "drawn.html", "again.cov"))
        few = ("--inference", "nuts", "--chains", 2, "--warm-up", 60, "--draws", 40, "--mixed", 20, "--restarts", 1)
        how = ("gp", "fit", self.one, "--target", "y", "--method", "exact", "--kernel", "rbf+white", *few)
        fit = self.document(*how, "-o", model, "--plot", page)
        told = fit["posterior"]
        self.assertEqual((told["chains"], told["draws"], told["mixed"], told["priors"]), (2, 40, 20, "gamma"))
        for p in told["parameters"].values():
            self.assertLess(p["q05"], p["q95"])
            self.assertGreater(p["r_hat"], 0.9)
        self.assertIn("take longer chains", told["warning"])
        self.assertEqual(self.document(*how, "-o", again)["posterior"], told)
        self.assertNotEqual(self.document(*how, "--seed", 5)["posterior"], told)
        done = self.done("gp", "inspect", model)
        for word in ("R-hat", "bulk", "tail", "mean acceptance", "divergences", "warning", "mix 20 draws"):
            self.assertIn(word, done.stdout)
        self.assertEqual(self.document("gp", "inspect", model)["posterior"], told)
        self.assertIn("Posterior of the parameters", page.read_text())
        self.assertIn("posterior_draws", self.done("info", model).stdout)
        p = self.document("gp", "predict", model, self.one, "--columns", "x0", "--quantiles", ".05,.95")
        # Quantiles of the mixture lie about, but not at, those of a normal of its moments.
        apart = [abs(q - m - 1.6448536 * s) for q, m, s in zip(p["q0.95"], p["mean"], p["sd"])]
        self.assertGreater(max(apart), 1e-9)
        self.assertLess(max(apart), max(p["sd"]))
        f = self.document("gp", "predict", model, self.one, "--columns", "x0", "--no-with-noise")
        self.assertLess(f["sd"][0], p["sd"][0])
        for place in ((), (self.one,)):
            self.assertGreater(self.document("gp", "score", model, *place)["scores"]["coverage"]["95"], 0.7)
        a, b = (self.done("gp", "sample", model, self.one, "--columns", "x0", "-n", 3, "--seed", s).stdout for s in (1, 1))
        self.assertEqual(a, b)
        more = self.done("gp", "update", model, self.one, "-o", again)
        self.assertIn("draws of the parameters as they were", more.stdout)
        self.assertEqual(self.document("gp", "inspect", again)["posterior"], told)
        self.assertNotEqual(self.document("gp", "update", model, self.one, "--refit", "-o", again)["posterior"], told)
        plan, point = (self.document(*part, "--dry-run") for part in (how, how[:9]))
        self.assertGreater(plan["seconds"], point["seconds"])
        swept = self.document("gp", "fit", self.one, "--target", "y", "--method", "exact", "--kernel", "rbf+white", *few[:-2],
                              "--sweep", "chains=1,2", "-o", self.folder / "swept")
        self.assertEqual([row["posterior.chains"] for row in swept["rows"]], [1, 2])
        self.refused(2, *how[:6], "sgpr", *how[7:], says=["--inference", "sgpr"])
        self.refused(2, *how, "--standard-errors", says=["--standard-errors"])
        self.refused(2, *how, "--no-fit", says=["--inference"])
        self.refused(2, *how, "--priors", "none", says=["flat prior"])
        self.refused(2, *how, "--likelihood", "poisson", says=["gaussian likelihood"])
        self.refused(2, *how[:3], "--target", "x0,y", *few[:2], says=["one output"])
        self.refused(2, "gp", "fit", self.one, "--target", "y", "--chains", 2, says=["chains"])
        self.refused(2, "gp", "inspect", model, "--inference", "nuts", says=["the model has its own"])
        long = self.folder / "many-rows.csv"
        long.write_text("x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(15001)))
        self.refused(2, "gp", "fit", long, "--target", "y", *few[:2], says=["15001"])

    def test_draws_that_are_stopped_leave_the_likeliest_parameters(self):
        table = wave(self.folder / "drawn.csv", 2, rows=300)
        model = self.folder / "stopped-draws.cov"
        errors = self.stopped("/4000", "gp", "fit", table, "--target", "y", "--method", "exact", "--tty", "--restarts", "1",
                              "--inference", "nuts", "-o", model)
        self.assertIn("their draws did not come to an end", errors)
        kept = self.document("gp", "inspect", model)
        self.assertEqual((kept["fit"]["ending"], kept["posterior"]), ("stopped", None))
        self.assertIn("interrupted", kept["why"])

    def test_a_fit_that_is_stopped_keeps_its_parameters_so_far(self):
        table = wave(self.folder / "long.csv", 4, rows=2500)
        for output in (["-o", str(self.folder / "stopped.cov")], []):
            errors = self.stopped("objective", "gp", "fit", table, "--target", "y", "--method", "exact", "--tty", *output)
            self.assertIn("interrupted", errors)
            self.assertIn("did not converge" if output else "nothing was kept", errors)
        self.assertEqual(self.document("gp", "inspect", self.folder / "stopped.cov")["fit"]["ending"], "stopped")
        quiet = self.done("gp", "fit", self.one, "--target", "y", "--tty")
        self.assertNotIn("objective", quiet.stderr)

    def test_what_is_wrong_is_named(self):
        fit = ("gp", "fit", self.many, "--target", "y")
        self.refused(2, "gp", "fit", self.many, says=["which column"])
        self.refused(3, "gp", "fit", self.many, "--target", "z", says=["many.csv", "'z'"])
        self.refused(3, "gp", "predict", self.folder / "none.cov", self.new, says=["none.cov"])
        self.refused(2, *fit, "--method", "tucker", says=["tucker", "not in this version"])
        self.refused(3, *fit, "--likelihood", "softmax", says=["many.csv", "is no class"])
        self.refused(2, *fit, "--likelihood", "heteroscedastic", "--method", "exact", says=["heteroscedastic"])
        self.refused(2, *fit, "--likelihood", "heteroscedastic", "--noise", "x", says=["--noise"])
        self.refused(3, *fit, "--likelihood", "poisson", says=["many.csv", "no count"])
        self.refused(3, *fit, "--likelihood", "bernoulli", says=["many.csv", "no label", "row 0"])
        self.refused(2, *fit, "--likelihood", "student-t", "--method", "ep", says=["log-concave"])
        self.refused(2, *fit, "--likelihood", "student-t(nu=3)", says=["nu=3"])
        self.refused(2, *fit, "--likelihood", "poisson", "--method", "exact", says=["normal values"])
        self.refused(2, *fit, "--method", "state-space", says=["3 columns"])
        self.refused(2, *fit, "-o", self.folder / "m.txt", says=["m.txt"])
        _, hint = self.refused(2, *fit, "--kernel", "matern53", says=["matern53"])
        self.assertIn("matern52", hint)
        bad = self.folder / "bad.csv"
        bad.write_text("x,y\n1,2\ninf,3\n2,4\n")
        self.refused(3, "gp", "fit", bad, "--target", "y", says=["bad.csv", "row 1"])
        model = self.folder / "m.cov"
        self.done(*fit, "-o", model)
        self.refused(2, "gp", "predict", model, self.new, "--kernel", "rbf", says=["--kernel"])
        self.refused(3, "gp", "predict", model, self.one, says=["one.csv", "'x1'"])
        cut = self.folder / "cut.cov"
        cut.write_bytes(model.read_bytes()[:-50])
        self.refused(3, "gp", "inspect", cut, says=["cut.cov"])
        broken = self.folder / "broken.json"
        broken.write_text(json.dumps({"schema": "covary.process", "version": 1, "method": "exact"}))
        self.refused(3, "gp", "inspect", broken, says=["broken.json"])


class Optimisations(Case):
    """Black boxes: by a command, by asking and telling, stopped and resumed."""

    def setUp(self):
        super().setUp()
        self.space = self.folder / "space.json"
        self.space.write_text(json.dumps({
            "parameters": [{"name": "x", "bounds": [-2, 3]}, {"name": "n", "type": "integer", "bounds": [1, 6]},
                           {"name": "c", "values": ["a", "b c"]}],
            "objective": {"name": "loss"}}))
        self.sim = self.folder / "sim.py"
        self.sim.write_text("import sys, time\n"
                            "x, n, c = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]\n"
                            "time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 0)\n"
                            "print('working')\nprint((x - 1) ** 2 + (n - 4) ** 2 + (c == 'a'))\n")
        self.command = f"{sys.executable} {self.sim} {{x}} {{n}} {{c}}"

    def run_study(self, *more, space=None, command=None):
        return ("optimize", "run", space or self.space, "--command", command or self.command, *more)

    def test_a_command_is_optimised(self):
        page = self.folder / "p.html"
        d = self.document(*self.run_study("--budget", 20, "--batch", 2, "-o", self.out, "--plot", page))
        self.assertEqual((d["evaluations"], d["failed"], d["pending"]), (20, 0, []))
        self.assertEqual((d["best"]["row"]["n"], d["best"]["row"]["c"]), (4, "b c"))
        self.assertLess(d["best"]["values"]["loss"], 0.1)
        self.assertIn("best so far", page.read_text())
        lines = (self.out / "evaluations.csv").read_text().splitlines()
        self.assertEqual((lines[0], len(lines)), ("x,n,c,loss,best", 21))
        more = self.document(*self.run_study("--budget", 22, "-o", self.out, "--resume"))
        self.assertEqual((more["evaluations"], more["trace"][:20]), (22, d["trace"]))
        straight = self.document(*self.run_study("--budget", 20, "--batch", 2, "--threads", 1))
        self.assertEqual(straight["trace"], d["trace"])

    def test_asking_and_telling(self):
        study = self.folder / "study"
        study.mkdir()
        shutil.copy(self.space, study / "space.json")
        past = self.folder / "past.csv"
        past.write_text("x,n,c,loss\n0,1,a,11\n2.5,6,b c,6.25\n1,3,a,\n")
        told = self.document("optimize", "tell", study, past)
        self.assertEqual((told["evaluations"], told["failed"], told["best"]["values"]["loss"]), (3, 1, 6.25))
        for _ in range(8):
            asked = self.folder / "rows.csv"
            self.assertEqual(run("optimize", "ask", study, "-n", 2, "-o", asked).returncode, 0)
            head, *rows = asked.read_text().splitlines()
            self.assertEqual((head, len(rows)), ("x,n,c", 2))
            table = [row + f",{(float(row.split(',')[0]) - 1) ** 2 + (int(row.split(',')[1]) - 4) ** 2}" for row in rows]
            answers = self.folder / "answers.csv"
            answers.write_text("\n".join([head + ",loss", *table]) + "\n")
            told = self.document("optimize", "tell", study, answers)
            self.assertEqual(told["pending"], [])
        self.assertLess(told["best"]["values"]["loss"], 0.5)
        r = run("optimize", "tell", study, "-", input='{"x": 1, "n": 4, "c": "a", "loss": 0}\n')
        self.assertEqual((r.returncode, json.loads(r.stdout)["best"]), (0, 0))

    def test_several_objectives_have_a_front(self):
        page = self.folder / "p.html"
        d = self.document("optimize", "run", "--problem", "branin_currin", "--budget", 20, "--batch", 4, "--plot", page)
        self.assertEqual(d["reference"], [18, 6])
        self.assertGreater(len(d["front"]), 2)
        self.assertEqual(d["trace"], sorted(d["trace"]))
        self.assertIn("Hypervolume", page.read_text())

    def test_lines_through_pipes(self):
        r = subprocess.Popen([str(COVARY), "optimize", "run", str(self.space), "--command", "-", "--budget", "8"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8):
            row = json.loads(r.stdout.readline())
            r.stdin.write(f"{(row['x'] - 1) ** 2}\n")
            r.stdin.flush()
        self.assertEqual((r.communicate()[0], r.returncode), ("", 0))

    def test_stopped_and_resumed(self):
        slow = self.command + " 0.3"
        child = subprocess.Popen([str(COVARY), *map(str, self.run_study("--budget", 12, "-o", self.out, command=slow))],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.time() + 60
        table = self.out / "evaluations.csv"
        while time.time() < deadline and not (table.exists() and len(table.read_text().splitlines()) > 3):
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 130, said)
        self.assertIn("--resume", said)
        done = len(table.read_text().splitlines()) - 1
        self.assertLess(done, 12)
        d = self.document(*self.run_study("--budget", 12, "-o", self.out, "--resume"))
        self.assertEqual((d["evaluations"], d["failed"]), (12, 0))
        straight = self.document(*self.run_study("--budget", 12))
        self.assertEqual(straight["trace"], d["trace"])

    def test_failures_are_rows_without_values(self):
        flaky = f"test {{n}} -lt 5 && {self.command}"
        d = self.document(*self.run_study("--budget", 14, "-o", self.out, command=flaky))
        self.assertEqual(d["evaluations"], 14)
        self.assertGreater(d["failed"], 0)
        self.assertLess(d["best"]["row"]["n"], 5)

    def test_what_is_wrong_is_named(self):
        self.refused(2, "optimize", "run", self.space, says=["how a row is evaluated"])
        self.refused(2, "optimize", "run", says=["search space"])
        self.refused(2, *self.run_study(command="./sim {y}"), says=["{y}"])
        self.refused(2, *self.run_study("--acquisition", "logie"), says=["logie"])
        self.refused(2, *self.run_study("--problem", "branin"), says=["--problem"])
        _, hint = self.refused(2, "optimize", "run", "--problem", "brannin", says=["brannin"])
        self.assertIn("branin", hint)
        self.refused(3, *self.run_study(space=self.folder / "none.json"), says=["none.json"])
        bad = self.folder / "bad.json"
        for text, word in (("{", "bad.json"), ("{}", "parameters"), ('{"parameters": [{"name": "x", "bounds": [1, 0]}]}', "x"),
                           ('{"parameters": [{"name": "x", "bounds": [0, 1]}], "objectives": 3}', "objectives")):
            bad.write_text(text)
            self.refused(3, *self.run_study(space=bad, command="true"), says=["bad.json", word])
        self.refused(1, *self.run_study(command="false"), says=["10 evaluations failed"])
        full = self.folder / "full"
        full.mkdir()
        (full / "note").write_text("mine")
        self.refused(3, *self.run_study("-o", full), says=["not empty"])
        self.refused(3, "optimize", "ask", self.folder / "nowhere", says=["nowhere"])
        self.refused(3, "optimize", "ask", full, says=["space.json"])
        study = self.folder / "study"
        study.mkdir()
        shutil.copy(self.space, study / "space.json")
        table = self.folder / "t.csv"
        for text, words in (("x,n,loss\n1,2,3\n", ["'c'"]), ("x,n,c,loss\n9,2,a,3\n", ["t.csv", "row 1", "x"]),
                            ("x,n,c,loss\n1,2,d,3\n", ["t.csv", "d"]), ("x,n,c,loss\n1,2.5,a,3\n", ["n"])):
            table.write_text(text)
            self.refused(3, "optimize", "tell", study, table, says=words)
        (study / "optimizer.json").write_text('{"schema": "covary.optimizer", "version": 1}')
        self.refused(3, "optimize", "ask", study, says=["optimizer.json"])


class Documents(Case):
    def test_the_examples_of_statistics_run_as_they_stand(self):
        text = (pathlib.Path(__file__).parent.parent / "docs" / "statistics.md").read_text()
        lines = [line for line in text.splitlines() if line.startswith("covary ") and "./sim" not in line]
        self.assertGreater(len(lines), 15)
        for line in lines:
            r = run(*shlex.split(line)[1:], cwd=self.folder)
            self.assertEqual(r.returncode, 0, f"{line}\n{r.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("-k", default=None)
    options = parser.parse_args()
    COVARY, KILLS = options.build.resolve() / "covary", options.kills
    unittest.main(argv=[sys.argv[0], "-v"] + (["-k", options.k] if options.k else []))
