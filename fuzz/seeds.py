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


# Two splats: places, log scales, rotations (w x y z), opacities and colours in bytes.
PLACES = ((0.5, -1, 2), (1, 0, -0.25))
BYTES = bytes((200, 100, 50, 230))


def compressed_ply():
    bounds = "min_%s max_%s min_scale_%s max_scale_%s min_%s max_%s".split()
    names = [b % a for b, axes in zip(bounds, ("xyz",) * 4 + ("rgb",) * 2) for a in axes]
    head = "ply\nformat binary_little_endian 1.0\nelement chunk 1\n"
    head += "".join("property float %s\n" % n for n in names) + "element vertex 2\n"
    head += "".join("property uint packed_%s\n" % n for n in ("position", "rotation", "scale", "color"))
    sh = "element sh 2\n" + "".join("property uchar f_rest_%d\n" % i for i in range(9))
    rows = struct.pack("<18f", *(3 * [-1] + 3 * [1] + 3 * [-5] + 3 * [-2] + 3 * [0] + 3 * [1]))
    rows += struct.pack("<8I", *(2 * [0x12345678, 0xC0000000, 0x7FFFFFFF, 0x80808080]))
    yield "plain", head.encode() + b"end_header\n" + rows
    yield "harmonics", (head + sh).encode() + b"end_header\n" + rows + bytes(range(18))


def splat():
    yield "two", b"".join(struct.pack("<6f", *p, 0.1, 0.2, 0.3) + BYTES + bytes((255, 128, 100, 128)) for p in PLACES)


def ksplat():
    def file(level, row, full, partial):
        head = struct.pack("<BBxxIIIIHxx3f2f", 0, 1, 1, 1, 2, 2, level, 0, 0, 0, -1, 1).ljust(4096, b"\0")
        buckets = full + len(partial)
        section = struct.pack("<IIIIfHxxIIIIH", 2, 2, 2, buckets, 5, 12, 32767, 0, full, len(partial), 1)
        body = struct.pack("<%dI" % len(partial), *partial) + struct.pack("<%df" % (3 * buckets), *(3 * buckets * [1]))
        return head + section.ljust(1024, b"\0") + body + 2 * row
    yield "floats", file(0, struct.pack("<10f", 1, 2, 3, 1, 1, 1, 1, 0, 0, 0) + BYTES + bytes(36), 0, ())
    yield "halves", file(1, struct.pack("<3H7e", 9, 99, 999, 1, 1, 1, 1, 0, 0, 0) + BYTES + bytes(18), 1, ())
    yield "bytes", file(2, struct.pack("<3H7e", 9, 99, 999, 1, 1, 1, 1, 0, 0, 0) + BYTES + bytes(9), 0, (1, 1))


def zstd_stored(data):
    """A frame of one block that is not packed."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + struct.pack("<I", 1 | len(data) << 3)[:3] + data


def spz():
    def streams(version, sh):
        place = struct.pack("<3e", 1, 2, 3) if version == 1 else b"\0\x10\0\0\xf0\xff\0\0\1"
        turn = bytes((128, 130, 140)) if version < 3 else struct.pack("<I", 0xC0300C03)
        return [2 * part for part in (place, b"\xe6", b"\x55\x80\xaa", b"\x7b\x70\x60", turn, bytes(range(sh)))]
    for version in (1, 2, 3):
        plain = struct.pack("<IIIBBBB", 0x5053474E, version, 2, 1, 12, 1, 0) + b"".join(streams(version, 9))
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield "v%d" % version, packer.compress(plain) + packer.flush()
        yield "v%d_plain" % version, plain
    parts = streams(4, 9)
    packed = [zstd_stored(p) for p in parts]
    head = struct.pack("<IIIBBBBI", 0x5053474E, 4, 2, 1, 12, 0, 6, 32).ljust(32, b"\0")
    toc = b"".join(struct.pack("<QQ", len(a), len(b)) for a, b in zip(packed, parts))
    yield "v4", head + toc + b"".join(packed)


def webp_of_one_colour(width, height, rgba):
    """Lossless WebP whose five prefix codes have one symbol each, so that pixels take no bits."""
    bits, count = 0, 0
    def put(value, n):
        nonlocal bits, count
        bits |= value << count
        count += n
    put(0x2F, 8), put(width - 1, 14), put(height - 1, 14), put(1, 1), put(0, 3)
    put(0, 1), put(0, 1), put(0, 1)  # no transform, no cache of colours, one group of codes
    for symbol in (rgba[1], rgba[0], rgba[2], rgba[3]):
        put(1, 1), put(0, 1), put(1, 1), put(symbol, 8)
    put(1, 1), put(0, 1), put(0, 1), put(0, 1)
    body = bits.to_bytes((count + 7) // 8, "little")
    body += b"\0" * (len(body) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def sog():
    book = [0.25 * i for i in range(4)]
    v2 = {"version": 2, "count": 5, "antialias": True,
          "means": {"mins": [-1, -1, -1], "maxs": [1, 1, 1], "files": ["a", "b"]},
          "scales": {"codebook": book, "files": ["a"]}, "quats": {"files": ["a"]},
          "sh0": {"codebook": book, "files": ["b"]}}
    v2sh = dict(v2, shN={"count": 2, "bands": 1, "codebook": book, "files": ["a", "b"]})
    v1 = {"means": {"shape": [5, 3], "mins": [-1, -1, -1], "maxs": [1, 1, 1], "files": ["a", "b"]},
          "scales": {"mins": [-5, -5, -5], "maxs": [0, 0, 0], "files": ["a"]}, "quats": {"files": ["a"]},
          "sh0": {"mins": [-1, -1, -1, -4], "maxs": [1, 1, 1, 4], "files": ["b"]},
          "shN": {"mins": -1, "maxs": 1, "files": ["a", "b"]}}
    picture = webp_of_one_colour(192, 4, (1, 0, 3, 253))
    for name, meta in (("v2", v2), ("v2_harmonics", v2sh), ("v1", v1)):
        text = json.dumps(meta, separators=(",", ":")).encode()
        yield name, struct.pack("<H", len(text)) + text + picture
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(zipfile.ZipInfo("meta.json"), json.dumps(v2sh))
        for name in ("a", "b"):
            z.writestr(zipfile.ZipInfo(name), picture)
    yield "archive", out.getvalue()


def gltf():
    ext = "KHR_gaussian_splatting"
    binary, views, accessors, attributes = b"", [], [], {}
    def add(name, kind, values):
        nonlocal binary
        data = struct.pack("<%df" % len(values), *values)
        attributes[name] = len(views)
        accessors.append({"bufferView": len(views), "componentType": 5126, "count": 2, "type": kind})
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        binary += data
    add("POSITION", "VEC3", PLACES[0] + PLACES[1])
    add(ext + ":ROTATION", "VEC4", 2 * (0, 0, 0, 1))
    add(ext + ":SCALE", "VEC3", 6 * (0.1,))
    add(ext + ":OPACITY", "SCALAR", 2 * (0.9,))
    for l in range(2):
        for m in range(2 * l + 1):
            add(ext + ":SH_DEGREE_%d_COEF_%d" % (l, m), "VEC3", 6 * (0.3,))
    add("_label", "SCALAR", (1, 2))
    document = {"asset": {"version": "2.0"}, "extensionsUsed": [ext], "scene": 0, "scenes": [{"nodes": [0]}],
                "nodes": [{"mesh": 0, "rotation": [0, 0, 0.6, 0.8], "scale": [1, 2, 1], "translation": [1, 2, 3]}],
                "meshes": [{"primitives": [{"mode": 0, "attributes": attributes,
                                            "extensions": {ext: {"kernel": "ellipse"}}}]}],
                "bufferViews": views, "accessors": accessors, "buffers": [{"byteLength": len(binary)}]}
    def glb(doc, data):
        text = json.dumps(doc, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
        return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
    yield "glb", glb(document, binary)
    packed = dict(spz())["v3"]
    inner = {ext: {"extensions": {ext + "_compression_spz_2": {"bufferView": 0}}}}
    document = dict(document, accessors=[], bufferViews=[{"buffer": 0, "byteLength": len(packed)}],
                    buffers=[{"byteLength": len(packed)}],
                    meshes=[{"primitives": [{"mode": 0, "attributes": {}, "extensions": inner}]}])
    yield "spz_inside", glb(document, packed)


def scene_csv():
    names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()
    yield "plain", (",".join(names) + "\n" + ",".join(14 * ["0.5"]) + "\n").encode()
    names += ["f_rest_%d" % i for i in range(9)] + ["label"]
    yield "harmonics", (",".join(names) + "\n" + 2 * (",".join(24 * ["1e-1"]) + "\n")).encode()


def scene_npz():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, width in (("means", (2, 3)), ("quats", (2, 4)), ("scales", (2, 3)), ("opacities", (2,)),
                            ("sh0", (2, 1, 3)), ("shN", (2, 3, 3)), ("column/label", (2,))):
            n = 1
            for w in width:
                n *= w
            z.writestr(zipfile.ZipInfo(name + ".npy"), npy(n * [0.5], width, "<f4", "f"))
        z.writestr(zipfile.ZipInfo("model.json"), '{"schema": "covary-cloud/1", "flat": true}')
    yield "scene", out.getvalue()


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
    for make in (compressed_ply, splat, ksplat, spz, sog, gltf, scene_csv, scene_npz):
        yield make.__name__, dict(make())
    yield "splat_expression", {
        "filter": b"\x02opacity > 0.1 && max(scale) < 0.5", "parts": b"\x01-(scale[0] - y) ^ 2 % 3 >= 1 or not isnan(x)",
        "calls": b"\x00max(a, b, 1e-3) / length(c) + sigmoid(pi) != inf"}
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
        if name in ("models_json", "metashape", "reality_capture", "mvsnet", "gltf", "sog", "compressed_ply"):
            words = sorted({w for d in files.values() for w in re.findall(rb"[A-Za-z_][A-Za-z_0-9/-]+", d)})
            lines = b"".join(b'"%s"\n' % w for w in words)
            (folder.parent / (name + ".dict")).write_bytes(lines)


main()
