#!/usr/bin/env python3
"""Writes a seed corpus of small good files for each fuzzer of the readers, CORPUS/NAME/*, and for text a
dictionary of the words in them, CORPUS/NAME.dict.

    fuzz/seeds.py CORPUS        needs Python alone

A few hundred bytes a file: fuzzers find little in large ones.
"""
import io
import json
import pathlib
import re
import struct
import sys
import zipfile
import zlib

# The pose of a camera at (1, 2, 3) that looks along +x: OpenCV axes and OpenGL axes, world from camera.
OPENCV = [[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]]
OPENGL = [[0, 0, -1, 1], [-1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
# Camera from world in OpenCV axes.
WORLD_TO_CAMERA = [[0, -1, 0, 2], [0, 0, -1, 3], [1, 0, 0, -1], [0, 0, 0, 1]]


def npy(values, shape, code="<f8", fmt="d"):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (code, tuple(shape))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
            + struct.pack("<%d%s" % (len(values), fmt), *values))


def npz(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        z.writestr(zipfile.ZipInfo("a.npy"), npy([1, 2, 3, 4], (2, 2)), compress_type=method)
        z.writestr(zipfile.ZipInfo("model.json"), '{"schema": "x", "version": 1}', compress_type=method)
    return out.getvalue()


def png(width, height, depth, kind, pixels):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    row = len(pixels) // height
    raw = b"".join(b"\0" + pixels[y * row:(y + 1) * row] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def colmap():
    camera = struct.pack("<QIiQQ4d", 1, 1, 1, 64, 48, 60, 60, 32, 24)
    image = struct.pack("<QI7dI", 1, 1, 1, 0, 0, 0, 1, 2, 3, 1) + b"a.png\0" + struct.pack("<Q2dq", 1, 3.5, 4.5, 7)
    point = struct.pack("<QQ3d3Bd", 1, 7, 1, 2, 3, 9, 8, 7, 0.5) + struct.pack("<QII", 1, 1, 0)
    yield "cameras_bin", b"\0" + camera
    yield "cameras_txt", b"\1" + b"# c\n1 OPENCV 64 48 60 60 32 24 -0.1 0.02 0 0\n"
    yield "cameras_full_txt", b"\1" + b"1 FULL_OPENCV 64 48 60 60 32 24 -0.1 0.02 0 0 0 0.1 0 0\n"
    yield "images_bin", b"\2" + image
    yield "images_txt", b"\3" + b"1 1 0 0 0 1 2 3 1 a.png\n3.5 4.5 7 1 2 -1\n"
    yield "points_bin", b"\4" + point
    yield "points_txt", b"\5" + b"7 1 2 3 9 8 7 0.5 1 0\n"


def transforms():
    return {"w": 64, "h": 48, "fl_x": 60, "k1": -0.1, "k3": 0.01, "depth_unit_scale_factor": 0.001,
            "applied_transform": OPENGL[:3],
            "frames": [{"file_path": "images/a.png", "transform_matrix": OPENGL, "depth_file_path": "images/b.png"},
                       {"file_path": "./images/b", "transform_matrix": OPENGL, "camera_angle_x": 0.7}]}


def json_models():
    pose = [r + [v] for r, v in zip(OPENGL[:3], (48, 64, 60))]
    shot = {"rotation": [0.1, 0.2, 0.3], "translation": [1, 2, 3], "camera": "c"}
    lens = {"projection_type": "brown", "width": 64, "height": 48, "focal_x": 0.9, "focal_y": 0.9, "c_x": 0, "c_y": 0,
            "k1": -0.1, "k2": 0, "k3": 0.01, "p1": 0, "p2": 0}
    pinhole = {"value0": {"width": 64, "height": 48}, "focal_length": 60, "principal_point": [32, 24],
               "disto_k3": [0.1, 0, 0]}
    mvg = {"sfm_data_version": "0.3", "root_path": "/x",
           "intrinsics": [{"key": 0, "value": {"polymorphic_id": 2147483649, "polymorphic_name": "pinhole_radial_k3",
                                               "ptr_wrapper": {"id": 1, "data": pinhole}}}],
           "views": [{"key": i, "value": {"polymorphic_id": 1073741824, "ptr_wrapper": {"id": 2, "data": {
               "local_path": "", "filename": n, "id_intrinsic": 0, "id_pose": i}}}} for i, n in enumerate(("a.png", "b"))],
           "extrinsics": [{"key": i, "value": {"rotation": [r[:3] for r in WORLD_TO_CAMERA[:3]], "center": [1, 2, 3]}}
                          for i in range(2)],
           "structure": [{"key": 0, "value": {"X": [1, 2, 3]}}]}
    yield "transforms", 0, transforms()
    yield "precomputed", 1, {"poses": [pose, pose], "bds": [[1, 2], [1, 2]], "i_test": [1]}
    yield "opensfm", 2, [{"cameras": {"c": lens}, "shots": {"a.png": shot, "b.png": shot},
                          "points": {"1": {"coordinates": [1, 2, 3], "color": [1, 2, 3]}}}]
    yield "openmvg", 3, mvg
    yield "record3d", 4, {"w": 64, "h": 48, "K": [60, 0, 0, 0, 60, 0, 32, 24, 1],
                          "poses": [[0, 0, 0, 1, 1, 2, 3]] * 2, "perFrameIntrinsicCoeffs": [[60, 60, 32, 24]] * 2}
    yield "arrays", 5, {"schema": "covary-camera-arrays/1", "photos": "images/*.png", "convention": "opencv",
                        "direction": "world_to_camera", "poses": "p.npy", "fx": 60, "masks": "m/*.png"}
    yield "arrays_lists", 5, {"schema": "covary-camera-arrays/1", "photos": ["images/a.png"], "convention": "opengl",
                              "direction": "camera_to_world", "rotations": "r.npy", "translations": "t.npy",
                              "fov_x": 49.1, "points": "p.ply"}
    yield "run", 6, {"schema": "covary-cameras/1", "scene_from_capture": OPENCV, "extent": 1, "background": [0, 0, 0],
                     "cameras": [{"name": "a.png", "split": "test", "projection": "fisheye", "width": 64, "height": 48,
                                  "fx": 60, "fy": 60, "cx": 32, "cy": 24, "cam_from_world": WORLD_TO_CAMERA}]}
    polycam = {"t_%d%d" % (r, c): OPENGL[r][c] for r in range(3) for c in range(4)}
    polycam.update({"fx": 60, "fy": 60, "cx": 32, "cy": 24, "width": 64, "height": 48})
    yield "polycam", 7, polycam


METASHAPE = """<?xml version="1.0"?><document version="2.0.0"><chunk label="c"><sensors><sensor id="0" type="frame">
<calibration type="frame" class="adjusted"><resolution width="64" height="48"/><f>60</f><cx>1</cx><b1>0.1</b1>
<k1>-0.1</k1><k3>0.01</k3><p1>0.001</p1></calibration></sensor></sensors><components><component id="0"><transform>
<rotation>1 0 0 0 1 0 0 0 1</rotation><translation>1 2 3</translation><scale>2</scale></transform></component>
</components><cameras><camera id="0" sensor_id="0" component_id="0" label="a"><transform>%s</transform></camera>
<group id="0"><camera id="1" sensor_id="0" component_id="0" label="b"/></group></cameras></chunk></document>
"""

REALITY = """#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2
a.png,1,2,3,90,90,0,33.75,0.01,-0.02,-0.1,0.02,0,0,0,0
"b c.jpg",1,2,3,-90.5,1e1,0,33.75,0,0,0,0,0,0,0.001,0
"""


def llff():
    row = []
    down_right_back = [[0, 0, -1, 1], [0, -1, 0, 2], [-1, 0, 0, 3]]
    for r, v in zip(down_right_back, (48, 64, 60)):
        row += r + [v]
    return npy(2 * (row + [1, 9]), (2, 17))


def ply():
    names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()
    head = "element vertex 2\n" + "".join("property float %s\n" % n for n in names) + "end_header\n"
    values = [0.5] * 2 * len(names)
    yield "splat", ("ply\nformat binary_little_endian 1.0\n" + head).encode() + struct.pack("<%df" % len(values), *values)
    yield "ascii", ("ply\nformat ascii 1.0\n" + head + 2 * (" ".join("0.5" for _ in names) + "\n")).encode()


def text_of(rows):
    return " ".join(str(v) for r in rows for v in r)


def corpora():
    yield "colmap", dict(colmap())
    yield "cameras", {"transforms": json.dumps(transforms()).encode()}
    yield "models_json", {n: bytes([k]) + json.dumps(d).encode() for n, k, d in json_models()}
    yield "metashape", {"cameras": (METASHAPE % text_of(OPENCV)).encode()}
    yield "reality_capture", {"cameras": REALITY.encode(), "semicolons": REALITY.replace(",", ";").encode()}
    cam = "extrinsic\n%s\n\nintrinsic\n%s\n\n425 2.5\n"
    yield "mvsnet", {
        "own": (cam % (text_of(WORLD_TO_CAMERA), "600 0 320 0 600 240 0 0 1")).encode(),
        "half": (cam % (text_of(WORLD_TO_CAMERA), "300 0 160 0 300 120 0 0 1")).encode()}
    yield "llff", {"poses": llff(), "depth": npy([1, 0, 2, 3], (2, 2), "<f4", "f")}
    yield "archive", {"stored": npz(zipfile.ZIP_STORED), "deflated": npz(zipfile.ZIP_DEFLATED),
                      "npy": npy([1, 2, 3], (3,), ">f4", "f")}
    yield "ply", dict(ply())
    yield "image", {"rgb": png(3, 2, 8, 2, bytes(range(18))), "grey16": png(2, 2, 16, 0, bytes(range(8)))}
    yield "table", {"csv": b"a,b\n1,2\n3,x\n", "arff": b"@relation r\n@attribute a numeric\n@data\n1\n?\n",
                    "npy": npy([1, 2, 3, 4], (2, 2)), "npz": npz(zipfile.ZIP_DEFLATED)}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, files in corpora():
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        if name in ("models_json", "metashape", "reality_capture", "mvsnet"):
            words = sorted({w for d in files.values() for w in re.findall(rb"[A-Za-z_][A-Za-z_0-9/-]+", d)})
            lines = b"".join(b'"%s"\n' % w for w in words)
            (folder.parent / (name + ".dict")).write_bytes(lines)


main()
