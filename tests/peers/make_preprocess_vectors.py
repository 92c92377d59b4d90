#!/usr/bin/env python3
"""Makes tests/vectors/preprocess/vectors.json: what transformers' MllamaImageProcessorPil
makes of images that both sides draw by the same formula.

Pillow up to 12 always resizes across first, then down. Pillow 13 goes down first where
that is cheaper, which moves some levels by one. vjrun keeps the older order, with which
the model family was trained, so here each resize is made of the two passes in that order.

  make_preprocess_vectors.py FILE
Needs: transformers (with MllamaImageProcessorPil), pillow, numpy.
"""
import hashlib
import json
import pathlib
import sys

import numpy as np
from PIL import Image
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

CLIP = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])
CONFIGS = [
    *(dict(size={"height": 24, "width": 24}, max_image_tiles=n, **CLIP) for n in (1, 2, 3, 4)),
    dict(size={"height": 16, "width": 16}, max_image_tiles=4, **CLIP),
    dict(size={"height": 56, "width": 56}, max_image_tiles=1, image_mean=[0.5] * 3, image_std=[0.5] * 3),
    dict(size={"height": 24, "width": 24}, max_image_tiles=6, do_normalize=False),
    dict(size={"height": 8, "width": 8}, max_image_tiles=12, do_rescale=False, image_mean=[120.0, 110.0, 100.0], image_std=[60.0, 70.0, 80.0]),
    dict(size={"height": 10, "width": 10}, max_image_tiles=4, rescale_factor=0.01, **CLIP),
    dict(size={"height": 560, "width": 560}, max_image_tiles=4, **CLIP),
]
SIZES = [(1, 1), (16, 16), (8, 24), (5, 3), (33, 17), (17, 33), (64, 64), (100, 9), (9, 100), (200, 150), (31, 97), (300, 1), (1, 300), (56, 56), (57, 55), (640, 480)]
MANY = [(w, h) for w in (1, 2, 15, 24, 25, 47, 72, 73, 96, 97, 301) for h in (1, 3, 23, 24, 48, 49, 71, 95, 96, 144, 997)] + [(4001, 3), (2, 6000), (1999, 1501)]
LARGE = [(640, 480), (1120, 1120), (50, 700), (1300, 400), (333, 500)]


def draw(width, height, kind):
    y, x, c = np.meshgrid(np.arange(height, dtype=np.uint64), np.arange(width, dtype=np.uint64), np.arange(3, dtype=np.uint64), indexing="ij")
    if kind == "noise":
        v = (x * 374761393 + y * 668265263 + c * 2246822519) & 0xffffffff
        v ^= v >> 13
        v = (v * 1274126177) & 0xffffffff
        return (v >> 24).astype(np.uint8)
    return ((x * (c + 1) * 255 // width + y * 128 // height) & 255).astype(np.uint8)


def resize_across_then_down(self, size, resample=None, **kwargs):
    across = one_resize(self, (size[0], self.height), resample, **kwargs)
    return one_resize(across, size, resample, **kwargs)


one_resize = Image.Image.resize


def main():
    Image.Image.resize = resize_across_then_down
    out = []
    for config in CONFIGS:
        processor = MllamaImageProcessorPil(**config)
        cases = []
        sizes = LARGE if config["size"]["height"] == 560 else MANY if config["size"]["height"] == 24 and config["max_image_tiles"] <= 4 else SIZES
        for i, (width, height) in enumerate(sizes):
            kind = "noise" if i % 3 else "ramp"
            result = processor(images=[[Image.fromarray(draw(width, height, kind), "RGB")]], return_tensors="np")
            n = int(result["num_tiles"][0][0])
            tiles = np.ascontiguousarray(result["pixel_values"][0, 0, :n], dtype="<f4")
            mask = result["aspect_ratio_mask"][0, 0]
            assert mask[:n].all() and not mask[n:].any() and not result["pixel_values"][0, 0, n:].any()
            flat = tiles.reshape(-1)
            cases.append({"width": width, "height": height, "kind": kind, "n_tiles": n, "aspect_ratio_id": int(result["aspect_ratio_ids"][0, 0]),
                          "first": [float(v) for v in flat[:4]], "sha256": hashlib.sha256(tiles.tobytes()).hexdigest()})
        out.append({"config": config, "cases": cases})
    path = pathlib.Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
