#!/usr/bin/env python3
"""bench/compare on small files of known figures: ratios, noise, what is missing, what is no run."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

COMPARE = pathlib.Path(__file__).resolve().parent.parent / "bench" / "compare"


def stage(name, ms, spread=0.1):
    return {"stage": name, "label": name, "wall_ms": 2 * ms, "wall_spread_ms": 2 * spread, "cpu_ms": ms,
            "cpu_spread_ms": spread}


def run_of(scenes, threads=1, fma=1e9):
    return {"schema": "covary-train-step/1", "threads": threads, "machine": {"cpu": "one"},
            "ceilings": {"fma_per_s": fma},
            "scenes": [{"scene": name, "pairs": 7, "stages": stages} for name, stages in scenes.items()]}


class Compare(unittest.TestCase):
    def compare(self, a, b, *extra):
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name, document in (("a.json", a), ("b.json", b)):
                file = pathlib.Path(folder) / name
                file.write_text(document if isinstance(document, str) else json.dumps(document))
                files.append(str(file))
            return subprocess.run([sys.executable, str(COMPARE), *files, *extra], capture_output=True, text=True)

    def line(self, done, start):
        found = [line for line in done.stdout.splitlines() if line.startswith(start + " ")]
        self.assertEqual(len(found), 1, done.stdout + done.stderr)
        return found[0].split()

    def test_the_ratio_is_b_over_a_and_only_what_is_beyond_noise_is_marked(self):
        a = run_of({"fox": [stage("sort", 10), stage("loss", 10), stage("adam", 10), stage("bin", 10, 1)]})
        b = run_of({"fox": [stage("sort", 5), stage("loss", 12), stage("adam", 10.1), stage("bin", 11.9, 1)]})
        done = self.compare(a, b)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.line(done, "sort"), ["sort", "10.000", "5.000", "0.500", "faster"])
        self.assertEqual(self.line(done, "loss"), ["loss", "10.000", "12.000", "1.200", "slower"])
        self.assertEqual(self.line(done, "adam"), ["adam", "10.000", "10.100", "1.010"])
        self.assertEqual(self.line(done, "bin"), ["bin", "10.000", "11.900", "1.190"], "within both spreads")

    def test_the_clock_can_be_chosen(self):
        a, b = run_of({"fox": [stage("sort", 10)]}), run_of({"fox": [stage("sort", 5)]})
        self.assertEqual(self.line(self.compare(a, b, "--clock", "wall"), "sort")[1:3], ["20.000", "10.000"])

    def test_a_stage_of_no_time_has_no_ratio(self):
        a, b = run_of({"fox": [stage("target", 0, 0)]}), run_of({"fox": [stage("target", 0, 0)]})
        self.assertEqual(self.line(self.compare(a, b), "target")[3], "-")

    def test_what_one_run_lacks_is_named(self):
        a = run_of({"fox": [stage("sort", 1), stage("old", 1)], "garden": []})
        b = run_of({"fox": [stage("sort", 1), stage("new", 1)], "sample": []})
        text = self.compare(a, b).stdout
        for start, file in (("old ", "a.json"), ("new ", "b.json"), ("garden:", "a.json"), ("sample:", "b.json")):
            line = [x for x in text.splitlines() if x.startswith(start)]
            self.assertEqual(len(line), 1, text)
            self.assertIn("only in", line[0])
            self.assertTrue(line[0].endswith(file), line[0])

    def test_other_threads_ceilings_and_work_are_said(self):
        a, b = run_of({"fox": []}), run_of({"fox": []}, threads=2, fma=2e9)
        b["scenes"][0]["pairs"] = 8
        text = self.compare(a, b).stdout
        self.assertIn("threads differ: 1 and 2", text)
        self.assertIn("ceiling fma_per_s: B / A 2.00", text)
        self.assertIn("pairs differ: 7 and 8", text)
        self.assertNotIn("note", self.compare(a, a).stdout)

    def test_other_files_are_refused(self):
        good = run_of({"fox": []})
        for bad in ("{", "[]", '{"schema": "another/1"}'):
            done = self.compare(good, bad)
            self.assertEqual(done.returncode, 2)
            self.assertIn("b.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
