#!/usr/bin/env python3
"""Holds what tests/tools/make-full-size.py writes to transformers: the same configuration, and the same 906 keys and
shapes as its model of that configuration has (made without memory, on the meta device).

  check_full_size.py
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch
from transformers import MllamaConfig, MllamaForConditionalGeneration

from make_mllama_vectors import published

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "tools" / "make-full-size.py"


def shapes_of(where):
    found = {}
    for name in set(json.loads((where / "model.safetensors.index.json").read_text())["weight_map"].values()):
        with open(where / name, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        found |= {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
    return found


def main():
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        subprocess.run([sys.executable, SCRIPT, where], check=True)
        config, found = MllamaConfig.from_pretrained(where), shapes_of(where)
    with torch.device("meta"):
        model = MllamaForConditionalGeneration(config)
    wanted = {published(name): tuple(p.shape) for name, p in model.named_parameters()}
    usual = MllamaConfig(image_token_index=128256)
    values, defaults = config.text_config.to_dict(), usual.text_config.to_dict()
    different = [key for key, value in values.items() if value != defaults.get(key)]
    elements = sum(p.numel() for p in model.parameters())
    print(f"{len(wanted)} weights of {elements} elements: {'equal' if wanted == found else 'DIFFERENT'}")
    print(f"text_config beside the defaults: {sorted(different)}")
    return wanted != found


if __name__ == "__main__":
    sys.exit(main())
