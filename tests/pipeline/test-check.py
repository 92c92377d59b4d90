#!/usr/bin/env python3
"""`vjrun check` refuses what would surely be refused, or be of no use, hours later: with the place and a remedy. It does no
work. Each case is recipes/quickstart.yaml with one contradiction. Prints TAP."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

RECIPE = os.path.join(harness.SOURCE, "recipes", "quickstart.yaml")
TRAIN, CLOSED = "iteration.train", "iteration.closed_form"

# what, settings, place, words
CASES = [
    ("an adapter without a rank", [f"{TRAIN}.save=adapter"], TRAIN, "set lora_rank, or save: merged"),
    ("everything frozen", [f"{TRAIN}.freeze=[vision, cross, text]"], TRAIN, "leave a part free"),
    ("LoRA in parts that are all frozen", [f"{TRAIN}.lora_rank=4", f"{TRAIN}.lora_parts=[vision]"], TRAIN, "'lora_parts': no part"),
    ("LoRA on layers that the parts have not", [f"{TRAIN}.lora_rank=4", f"{TRAIN}.lora_targets=[fc1]"], TRAIN, "'lora_targets': none"),
    ("both-orders of one order", ["iteration.judge.orders=one"], "iteration.filters.2", "orders: both, or leave the filter out"),
    ("more right samples than there are", ["iteration.judge.samples=4", "iteration.filters.2.at_least=5"], "iteration.filters.2", "the judge gives 4"),
    ("a majority of equal draws", [f"{CLOSED}.sample.temperature=0"], f"{CLOSED}.sample", "all draws would be alike"),
    ("a generator of pairs that are reused", ["repeat.pairs=reuse", "repeat.generator=judge"], "repeat.generator", "set pairs: fresh"),
    ("a gate that can never refuse", ["repeat.gate.count=5"], "repeat.gate.count", "could never refuse a candidate; raise count or alpha"),
    ("a gate that can never promote", ["repeat.gate.count=5", "repeat.gate.promote=better", "repeat.gate.min_parsed=0.5"], "repeat.gate.count",
     "could never promote a candidate"),
    ("a gate whose own sources are too small", ["repeat.gate.questions=[{use: scenes, count: 3}]"], "repeat.gate.questions", "at most 3 pairs"),
    ("gold that no source gives", [f"{CLOSED}.gold=filter", "iteration.questions=[{use: jsonl, path: gold.jsonl, prompt_field: q, form: closed}]"],
     "iteration.questions.0", "'gold_field': it is not given"),
]
FINE = [
    ("LoRA kept as an adapter", [f"{TRAIN}.lora_rank=4", f"{TRAIN}.save=adapter"]),
    ("LoRA in the vision part", [f"{TRAIN}.lora_rank=4", f"{TRAIN}.lora_parts=[vision]", f"{TRAIN}.freeze=[]", f"{TRAIN}.lora_targets=[fc1]"]),
    ("one order without both-orders", ["iteration.judge.orders=one", "iteration.filters=[{use: verdict}]"]),
    ("as many right samples as there are", ["iteration.judge.samples=4", "iteration.filters.2.at_least=4"]),
    ("six pairs", ["repeat.gate.count=6"]),
    ("a small gate of floors alone", ["repeat.gate.count=5", "repeat.gate.min_parsed=0.5"]),
    ("gold in the gate's own source is not needed", [f"{CLOSED}.gold=filter",
     "repeat.gate.questions=[{use: jsonl, path: gold.jsonl, prompt_field: q, form: closed}]"]),
]


def check(folder, sets, recipe=RECIPE):
    more = [word for text in sets for word in ("--set", text)]
    return subprocess.run([harness.VJRUN, "check", recipe, *more], cwd=folder, capture_output=True, text=True, check=False)


def test_refused(tap, folder):
    for what, sets, place, words in CASES:
        result = check(folder, sets)
        lines = [line for line in result.stderr.splitlines() if f"{place}: " in line and words in line]
        placed = lines and any(mark in lines[0] for mark in ("quickstart.yaml:", "--set: "))
        tap.check(result.returncode == 3 and placed and not result.stdout, f"refused: {what}", f"exit {result.returncode}\n{result.stdout}{result.stderr}")


def test_fine(tap, folder):
    for what, sets in FINE:
        result = check(folder, sets)
        tap.check(result.returncode == 0 and result.stdout, f"fine: {what}", result.stderr)


def test_place(tap, folder):
    """Written in the file, the fault has its line and column."""
    path = os.path.join(folder, "recipe.yaml")
    with open(RECIPE, encoding="utf-8") as file:
        text = file.read().replace("../models", os.path.join(harness.SOURCE, "models"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("freeze: [vision]", "save: adapter"))
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("  train:"))
    result = check(folder, [], path)
    tap.check(result.returncode == 3 and f"{path}:{line}:10: iteration.train: train: 'save': " in result.stderr, "with line and column", result.stderr)


def test_course(tap, folder):
    """Weights that are drawn anew are no base of an adapter."""
    path = os.path.join(folder, "course.yaml")
    courses = "".join(f"    - {{ lessons: [ {{ use: scene-lessons, count: 5 }} ], train: {{ use: sft, lora_rank: 2, save: {save} }} }}\n"
                      for save in ("adapter", "merged"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"recipe: 1\nname: t\npretrain:\n  init: {harness.SOURCE}/models/vj-tiny\n  courses:\n{courses}")
    result = check(folder, [], path)
    tap.check(result.returncode == 3 and f"{path}:6:" in result.stderr and "the weights are drawn anew; set save: merged" in result.stderr
              and ":7:" not in result.stderr, "refused: an adapter of fresh weights", result.stderr)


def test_plan(tap, folder):
    """The plan has what the recipe asks for: audits, the gold filter, and what the gate decides by."""
    told = check(folder, [f"{CLOSED}.gold=filter", "iteration.audit.images.on_blind=fail", "repeat.gate.promote=better", "repeat.gate.patience=0",
                          "repeat.gate.min_parsed=0.9"]).stdout
    for words in ("audit       shortcut ", "at most 10000 pairs in 5 folds; where the text alone has an AUC above 0.7: a warning",
                  "images             at most 100 pairs", "where they need none: the run ends", "gold        filter: an ABLATION",
                  "gate        a candidate becomes the judge if it is better by an exact test at 0.05", "parsed at least 0.9",
                  "refusals never stop the run", "at most 1600 questions of each source of the iteration, held out of training"):
        tap.check(words in told, f"the plan says '{words}'", told)


def main():
    tap = harness.Tap()
    keep, folder = harness.scratch()
    with open(os.path.join(folder, "gold.jsonl"), "w", encoding="utf-8") as file:
        file.write('{"q": "how many?"}\n')
    test_refused(tap, folder)
    test_fine(tap, folder)
    test_place(tap, folder)
    test_course(tap, folder)
    test_plan(tap, folder)
    keep.cleanup()
    tap.done()


main()
