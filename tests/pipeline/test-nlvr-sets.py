#!/usr/bin/env python3
"""What recipes/nlvr/make-sets.py makes of NLVR: equal bytes each time, splits that share nothing, questions that owe nothing to
gold, pairs that the pixels bear out; and recipes/nlvr/loop.yaml reads them. Prints TAP; skips when ../shared/data is not there."""
import collections
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

sys.dont_write_bytecode = True  # nothing beside the script, which may be read-only

DATA = os.environ.get("VJ_SHARED_DATA") or os.path.join(os.path.dirname(harness.SOURCE), "shared", "data")
CORPUS = os.path.join(DATA, "nlvr")
SCRIPT = os.path.join(harness.SOURCE, "recipes", "nlvr", "make-sets.py")
ASKED, MEASURED = ("open", "places", "counts"), ("tune", "measure")
PAINT = {(255, 255, 0): "yellow", (0, 153, 255): "blue", (0, 0, 0): None}  # as NLVR's pictures show them
FEW = 60  # records of the corpora that are changed


def script():
    spec = importlib.util.spec_from_file_location("make_sets", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(corpus, out, *more):
    done = subprocess.run([sys.executable, "-B", SCRIPT, corpus, out, *more], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return harness.file_bytes(out)


def rows(files, name):
    return [json.loads(line) for line in files[f"{name}.jsonl"].decode().splitlines()]


def small_corpus(folder, change=lambda records: records):
    """The first records, changed; the images where they are."""
    os.makedirs(folder)
    os.symlink(os.path.join(CORPUS, "images"), os.path.join(folder, "images"))
    records = change([json.loads(line) for line in harness.lines(os.path.join(CORPUS, "dev-500.jsonl"))[:FEW]])
    with open(os.path.join(folder, "dev-500.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return folder


def other_gold(records):
    """Every record with another's gold and none of its words or labels."""
    gold = [record["structured_rep"] for record in records]
    return [{"identifier": record["identifier"], "image": record["image"], "structured_rep": gold[i - 1]} for i, record in enumerate(records)]


def test_questions(tap, top):
    first = make(small_corpus(os.path.join(top, "few")), os.path.join(top, "few-sets"))
    again = make(os.path.join(top, "few"), os.path.join(top, "few-again"))
    tap.check(first == again, "equal input gives equal bytes")
    other = make(os.path.join(top, "few"), os.path.join(top, "few-other"), "--seed", "2")
    tap.check(all(other[f"{name}.jsonl"] != first[f"{name}.jsonl"] for name in ASKED + MEASURED), "another seed gives other sets")
    wrong = make(small_corpus(os.path.join(top, "wrong"), other_gold), os.path.join(top, "wrong-sets"))
    tap.check(wrong["measure.jsonl"] != first["measure.jsonl"] and wrong["tune.jsonl"] != first["tune.jsonl"], "pairs follow the gold")
    same = {name for name in first if not name.startswith(MEASURED)}
    tap.check(same and all(wrong[name] == first[name] for name in same),
              "questions and images are the same to the byte when gold, sentences and labels are others")
    keys = {tuple(sorted(row)) for name in ASKED for row in rows(first, name)}
    tap.check(keys == {("category", "id", "image", "question")}, "a question holds nothing else", keys)


def test_missing(tap, top):
    done = subprocess.run([sys.executable, "-B", SCRIPT, top, os.path.join(top, "none")], capture_output=True, text=True, check=False)
    tap.check(done.returncode == 1 and "give the folder of the corpus" in done.stderr and "Traceback" not in done.stderr,
              "a folder without the corpus is named", done.stderr)
    blocked = os.path.join(small_corpus(os.path.join(top, "blocked")), "dev-500.jsonl", "sets")
    done = subprocess.run([sys.executable, "-B", SCRIPT, os.path.join(top, "blocked"), blocked], capture_output=True, text=True, check=False)
    tap.check(done.returncode == 1 and "give a folder that can be written" in done.stderr and "Traceback" not in done.stderr,
              "a place where nothing can be written is named", done.stderr)


def test_splits(tap, sets):
    """No picture, no set of sentences and no pixels are in two splits."""
    shown = {"questions": {row["image"] for name in ASKED for row in rows(sets, name)}}
    shown |= {name: {row["image"] for row in rows(sets, name)} for name in MEASURED}
    pixels = {split: {sets[image] for image in images} for split, images in shown.items()}
    prefixes = {split: {os.path.basename(image).split("-")[0] for image in images} for split, images in shown.items()}
    for what, parts in (("pixels", pixels), ("sets of sentences", prefixes)):
        common = [(a, b) for a in parts for b in parts if a < b and parts[a] & parts[b]]
        tap.check(not common and all(parts.values()), f"no split shares {what} with another", common)
    tap.check(len(rows(sets, "measure")) >= 600 and len(rows(sets, "tune")) >= 300, "there are pairs enough",
              [len(rows(sets, name)) for name in MEASURED])
    twice = [name for name in ASKED + MEASURED if len({row["id"] for row in rows(sets, name)}) < len(rows(sets, name))]
    tap.check(not twice, "an id names one row of its file", twice)


def test_twins(tap, sets):
    """Who reads the question and two short answers, and does not look, is right half of the time."""
    pairs = rows(sets, "tune") + rows(sets, "measure")
    closed = collections.Counter((row["question"], row["chosen"], row["rejected"]) for row in pairs if row["question"] != "describe the image")
    uneven = [key for key in closed if closed[key] != closed[key[0], key[2], key[1]]]
    tap.check(len(closed) > 50 and not uneven, "each short answer is right as often as wrong against each other", uneven[:5])
    changed = collections.Counter(tuple(row["how"].split(": ")) for row in pairs)
    uneven = [key for key in changed if changed[key] != changed[key[0], " -> ".join(reversed(key[1].split(" -> ")))]]
    tap.check(not uneven, "so is each word of a description", uneven[:5])


def covered(read, path):
    """What the pixels of a view show: place -> the set of its paints, by the script's reader, which test_pixels holds to the corpus."""
    side, _, lines = read(path)
    cuts = [round(side * i / 3) for i in range(4)]
    places = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")
    for number, place in enumerate(places):
        y, x = divmod(number, 3)
        found = collections.Counter(lines[j][3 * i:3 * i + 3] for j in range(cuts[y], cuts[y + 1]) for i in range(cuts[x], cuts[x + 1]))
        yield place, {PAINT[tuple(paint)] for paint, count in found.items() if tuple(paint) in PAINT and count >= 9}


def faults_of(row, shown):
    """What the pixels say against a pair."""
    chosen, rejected = row["chosen"].split(), row["rejected"].split()
    differ = [(a, b) for a, b in zip(chosen, rejected) if a != b and {a, b} != {"shape", "shapes"}]
    if row["question"].startswith("what color"):
        there = shown[row["question"].split()[4]]
        if there != ({row["chosen"]} if row["chosen"] != "none" else set()):
            yield f"the place shows {there}"
    if row["question"] == "describe the image":
        if len(chosen) == len(rejected) and len(differ) != 1 and not row["category"] == "described place":
            yield f"differs in {differ}"
        for item in row["chosen"].split(" ; ")[1:]:
            place, _, color, _ = item.split()
            if shown[place] != {color}:
                yield f"{place} shows {shown[place]}"
        if row["category"] in ("described place", "described color"):
            wrong = set(row["rejected"].split(" ; ")) - set(row["chosen"].split(" ; "))
            if not any(shown[item.split()[0]] != {item.split()[2]} for item in wrong):
                yield "the worse description is true"


def test_pixels(tap, sets, out):
    module = script()
    records = {record["identifier"]: record for record in module.load(CORPUS)}
    off, faults, cache = [], [], {}
    for row in rows(sets, "measure"):
        path = os.path.join(out, row["image"])
        if path not in cache:
            cache[path] = dict(covered(module.read_png, path))
            first, second, which, left, top, side = os.path.basename(path)[:-4].split("-")
            lines = module.read_png(path)[2]
            for item in records[f"{first}-{second}"]["structured_rep"][int(which)]:
                x, y = (int(item[axis] + item["size"] * 0.55) - int(at) for axis, at in (("x_loc", left), ("y_loc", top)))
                if 0 <= x < int(side) and 0 <= y < int(side) and PAINT.get(tuple(lines[y][3 * x:3 * x + 3]), "") != module.COLORS[item["color"]]:
                    off.append((path, item, tuple(lines[y][3 * x:3 * x + 3])))
        faults += [(row, fault) for fault in faults_of(row, cache[path])]
    tap.check(len(cache) > 100 and not off, "views show the corpus's shapes where it says they are", off[:5])
    tap.check(not faults, "pairs are what the pixels show", faults[:5])


def test_recipe(tap, top, out):
    """The shipped recipe over these sets, on canned replies."""
    environment = os.environ | {"VJ_NLVR": out}
    recipe = os.path.join(harness.SOURCE, "recipes", "nlvr", "loop.yaml")
    checked = subprocess.run([harness.VJRUN, "check", recipe], capture_output=True, text=True, check=False, env=environment)
    tap.check(checked.returncode == 0, "vjrun check finds nothing wrong with recipes/nlvr/loop.yaml", checked.stderr)
    run_dir = os.path.join(top, "run")
    few = [word for i in (0, 1) for word in ("--set", f"iteration.questions.{i}.count=40")]
    result = harness.run(recipe, run_dir, "--deploy", os.path.join(harness.CANNED, "deploy.yaml"), "--set",
                         "iteration.train={use: canned, model: judge}", "--set", "repeat={iterations: 1}", *few, env=environment)
    tap.check(result.returncode == 0 and "80 in      80 kept      0 dropped" in result.stdout, "it runs; every view is read",
              result.stderr + result.stdout)
    pairs = len(rows(harness.file_bytes(out), "measure"))
    tap.check(f"{pairs} in     {pairs} kept      0 dropped" in result.stdout, "and every measured pair", result.stdout)
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        gold = ledger.execute("SELECT count(*) FROM gold").fetchone()[0]
    tap.check(gold == 0, "no gold is in its ledger", gold)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    if os.path.isdir(CORPUS):
        out = os.path.join(top, "sets")
        sets = make(CORPUS, out)
        test_questions(tap, top)
        test_missing(tap, top)
        test_splits(tap, sets)
        test_twins(tap, sets)
        test_pixels(tap, sets, out)
        test_recipe(tap, top, out)
    else:
        tap.skip("sets made of NLVR, and the loop over them", f"{CORPUS} is not there")
    keep.cleanup()
    tap.done()


main()
