#!/usr/bin/env python3
"""Writes tests/vectors/sample/vectors.json: what transformers' logits processors leave of given logits.

    pip install torch transformers
    tests/peers/make_sample_vectors.py

The processors run in the order of GenerationMixin: repetition penalty, temperature, top_k, top_p, min_p. For each case
the vector holds the options, the tokens so far, the logits times 64, and the probability of every token that is left. Numbers are chosen so
that no cut falls within rounding of a token's share: a case where it does is drawn anew.
"""
import json
import pathlib
import random

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

CASES = 40
OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "sample" / "vectors.json"


def left(options, past, logits, dtype):
    ids = torch.tensor([past], dtype=torch.long)
    scores = torch.tensor([logits], dtype=dtype)
    if options["repetition_penalty"] != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(options["repetition_penalty"])(ids, scores)
    scores = TemperatureLogitsWarper(options["temperature"])(ids, scores)
    if options["top_k"] > 0:
        scores = TopKLogitsWarper(options["top_k"])(ids, scores)
    if options["top_p"] < 1.0:
        scores = TopPLogitsWarper(options["top_p"])(ids, scores)
    if options["min_p"] > 0.0:
        scores = MinPLogitsWarper(options["min_p"])(ids, scores)
    return torch.softmax(scores, dim=-1)[0]


def draw_case(rng):
    n = rng.choice([5, 20, 60, 600])
    # Multiples of 1/64 that are all different: exact in every format, and no ties for top_k to break.
    values = rng.sample(range(-9 * 64, 9 * 64), n)
    options = {
        "temperature": rng.choice([0.3, 0.6, 1.0, 1.7, 5.0]),
        "top_k": rng.choice([0, 0, 1, 3, 20, 1000]),
        "top_p": rng.choice([1.0, 1.0, 0.05, 0.5, 0.9, 0.99]),
        "min_p": rng.choice([0.0, 0.0, 0.01, 0.2, 1.0]),
        "repetition_penalty": rng.choice([1.0, 1.0, 0.7, 1.1, 2.0]),
    }
    past = [rng.randrange(n) for _ in range(rng.choice([1, 4, 30]))]
    return options, past, values


def main():
    rng = random.Random(20260101)
    cases = []
    while len(cases) < CASES:
        options, past, values = draw_case(rng)
        logits = [v / 64 for v in values]
        single = left(options, past, logits, torch.float32)
        double = left(options, past, logits, torch.float64)
        if not torch.equal(single > 0, double > 0):
            continue
        kept = {str(i): float(f"{p:.8g}") for i, p in enumerate(double.tolist()) if p > 0}
        cases.append({"options": options, "past": past, "logits64": values, "kept": kept})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
