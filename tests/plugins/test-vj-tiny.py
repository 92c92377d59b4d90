#!/usr/bin/env python3
"""models/vj-tiny hangs together: its tokenizer is what vj-tiny-tokenizer.py makes, its sizes agree, it is small."""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.environ.get("VJ_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(TOP, "models", "vj-tiny")


def load(name):
    with open(os.path.join(MODEL, name), encoding="utf-8") as file:
        return json.load(file)


def tokenizer_is_fresh():
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "tokenizer.json")
        subprocess.run([sys.executable, os.path.join(TOP, "tests", "tools", "vj-tiny-tokenizer.py"), made], check=True)
        with open(made, "rb") as a, open(os.path.join(MODEL, "tokenizer.json"), "rb") as b:
            return a.read() == b.read()


def ids_agree():
    config, tokenizer = load("config.json"), load("tokenizer.json")
    control = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    size = len(tokenizer["model"]["vocab"]) + len(control) - 1
    text = config["text_config"]
    return (text["vocab_size"] == size == config["image_token_index"] == control["<|image|>"]
            and text["bos_token_id"] == control["<|begin_of_text|>"] and control["<|eot_id|>"] in text["eos_token_id"]
            and load("generation_config.json")["eos_token_id"] == text["eos_token_id"]
            and text["pad_token_id"] == control["<|finetune_right_pad_id|>"])


def sizes_agree():
    vision, image = load("config.json")["vision_config"], load("preprocessor_config.json")
    return (image["size"]["height"] == image["size"]["width"] == vision["image_size"]
            and image["max_image_tiles"] == vision["max_num_tiles"]
            and vision["vision_output_dim"] == vision["hidden_size"] * (1 + len(vision["intermediate_layers_indices"])))


def is_small():
    return sum(os.path.getsize(os.path.join(MODEL, name)) for name in os.listdir(MODEL)) <= 8 << 20


TESTS = [("tokenizer.json is what vj-tiny-tokenizer.py writes", tokenizer_is_fresh),
         ("token ids of config, generation and tokenizer agree", ids_agree),
         ("picture sizes agree", sizes_agree), ("the model is at most 8 MiB", is_small)]

print(f"1..{len(TESTS)}")
bad = 0
for number, (name, test) in enumerate(TESTS, 1):
    good = test()
    bad += not good
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
sys.exit(bad > 0)
