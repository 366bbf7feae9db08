"""One stage of structure from motion by pycolmap, as a child of `covary capture`.

    python pycolmap_worker.py JOB.json

The job names its stage and the files; see the functions below. Each line on stdout is a JSON object: {"done": 3,
"total": 50} as work proceeds, {"result": ...} once at the end, or {"error": "..."}. What pycolmap itself says goes to
stderr. A stage begun again goes on where it was: features and matches stay in the database.
"""
import json
import os
import sys

import numpy as np
import pycolmap

CHUNK_PHOTOS = 4    # extracted between two reports
CHUNK_PAIRS = 40    # matched between two reports
LEAST_INLIERS = 15  # of a pair of photos that counts as matched, as in COLMAP's mapper
WELL_MATCHED = 100  # inliers of a pair that the poses must fit (or the median, where that is less)


def say(**fields):
    print(json.dumps(fields), flush=True)


def names_of(database):
    return {image.image_id: image.name for image in database.read_all_images()}


def verified_pairs(database):
    """(image id, image id, inlier matches) of the pairs whose geometry was verified."""
    for pair, count in zip(*database.read_two_view_geometry_num_inliers()):
        a, b = pair if isinstance(pair, tuple) else pycolmap.pair_id_to_image_pair(pair)
        if count >= LEAST_INLIERS:
            yield a, b, int(count)


def extract(job):
    """job: database, images (folder), names, camera_mode (SINGLE, PER_FOLDER, PER_IMAGE), camera_model, camera_params,
    masks (folder or ""), max_size (px), max_features, threads. Photos that cannot be read are no error here."""
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = job["camera_model"]
    reader.camera_params = job["camera_params"]
    if job["masks"]:
        reader.mask_path = job["masks"]
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job["threads"]
    options.max_image_size = job["max_size"]
    options.sift.max_num_features = job["max_features"]
    names = job["names"]
    single = job["camera_mode"] == "SINGLE"
    for begin in range(0, len(names), CHUNK_PHOTOS):
        say(done=begin, total=len(names))
        if single:  # else each chunk, and a run that goes on, would have a camera of its own
            with pycolmap.Database.open(job["database"]) as database:
                cameras = database.read_all_cameras()
            if cameras:
                reader.existing_camera_id = cameras[0].camera_id
        pycolmap.extract_features(job["database"], job["images"], image_names=names[begin:begin + CHUNK_PHOTOS],
                                  camera_mode=getattr(pycolmap.CameraMode, job["camera_mode"]), reader_options=reader,
                                  extraction_options=options, device=pycolmap.Device.cpu)
    with pycolmap.Database.open(job["database"]) as database:
        counts = {name: database.num_keypoints_for_image(i) for i, name in names_of(database).items()}
    return {"features": counts}


def similar(job):
    """job: database, neighbours. Pairs of photos that look alike: the nearest by vectors of locally aggregated
    descriptors. Source: Jegou et al. 2010 (VLAD), Arandjelovic and Zisserman 2012 (RootSIFT)."""
    random = np.random.default_rng(0)
    with pycolmap.Database.open(job["database"]) as database:
        names = names_of(database)
        descriptors = {}
        for i in sorted(names):
            found = database.read_descriptors(i)
            rows = np.asarray(getattr(found, "data", found))
            d = np.frombuffer(rows.tobytes(), np.uint8).reshape(-1, 128).astype(np.float32)
            d = np.sqrt(d / np.maximum(d.sum(1, keepdims=True), 1e-9))
            descriptors[i] = d[random.permutation(len(d))[:1500]]
    ids = [i for i in sorted(names) if len(descriptors[i])]
    if len(ids) < 2:
        return {"pairs": []}
    sample = np.concatenate([descriptors[i][:200] for i in ids])
    centres = sample[random.permutation(len(sample))[:64]].copy()
    for _ in range(8):
        nearest = (sample @ centres.T - 0.5 * (centres ** 2).sum(1)).argmax(1)
        for k in range(len(centres)):
            if (nearest == k).any():
                centres[k] = sample[nearest == k].mean(0)
    vectors = np.zeros((len(ids), centres.size), np.float32)
    for row, i in enumerate(ids):
        say(done=row, total=len(ids))
        d = descriptors[i]
        nearest = (d @ centres.T - 0.5 * (centres ** 2).sum(1)).argmax(1)
        v = np.zeros_like(centres)
        for k in range(len(centres)):
            if (nearest == k).any():
                v[k] = (d[nearest == k] - centres[k]).sum(0)
        v /= np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9)
        vectors[row] = v.ravel() / max(np.linalg.norm(v), 1e-9)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    pairs = set()
    for row in range(len(ids)):
        for other in np.argsort(-likeness[row], kind="stable")[:job["neighbours"]]:
            if other != row:
                pairs.add((min(row, int(other)), max(row, int(other))))
    return {"pairs": [[names[ids[a]], names[ids[b]]] for a, b in sorted(pairs)]}


def match(job):
    """job: database, pairs [[name, name], ...], threads. Pairs matched before cost nothing."""
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    options.num_threads = job["threads"]
    pairing = pycolmap.ImportedPairingOptions()
    path = job["database"] + ".pairs.txt"
    pairs = job["pairs"]
    for begin in range(0, len(pairs), CHUNK_PAIRS):
        say(done=begin, total=len(pairs))
        with open(path, "w") as out:
            out.writelines(f"{a} {b}\n" for a, b in pairs[begin:begin + CHUNK_PAIRS])
        pairing.match_list_path = path
        pycolmap.match_image_pairs(job["database"], matching_options=options, pairing_options=pairing,
                                   device=pycolmap.Device.cpu)
    if os.path.exists(path):
        os.remove(path)
    with pycolmap.Database.open(job["database"]) as database:
        names = names_of(database)
        matched = [[names[a], names[b], count] for a, b, count in verified_pairs(database)]
    return {"matched": matched}


def map_photos(job):
    """job: database, images, output (folder), method (incremental, global), total, threads, seed."""
    os.makedirs(job["output"], exist_ok=True)
    if job["method"] == "global":
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = job["threads"]
        options.random_seed = job["seed"]
        models = pycolmap.global_mapping(job["database"], job["images"], job["output"], options)
    else:
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = job["threads"]
        options.random_seed = job["seed"]
        seen = [2]

        def one_more():
            seen[0] += 1
            say(done=min(seen[0], job["total"]), total=job["total"])

        models = pycolmap.incremental_mapping(job["database"], job["images"], job["output"], options,
                                              next_image_callback=one_more)
    found = []
    for index, model in sorted(models.items()):
        folder = os.path.join(job["output"], str(index))
        os.makedirs(folder, exist_ok=True)
        model.write(folder)
        found.append({"folder": folder, "images": model.num_reg_images(), "points": model.num_points3D(),
                      "reprojection_px": float(model.compute_mean_reprojection_error()),
                      "support": support(job["database"], model)})
    return {"models": found}


def support(path, model):
    """How many of the well matched pairs, measured before any mapping, the model's poses agree with: of each pair of
    registered photos the share of verified matches within 4 px of the model's epipolar lines (Sampson distance), a pair
    agreeing when it is over a half. A model that is folded, or has two places for one, loses those that span its fault.
    Pairs with few matches are left out: even of a right model a fifth of them disagree, being chance or repetition."""
    agree = pairs = 0
    doubtful = []
    by_name = {image.name: image for image in model.images.values() if image.has_pose}
    with pycolmap.Database.open(path) as database:
        names = names_of(database)
        keypoints = {}

        def rays(image_id):
            if image_id not in keypoints:
                image = by_name[names[image_id]]
                camera = model.cameras[image.camera_id]
                found = database.read_keypoints(image_id)
                points = np.asarray(found)[:, :2].astype(np.float64)
                keypoints[image_id] = (camera.cam_from_img(points), camera.mean_focal_length())
            return keypoints[image_id]

        matched = list(verified_pairs(database))
        least = min(WELL_MATCHED, np.median([count for _, _, count in matched])) if matched else 0
        for a, b, count in matched:
            if count < least or names[a] not in by_name or names[b] not in by_name:
                continue
            geometry = database.read_two_view_geometry(a, b)
            matches = np.asarray(geometry.inlier_matches)
            (xa, fa), (xb, fb) = rays(a), rays(b)
            xa, xb = xa[matches[:, 0]], xb[matches[:, 1]]
            relative = by_name[names[b]].cam_from_world() * by_name[names[a]].cam_from_world().inverse()
            r, t = relative.rotation.matrix(), np.asarray(relative.translation)
            cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
            essential = cross @ r
            ha = np.column_stack([xa, np.ones(len(xa))])
            hb = np.column_stack([xb, np.ones(len(xb))])
            la, lb = ha @ essential.T, hb @ essential
            top = np.abs((hb * la).sum(1))
            distance = top / np.sqrt(np.maximum(la[:, 0] ** 2 + la[:, 1] ** 2 + lb[:, 0] ** 2 + lb[:, 1] ** 2, 1e-300))
            share = float((distance * 0.5 * (fa + fb) < 4).mean())
            pairs += 1
            if share > 0.5:
                agree += 1
            else:
                doubtful.append([names[a], names[b], share])
    doubtful.sort(key=lambda d: d[2])
    return {"pairs": pairs, "agree": agree, "doubtful": doubtful[:20]}


def write(job):
    """job: model, output (folders), scale, rotation (3 x 3), translation: the model in another frame, as .bin files."""
    model = pycolmap.Reconstruction(job["model"])
    rotation = pycolmap.Rotation3d(np.array(job["rotation"], dtype=np.float64))
    model.transform(pycolmap.Sim3d(job["scale"], rotation, np.array(job["translation"], dtype=np.float64)))
    os.makedirs(job["output"], exist_ok=True)
    model.write_binary(job["output"])
    return {"images": model.num_reg_images()}


STAGES = {"extract": extract, "similar": similar, "match": match, "map": map_photos, "write": write}


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        say(result=STAGES[job["stage"]](job))
    except Exception as error:  # told in one line; the rest stands in the log
        say(error=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
