#!/usr/bin/env python3
"""Real files through whole runs: the jsonl and llava sources, the shipped injectors, sampler, judge and filters, on
canned replies. What is broken is quarantined with its place; gold reaches nothing. Prints TAP."""
import json
import os
import sqlite3
import struct
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness  # noqa: E402

RECIPE = """
recipe: 1
name: data
seed: 3
models: { base: { use: canned, path: . }, judge: { use: canned, path: . } }
iteration:
  questions:
    - { use: jsonl, path: data.jsonl, prompt: "Describe {n}.", image_field: image, id_field: id }
    - { use: jsonl, path: data.jsonl, prompt: "How many {n}?", image_field: image, form: closed, gold_field: gold }
    - { use: llava, path: llava.json, form: auto }
  open_ended:
    respond: { model: base }
    inject:
      - { use: rewrite, model: base, instruction: "REWRITE {kind} : {response}", kinds: [color, size, shape], tries: 4 }
      - { use: swap-words }
  closed_form: { sample: { use: majority, model: base, threshold: 3 } }
  judge: { use: pairwise, model: judge, samples: 6, prompt: "JUDGE {question} A: {answer_a} B: {answer_b}" }
  filters: [ { use: verdict }, { use: dedup }, { use: both-orders }, { use: balance } ]
  train: { use: canned, model: judge }
repeat: { iterations: 1 }
"""
# A rewrite names the kind it was asked for, so that what is recorded can be held against what was asked.
REPLIES = {"rules": [
    {"when": "JUDGE", "reply": ["so [[A]]", "so [[B]]", "hm"]},
    {"match": "^REWRITE (\\w+) : (.*)red(.*)$", "reply": ["\\2\\1\\3", "\\2red\\3"]},
    {"when": "How many", "reply": ["2", "two", "3", "4"]},
    {"reply": "a red cup on a large red table"}]}


def picture(path, shade):
    """A 2 x 2 grey PNG."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with open(path, "wb") as file:
        rows = zlib.compress(bytes([0, shade, shade] * 2))
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
                   + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def lay_out(folder):
    os.makedirs(folder)
    for name, text in (("recipe.yaml", RECIPE), ("replies.json", json.dumps(REPLIES))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    lines = []
    for i in range(12):
        picture(os.path.join(folder, f"{i}.png"), 20 * i)
        lines.append(json.dumps({"id": f"r{i}", "n": f"thing {i}", "image": f"{i}.png", "gold": f"CANARY{i}"}))
    lines[4] = '{"id": "r4", "n": '
    lines[7] = lines[7].replace("7.png", "../../7.png")
    lines[9] = lines[9].replace("r9", "r1")
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    rows = [{"image": f"{i}.png", "conversations": [
        {"from": "human", "value": "<image>\nWhat is it?" if i else "What is it?"}, {"from": "gpt", "value": "CANARY"}]} for i in range(4)]
    with open(os.path.join(folder, "llava.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file)


def records(run_dir, kind):
    with sqlite3.connect(f"file:{run_dir}/ledger.sqlite?mode=ro", uri=True) as ledger:
        for row in ledger.execute("select body, reason from records"):
            body = json.loads(row[0])
            if body["kind"] == kind:
                yield body, row[1]


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    folder, run_dir = os.path.join(top, "data"), os.path.join(top, "run")
    lay_out(folder)
    recipe = os.path.join(folder, "recipe.yaml")
    log = ("--set", f"models.base.log={top}/asked", "--set", f"models.judge.log={top}/asked")
    result = harness.run(recipe, run_dir, *log)
    tap.check(result.returncode == 1, "a run with broken records ends with exit 1", f"{result.returncode}\n{result.stderr}{result.stdout}")
    tap.check("28 in" in result.stdout, "every record is counted: 12 + 12 + 4", result.stdout)
    told = "\n".join(harness.lines(os.path.join(run_dir, "export", "quarantine.jsonl")))
    for place in ("data.jsonl:5", "data.jsonl:8", "data.jsonl:10", "data.jsonl:2", "llava.json:1"):
        tap.check(place in told, f"{place} is named", told)
    pairs = [body for body, _ in records(run_dir, "pair")]
    by = {name: [p for p in pairs if p["plugin"] == name] for name in ("rewrite", "swap-words", "majority")}
    tap.check(all(by.values()), "rewrite, swap-words and majority all made pairs", pairs)
    wrong = [p for p in by["rewrite"] if p["change"] != f"red -> {p['how']}"]
    tap.check(by["rewrite"] and not wrong, "the kind recorded is the kind the model was asked for", wrong)
    lessons = "\n".join(harness.lines(os.path.join(run_dir, "models", "iteration-1", "lessons.jsonl")))
    shown = lessons + "".join(json.dumps(body) for kind in ("question", "response", "pair", "judgment") for body, _ in records(run_dir, kind))
    tap.check(lessons and "CANARY" not in shown, "gold is in no record and no lesson", shown)
    asked = len(harness.lines(os.path.join(top, "asked")))
    again = harness.run(recipe, run_dir, *log)
    tap.check(again.stdout == result.stdout and len(harness.lines(os.path.join(top, "asked"))) == asked, "the same command again asks nothing", again.stderr)
    with open(os.path.join(folder, "data.jsonl"), "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"id": "r99", "n": "thing 99", "image": "1.png", "gold": "CANARY"}))
    more = harness.run(recipe, run_dir, *log, "--set", "repeat.iterations=2")
    tap.check(more.returncode == 4 and "data.jsonl" in more.stderr and "the data set changed" in more.stderr,
              "a data set that changed before the next iteration ends with exit 4 and is named", more.stderr)
    for name, value, code in (("path", "none.jsonl", 4), ("form", "ajar", 3)):
        bad = harness.run(recipe, os.path.join(top, name), "--set", f"iteration.questions.0.{name}={value}")
        tap.check(bad.returncode == code, f"a wrong {name} ends with exit {code}", bad.stderr)
    keep.cleanup()
    tap.done()


main()
