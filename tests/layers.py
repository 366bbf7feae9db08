#!/usr/bin/env python3
"""Checks every include below src/ and studies/ against the order of rooms that ARCHITECTURE.md states.

    tests/layers.py [ROOT]        prints each breach as FILE:LINE: REASON and exits 1 if there is one
    tests/layers.py --self-test   plants one breach of each kind in a small tree and expects it to be found

Rules:
  * a file includes only its own room and the rooms above it in the list; wings never include each other;
  * every room that the list names exists, and every folder that exists is named;
  * base, geometry, data, options files, kernel files of compute and eval, and the launcher see no torch, not through
    any header of ours either; options files include only base and other options files;
  * an included header of ours exists.
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
ROOM = re.compile(r"^\d+\.\s+`([a-z_/]+)`", re.M)
TORCH = re.compile(r"^(ATen|torch|c10)/")
TORCH_FREE_ROOMS = {"core/base", "core/numeric", "core/geometry", "core/data"}
KERNEL = re.compile(r"^core/(compute|eval)/(.*/)?(reference|simd|[a-z_0-9]*_kernel)(_test)?\.(cc|h)$")
WINGS = {"splat", "stat"}


def room_of(path):
    """The room of a path relative to src/covary."""
    parts = path.split("/")
    return "cli" if parts[0] == "cli" else "/".join(parts[:2])


def must_be_torch_free(path):
    if room_of(path) in TORCH_FREE_ROOMS or KERNEL.match(path):
        return True
    if re.search(r"_options\.(h|cc)$", path):
        return True
    return path.startswith("cli/") and not path.startswith("cli/verbs/")


def includes_of(file):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def breaches(root):
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    order = ROOM.findall(text)
    if len(order) < 3:
        return ["ARCHITECTURE.md: no numbered list of rooms"]
    source = root / "src" / "covary"
    files = sorted(p for p in source.rglob("*") if p.suffix in {".h", ".cc", ".inc"})
    found = []

    rooms_there = {room_of(p.relative_to(source).as_posix()) for p in files}
    found += [f"ARCHITECTURE.md: room {r} has no files" for r in order if r not in rooms_there]
    found += [f"src/covary/{r}: a room that ARCHITECTURE.md does not list" for r in sorted(rooms_there) if r not in order]

    ours = {}   # path relative to src/ -> headers of ours that it includes
    direct = {}  # ... -> a torch header that it includes itself
    for file in files + sorted((root / "studies").rglob("*.cc")):
        in_source = file.is_relative_to(source)
        path = file.relative_to(source).as_posix() if in_source else ""
        key = file.relative_to(root / "src").as_posix() if in_source else file.relative_to(root).as_posix()
        ours[key] = []
        for number, target in includes_of(file):
            where = f"{file.relative_to(root).as_posix()}:{number}"
            if TORCH.match(target):
                direct[key] = target
            if not target.startswith("covary/"):
                continue
            if not (root / "src" / target).exists():
                found.append(f"{where}: {target} does not exist")
                continue
            ours[key].append(target)
            other = target[len("covary/"):]
            theirs = room_of(other)
            if not in_source:
                if theirs == "cli":
                    found.append(f"{where}: a study includes the command line")
                continue
            mine = room_of(path)
            if mine not in order or theirs not in order:
                continue
            if re.search(r"_options\.(h|cc)$", path) and theirs != "core/base" and not re.search(r"_options\.h$", other):
                found.append(f"{where}: an options file may include base and options only, not {target}")
            if {mine.split("/")[0], theirs.split("/")[0]} == WINGS:
                found.append(f"{where}: {mine} includes the other wing ({theirs})")
            elif order.index(theirs) > order.index(mine):
                found.append(f"{where}: {mine} may not include {theirs}, which stands below it")

    def torch_path(key, seen):
        """The chain of headers from key to torch, or None."""
        if key in direct:
            return [key, direct[key]]
        for target in ours.get(key, []):
            if target not in seen:
                seen.add(target)
                chain = torch_path(target, seen)
                if chain:
                    return [key] + chain
        return None

    for key in sorted(ours):
        if key.startswith("covary/") and must_be_torch_free(key[len("covary/"):]):
            chain = torch_path(key, set())
            if chain:
                found.append(f"src/{key}: sees torch by " + " -> ".join(chain[1:]))
    return found


def self_test():
    sound = {
        "ARCHITECTURE.md": "1. `core/base`: x\n2. `core/data`: x\n3. `core/eval`: x\n4. `splat/scene`: x\n"
                           "5. `stat/process`: x\n6. `cli`: x\n",
        "src/covary/core/base/a.h": "#include <vector>\n",
        "src/covary/core/data/d.h": '#include "covary/core/base/a.h"\n',
        "src/covary/core/eval/e.h": "#include <ATen/ATen.h>\n",
        "src/covary/splat/scene/s.h": '#include "covary/core/eval/e.h"\n',
        "src/covary/splat/scene/s_options.h": '#include "covary/core/base/a.h"\n',
        "src/covary/stat/process/p.h": '#include "covary/core/data/d.h"\n',
        "src/covary/cli/main.cc": '#include "covary/splat/scene/s_options.h"\n',
        "src/covary/cli/verbs/v.cc": '#include "covary/splat/scene/s.h"\n',
        "studies/x.cc": '#include "covary/splat/scene/s.h"\n',
    }
    planted = {
        "may not include": {"src/covary/core/base/a.h": '#include "covary/core/data/d.h"\n'},
        "other wing": {"src/covary/stat/process/p.h": '#include "covary/splat/scene/s_options.h"\n'},
        "has no files": {"ARCHITECTURE.md": sound["ARCHITECTURE.md"] + "7. `splat/ghost`: x\n"},
        "does not list": {"src/covary/splat/extra/x.h": "\n"},
        "does not exist": {"src/covary/core/data/d.h": '#include "covary/core/base/gone.h"\n'},
        "options only": {"src/covary/splat/scene/s_options.h": '#include "covary/splat/scene/s.h"\n'},
        "core/data/d.h: sees torch": {"src/covary/core/data/d.h": "#include <torch/types.h>\n"},
        "core/eval/k_kernel.cc: sees torch": {"src/covary/core/eval/k_kernel.cc": '#include "covary/core/eval/e.h"\n'},
        "cli/main.cc: sees torch": {"src/covary/cli/main.cc": '#include "covary/splat/scene/s.h"\n'},
        "command line": {"studies/x.cc": '#include "covary/cli/verbs/v.cc"\n'},
    }
    for reason, change in [("", {})] + list(planted.items()):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**sound, **change}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            found = breaches(root)
        if (reason == "") != (not found) or not (reason == "" or any(reason in f for f in found)):
            print(f"self-test: expected '{reason or 'nothing'}', found {found}")
            return 1
    print(f"self-test: {len(planted)} planted breaches found")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    found = breaches(root)
    for line in found:
        print(line)
    if not found:
        print("the rooms keep their order")
    return 1 if found else 0


sys.exit(main())
