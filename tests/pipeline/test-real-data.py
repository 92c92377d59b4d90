#!/usr/bin/env python3
"""Images that nobody here made go through a whole run: recipes/nlvr.yaml with a small count, and two photographs. The
models are canned: what is tested is the path of the data. Prints TAP; skips when ../shared/data is not there."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

DATA = os.environ.get("VJ_SHARED_DATA") or os.path.join(os.path.dirname(harness.SOURCE), "shared", "data")
CANNED = ("--deploy", os.path.join(harness.CANNED, "deploy.yaml"), "--set", "iteration.train={use: canned, model: judge}")


def test_nlvr(tap, top):
    with open(os.path.join(harness.SOURCE, "recipes", "nlvr.yaml"), encoding="utf-8") as file:
        text = file.read()
    recipe = os.path.join(top, "nlvr.yaml")
    with open(recipe, "w", encoding="utf-8") as file:
        file.write(text.replace("../../shared/data", DATA).replace("../models", os.path.join(harness.SOURCE, "models")))
    run_dir = os.path.join(top, "nlvr")
    result = harness.run(recipe, run_dir, *CANNED, "--set", "iteration.questions.0.count=40", "--set",
                         "iteration.questions.1.count=20", "--set", "iteration.closed_form.sample.threshold=3")
    tap.check(result.returncode == 0, "recipes/nlvr.yaml runs", result.stderr)
    tap.check("60 in      60 kept      0 dropped" in result.stdout, "every one of its images is read", result.stdout)
    exported = harness.export_bytes(run_dir)
    tap.check(sum(name.startswith("images/") for name in exported) == 40, "images are named by their pixels, each kept once",
              sorted(exported))
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        gold = [value for value, in ledger.execute("SELECT value FROM gold")]
    tap.check(len(gold) == 40 and set(gold) == {"true", "false"}, "gold is kept apart", gold)
    questions = exported["questions.jsonl"].decode()
    tap.check('"label"' not in questions and '"gold"' not in questions and "structured_rep" not in questions, "and leaves with no export")


def test_photos(tap, top):
    photos = sorted(name for name in os.listdir(os.path.join(DATA, "photos")) if name.lower().endswith((".jpg", ".jpeg")))
    folder = os.path.join(top, "photos")

    def change(text):
        source = f"{{ use: jsonl, path: photos.jsonl, prompt_field: q, image_field: image, image_root: {DATA}/photos }}"
        return text.replace("{ use: scenes, count: 40 }", source).replace("iterations: 2", "iterations: 1")

    recipe = harness.recipe_copy(folder, change=change)
    with open(os.path.join(folder, "photos.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": "describe the image", "image": name}) + "\n" for name in photos)
    result = harness.run(recipe, os.path.join(top, "photos-run"))
    tap.check(result.returncode == 0 and f"{len(photos)} in       {len(photos)} kept" in result.stdout, "photographs are read",
              result.stderr + result.stdout)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    for name, test in (("nlvr", test_nlvr), ("photos", test_photos)):
        if os.path.isdir(os.path.join(DATA, name)):
            test(tap, top)
        else:
            tap.skip(f"{name}: a whole run", f"{os.path.join(DATA, name)} is not there")
    keep.cleanup()
    tap.done()


main()
