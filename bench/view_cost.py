#!/usr/bin/env python3
"""What `covary train --view` costs while a page takes everything that it is sent.

    bench/view_cost.py build [--steps 1500] [--pairs 4] [--remote] [--capture sample:studio,...] [--most 1.03]

On an otherwise idle machine. A few per cent are told from chance by long runs: some minutes each, eight pairs or more
(--steps 20000 --pairs 8).

Trains the same capture without and with --view, in turns (without, with, with, without ...), each from the start of the
program to its end. Beside --view a client listens to the events and, at each scene, takes its rows, its cameras and one
photo; with --remote it asks for a picture of 640x480 px after the other instead, as a page does that cannot draw. Prints,
of each pair, the CPU seconds of the training program (all threads, user and system, the client's left out) and the wall
clock, then the medians of their ratios, and their means with twice the standard error. Exit 1 when the scenes of the two
differ by a byte, when the client got no scene, or when --most is given and the mean ratio of CPU seconds with twice its
standard error is above it.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse


class Client(threading.Thread):
    """Takes all that a page would."""

    def __init__(self, address, remote):
        super().__init__(daemon=True)
        url = urllib.parse.urlsplit(address)
        self.host, self.port, self.remote = url.hostname, url.port, remote
        self.cookie = f"covary_token_{url.port}=" + urllib.parse.parse_qs(url.query)["token"][0]
        self.scenes = self.bytes = self.frames = 0

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = {"Cookie": self.cookie, "Origin": f"http://{self.host}:{self.port}"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse().read()
        self.bytes += len(answer)
        connection.close()
        return answer

    def draw(self, cameras):
        camera = dict(cameras["cameras"][0])
        scale = 640 / camera["width"]
        for field in ("width", "height"):
            camera[field] = round(camera[field] * scale)
        for field in ("fx", "fy", "cx", "cy"):
            camera[field] *= scale
        while True:
            self.ask("/api/frame", json.dumps({"camera": camera}))
            self.frames += 1

    def run(self):
        try:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
            connection.request("GET", "/api/events", headers={"Cookie": self.cookie})
            events, name = connection.getresponse(), b""
            while line := events.readline():
                if line.startswith(b"event: "):
                    name = line[7:].strip()
                if not line.startswith(b"data: ") or name != b"scene":
                    continue
                facts = json.loads(line[6:])
                if "error" in facts:
                    continue
                self.scenes += 1
                revision = f"revision={facts['revision']}"
                cameras = json.loads(self.ask("/api/cameras?" + revision))
                if self.remote and self.scenes == 1:
                    threading.Thread(target=self.guarded, args=(self.draw, cameras), daemon=True).start()
                if not self.remote:
                    self.ask("/api/splats?" + revision)
                    self.ask(f"/api/photo?{revision}&camera=0")
        except (OSError, http.client.HTTPException):
            pass  # the training is over

    @staticmethod
    def guarded(work, *arguments):
        try:
            work(*arguments)
        except (OSError, http.client.HTTPException):
            pass


def train(program, capture, steps, folder, view, remote):
    """CPU seconds, wall seconds, the client."""
    command = [str(program), "train", capture, "-o", str(folder), "--steps", str(steps)] + (["--view"] if view else [])
    client = None
    begin = time.monotonic()
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                             env={**os.environ, "GOMP_SPINCOUNT": "0"})
    for line in child.stderr:
        found = re.search(r"look at it: (\S+)", line)
        if found and client is None:
            client = Client(found.group(1), remote)
            client.start()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, wall, client


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--capture", default="sample:studio,views=24,width=480,height=360")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--remote", action="store_true")
    parser.add_argument("--most", type=float, help="the largest ratio of CPU seconds that is still right")
    o = parser.parse_args()
    cpu_ratios, wall_ratios = [], []
    with tempfile.TemporaryDirectory() as work:
        for pair in range(o.pairs):
            figures, scenes = {}, {}
            for view in (False, True) if pair % 2 == 0 else (True, False):
                folder = pathlib.Path(work) / f"{pair}-{view}"
                cpu, wall, client = train(o.build / "covary", o.capture, o.steps, folder, view, o.remote)
                figures[view] = (cpu, wall)
                scenes[view] = (folder / "scene.ply").read_bytes()
                if view:
                    if client is None or client.scenes == 0 or (o.remote and client.frames == 0):
                        sys.exit("nothing was sent to the client: the training was too short, or --view does not work")
                    taken = f"{client.scenes} scenes, {client.frames} pictures, {client.bytes / 1e6:.1f} MB"
            if scenes[False] != scenes[True]:
                sys.exit("the scene with --view is another")
            cpu_ratios.append(figures[True][0] / figures[False][0])
            wall_ratios.append(figures[True][1] / figures[False][1])
            print(f"pair {pair + 1}: CPU {figures[False][0]:.1f} s and {figures[True][0]:.1f} s with --view "
                  f"({100 * (cpu_ratios[-1] - 1):+.1f} %), wall {figures[False][1]:.1f} s and {figures[True][1]:.1f} s "
                  f"({100 * (wall_ratios[-1] - 1):+.1f} %); taken: {taken}", flush=True)
    most = {}
    for name, ratios in (("CPU", cpu_ratios), ("wall", wall_ratios)):
        error = 2 * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("inf")
        most[name] = statistics.mean(ratios) + error
        print(f"{name}: median {100 * (statistics.median(ratios) - 1):+.1f} %, "
              f"mean {100 * (statistics.mean(ratios) - 1):+.1f} +- {100 * error:.1f} %")
    if o.most is not None and most["CPU"] > o.most:
        sys.exit(1)


if __name__ == "__main__":
    main()
