#!/usr/bin/env python3
"""Writes tests/vectors/pairs/vectors.json: numbers as num2words spells them, and pictures as Pillow blurs them.

    pip install num2words pillow        (made with num2words 0.5.14, pillow 13.0.0)
    tests/peers/make_pair_vectors.py

`numbers`: [words, digits], of every size up to 10^12, with and without the "and" and the commas of British English.
`blurs`: for small pictures of random pixels, rows as hexadecimal RGB, what three box filters of a radius leave of them.
"""
import json
import pathlib
import random

from num2words import num2words
from PIL import Image, ImageFilter

OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "pairs" / "vectors.json"
SIZES = ((24, 16), (16, 24), (40, 33), (20, 21))


def numbers(rng):
    chosen = list(range(0, 131)) + [10 ** n for n in range(2, 12)] + [10 ** n + 1 for n in range(2, 12)]
    chosen += [rng.randrange(10 ** rng.randint(2, 12)) for _ in range(120)]
    for number in chosen:
        words = num2words(number)
        yield [words, str(number)]
        if words != words.replace(" and ", " ").replace(",", ""):
            yield [words.replace(" and ", " ").replace(",", ""), str(number)]


def blurs(rng):
    for width, height in SIZES:
        for radius in range(1, min(width, height) // 8 + 1):
            pixels = bytes(rng.randrange(256) for _ in range(width * height * 3))
            image = blurred = Image.frombytes("RGB", (width, height), pixels)
            for _ in range(3):
                blurred = blurred.filter(ImageFilter.BoxBlur(radius))
            yield {"width": width, "height": height, "radius": radius, "pixels": image.tobytes().hex(), "blurred": blurred.tobytes().hex()}


def main():
    rng = random.Random(5)
    OUT.parent.mkdir(exist_ok=True)
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump({"numbers": list(numbers(rng)), "blurs": list(blurs(rng))}, file, indent=0)
        file.write("\n")


main()
