#!/usr/bin/env python3
"""The bench measures every row, counts work as the weights have it, and says why when it cannot. No time is judged.
Prints TAP."""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "pipeline")]
import bench_cases  # noqa: E402
import bench_rows  # noqa: E402
import bench_work  # noqa: E402
from harness import Tap  # noqa: E402


def run(*arguments, **environment):
    return subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), *arguments], capture_output=True, text=True,
                          check=False, env=dict(os.environ, **environment))


def sound(found):
    numbers = [*found["seconds"], *found["cpu"], found["work"], found["peak_kib"]]
    return len(found["seconds"]) == 1 and all(math.isfinite(number) and number > 0 for number in numbers)


def test_rows(tap, top):
    report = os.path.join(top, "bench.json")
    result = run("--quick", "--models", os.path.join(top, "models"), "--json", report)
    if not tap.check(result.returncode == 0, "bench.py --quick ends well", result.stdout + result.stderr):
        return
    with open(report, encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    tap.check([found["row"] for found in rows] == list(bench_rows.ROWS), "every row is there", rows)
    for found in rows:
        tap.check(sound(found), f"{found['row']}: time, work and memory are numbers above 0", found)
        tap.check(f"\n{found['row']} " in result.stdout, f"{found['row']}: a line of the table", result.stdout)
    limits = rows[0]["limits"][0]
    tap.check(limits["read"] > 0 and limits["read_cpu"] > 0, "the machine's reading is probed", limits)
    known = {"read"} | {name for name in ("bf16", "f32") if name in limits}
    measured = {name for found in rows for name in found["ratios"]}
    tap.check(known <= measured, "rows are set against every limit that could be probed", measured)


def products(folder):
    """{key: elements} of the matrices in model.safetensors."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {key: math.prod(entry["shape"]) for key, entry in header.items() if len(entry["shape"]) > 1}


def make_tiny(folder):
    return bench_cases.make_model(folder, "tiny", bench_rows.TINY, bench_rows.program("bench-weights"))


def test_work(tap, top):
    folder = make_tiny(os.path.join(top, "models"))
    shape, weights = bench_work.Shape(folder), products(folder)
    text = sum(n for key, n in weights.items() if key.startswith("language_model.") and "embed_tokens" not in key)
    states = sum(n for key, n in weights.items() if "cross_attn.k_proj" in key or "cross_attn.v_proj" in key)
    read = bench_work.decode_bytes(shape, 0, 0)
    tap.check(read == 2 * (text - states), "a token reads the matrices it passes through", (read, 2 * (text - states)))
    attention = 4 * shape.hidden * (shape.n_self + shape.n_cross)
    flops = bench_work.text_flops(shape, 1, 1, 1, 1)
    tap.check(flops == 2 * text + attention, "a token with one image state is two operations per weight",
              (flops, 2 * text + attention))
    last = [n for key, n in weights.items() if f"language_model.model.layers.{shape.n_self + shape.n_cross - 1}." in key]
    kv = 2 * shape.hidden * shape.kv
    layers, head = text - states - weights["language_model.lm_head.weight"], weights["language_model.lm_head.weight"]
    # Of four tokens, one of which is asked for logits, three are only keys and values in the last layer.
    expected = 2 * (4 * layers - 3 * (sum(last) - kv) + states + head)
    expected += 4 * shape.hidden * ((shape.n_self - 1) * 10 + 4 + shape.n_cross * 4)
    flops = bench_work.text_flops(shape, 4, 4, 1, 1)
    tap.check(flops == expected, "a token without logits ends at the last layer's keys and values", (flops, expected))
    expected = flops - 3 * (2 * (2 * shape.hidden ** 2 + 3 * shape.hidden * shape.ffn) + 4 * shape.hidden)
    shape.n_late = 1
    flops = bench_work.text_flops(shape, 4, 4, 1, 1)
    tap.check(flops == expected, "and does not meet cross-attention after that", (flops, expected))
    layers = sum(n for key, n in weights.items() if "transformer.layers." in key)
    projector, patch = weights["multi_modal_projector.weight"], weights["vision_model.patch_embedding.weight"]
    rows, flops = shape.tile_states, bench_work.vision_flops(shape, 1)
    attention = 4 * shape.vision_layers * shape.width * rows ** 2
    expected = 2 * (rows * (layers + projector) + (rows - 1) * patch) + attention
    tap.check(flops == expected, "so is a row of the picture", (flops, expected))
    again = make_tiny(os.path.join(top, "again"))
    same = [open(os.path.join(where, "model.safetensors"), "rb").read() for where in (folder, again)]
    tap.check(same[0] == same[1], "a random model is the same each time")


def test_faults(tap, top):
    tap.check(run("--rows", "sprint").returncode == 2, "an unknown row is a wrong command line")
    result = run("--quick", "--rows", "judge", "--models", os.path.join(top, "models"), "--ours", "--compute nothing")
    tap.check(result.returncode == 1 and "compute: 'nothing': not found" in result.stderr,
              "a program that fails is shown with its reason", result.stdout + result.stderr)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="vjrun-test-") as top:
        test_rows(tap, top)
        test_work(tap, top)
        test_faults(tap, top)
    tap.done()


main()
