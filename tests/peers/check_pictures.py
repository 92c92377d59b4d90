#!/usr/bin/env python3
"""From image files to tiles: vjrun against both image processors of transformers.

  make tests/peers/tile-images      # in the build tree
  check_pictures.py BUILDDIR [--pictures N]

Random PNG files: colour, gray, with and without alpha, palettes, one bit; tiny, large, thin; 1 to 4 tiles. Aspect ratio
ids and the number of tiles must be equal, and every pixel within one level of 255:
- MllamaImageProcessorPil with Pillow's resize made of its passes across, then down: equal to the bit;
- MllamaImageProcessorPil as it is (Pillow 13 chooses the order of the passes);
- MllamaImageProcessor, the default, which resizes by torchvision.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

import make_preprocess_vectors
from make_preprocess_vectors import CLIP, resize_across_then_down

MODES = ["RGB", "RGB", "L", "LA", "RGBA", "P", "P+", "1"]


def size_of(rng, side):
    shape = rng.choice(["any", "any", "tiny", "thin", "flat", "large"])
    if shape == "thin":
        return rng.randrange(1, 4), rng.randrange(50, 2000)
    if shape == "flat":
        return rng.randrange(50, 2000), rng.randrange(1, 4)
    least, most = {"any": (1, 5 * side), "tiny": (1, 5), "large": (500, 2500)}[shape]
    return rng.randrange(least, most), rng.randrange(least, most)


def picture(rng, mode, side):
    width, height = size_of(rng, side)
    noise = np.random.default_rng(rng.randrange(1 << 30))
    smooth = np.add.outer(np.linspace(0, 200, height), np.linspace(0, 55, width)).astype(np.uint8)
    planes = [noise.integers(0, 256, (height, width), dtype=np.uint8) if rng.random() < .5 else np.roll(smooth, 7 * c)
              for c in range(4)]
    image = Image.fromarray(np.stack(planes, axis=-1), "RGBA")
    if mode in ("RGBA", "LA"):
        return image.convert(mode)
    opaque = image.convert("RGB")
    if mode in ("P", "P+"):
        opaque = opaque.quantize(64)
        if mode == "P+":
            opaque.info["transparency"] = 3
        return opaque
    return opaque.convert(mode)


def levels(tiles, config):
    """Back from normalised values to levels of 255."""
    mean, std = np.array(config["image_mean"])[:, None, None], np.array(config["image_std"])[:, None, None]
    return (tiles * std + mean) * 255


def compare(processor, image, ours, ratio, config):
    """The largest difference in levels."""
    seen = processor(images=[[image]], return_tensors="np")
    n, mask = int(seen["num_tiles"][0][0]), np.asarray(seen["aspect_ratio_mask"])[0, 0]
    assert n == len(ours) and int(seen["aspect_ratio_ids"][0, 0]) == ratio, (image.size, n, len(ours), ratio)
    assert mask[:n].all() and not mask[n:].any(), mask
    theirs = np.asarray(seen["pixel_values"])[0, 0, :n].astype(np.float64)
    return float(np.abs(levels(theirs, config) - levels(ours.astype(np.float64), config)).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--pictures", type=int, default=400)
    args = parser.parse_args()
    rng, worst, one_resize = random.Random(11), {}, Image.Image.resize
    processors = [("Pil, across then down", MllamaImageProcessorPil, resize_across_then_down),
                  ("Pil", MllamaImageProcessorPil, one_resize), ("default", MllamaImageProcessor, one_resize)]
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        for round in range(8):
            side, tiles = rng.choice([24, 56, 112]), 1 + round % 4
            config = dict(size={"height": side, "width": side}, max_image_tiles=tiles, **CLIP)
            (where / "config.json").write_text(json.dumps(config))
            kinds = [MODES[i % len(MODES)] for i in range(args.pictures // 8)]
            files = [where / f"{i}.png" for i in range(len(kinds))]
            for file, kind in zip(files, kinds):
                picture(rng, kind, side).save(file)
            subprocess.run([args.build / "tests/peers/tile-images", where / "config.json", where / "tiles", *files],
                           check=True)
            ours = load_file(where / "tiles")
            for i, (file, kind) in enumerate(zip(files, kinds)):
                image = Image.open(file)
                image.load()
                for name, processor, resize in processors:
                    Image.Image.resize = resize
                    far = compare(processor(**config), image, ours[str(i)], int(ours[f"{i}.id"][0]), config)
                    key = (name, "alpha" if kind in ("LA", "RGBA", "P+") else "opaque")
                    count, most = worst.get(key, (0, 0.0))
                    worst[key] = (count + 1, max(most, far))
    for (name, kind), (count, most) in sorted(worst.items()):
        print(f"{name}, {kind}: {count} pictures, largest difference {most:.3g} levels of 255")
    exact = all(most < 1e-3 for (name, _), (_, most) in worst.items() if name == "Pil, across then down")
    return not exact or max(most for _, most in worst.values()) > 1.001


if __name__ == "__main__":
    make_preprocess_vectors.one_resize = Image.Image.resize
    sys.exit(main())
