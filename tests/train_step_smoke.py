#!/usr/bin/env python3
"""The benchmark of a training step on the built-in sample: tests/train_step_smoke.py build/covary_train_step

Every stage of a step is there once, their times add up to the whole, counts are those of one view, scenes without data are
skipped with a line, a name that is no scene is refused. No bound on any time.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

STAGES = {"step/target", "step/activate", "step/render/project", "step/render/sh", "step/render/bin", "step/render/sort",
          "step/render/composite", "step/render", "step/loss", "step/backward/loss", "step/backward/composite",
          "step/backward/sh", "step/backward/project", "step/backward/activate", "step/backward", "step/adam",
          "step/strategy", "step", "whole step"}


def expect(ok, what):
    if not ok:
        sys.exit(f"train_step_smoke: {what}")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "run.json"
        done = subprocess.run([program, "--scenes", "sample,fox", "--repeats", "1", "--gain", "--ceilings", "0.05", "--data-root", folder,
                               "--json", str(file)], capture_output=True, text=True)
        expect(done.returncode == 0, done.stderr)
        expect("fox: skipped, no fox under the data root" in done.stdout, done.stdout)
        run = json.loads(file.read_text())
        refused = subprocess.run([program, "--scenes", "fix", "--json", str(file)], capture_output=True, text=True)
        expect(refused.returncode == 2 and "fix" in refused.stderr, refused.stderr)
    expect([s["scene"] for s in run["scenes"]] == ["sample"], "one scene")
    expect([s["scene"] for s in run["skipped"]] == ["fox"], "one scene skipped")
    expect(all(run["ceilings"][k] > 0 for k in ("fma_per_s", "exp_per_s", "copy_bytes_per_s")), "ceilings")
    scene = run["scenes"][0]
    stages = {s["stage"]: s for s in scene["stages"]}
    expect(set(stages) == STAGES and len(scene["stages"]) == len(STAGES), f"stages: {sorted(set(stages) ^ STAGES)}")
    whole = stages.pop("whole step")
    for clock in ("wall_ms", "cpu_ms"):
        total = sum(s[clock] for s in stages.values())
        expect(abs(total - whole[clock]) < 1e-6 * whole[clock] + 1e-9, f"{clock}: stages {total}, whole {whole[clock]}")
    expect(0 < scene["visible"] <= scene["gaussians"], "visible")
    expect(scene["width"] == 320 and scene["height"] == 240, "size")
    expect(scene["pairs"] == stages["step/render/bin"]["items"], "counted pairs are not those of the timed step")
    expect(stages["step/backward/sh"]["items"] == scene["visible"], "visible of the timed step")
    expect(stages["step/loss"]["items"] == 3 * 320 * 240, "items of the loss")
    expect(stages["step/render/composite"]["exp"] == scene["blends"] > 0, "blends")
    gain = scene["gain"]
    expect(gain["fma_loop"] > 0 and {s["stage"] for s in gain["stages"]} == STAGES, "gain of two threads by stage")
    expect(all(abs(s["gain"] * s["two_ms"] - s["one_ms"]) <= 1e-9 * s["one_ms"] for s in gain["stages"]), "gain is one over two")
    expect(0 < scene["busy"]["share"] <= 1 and scene["busy"]["threads"] == 16, "replayed schedule")


if __name__ == "__main__":
    main()
