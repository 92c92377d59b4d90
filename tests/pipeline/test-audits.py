#!/usr/bin/env python3
"""Audits of pair sets on canned replies: a planted shortcut and a needless image are found, a clean set is let pass, nothing
else of the run changes, and a killed audit comes to the same figures. Prints TAP."""
import hashlib
import json
import os
import random
import sqlite3
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

SIZES = ["small", "large"]
SHAPES = ["circle", "square", "triangle", "star"]
PLACES = ["north", "south", "east", "west", "center"]
# Both sizes equally often, and each is rewritten to the other.
ANSWERS = [f"one shape ; {place} {size} red {shape}" for place in PLACES for size in SIZES for shape in SHAPES]
FLIP = [{"when": "REWRITE", "match": f"^REWRITE (.*) {a} (.*)$", "reply": f"\\1 {b} \\2"} for a, b in (SIZES, SIZES[::-1])]
MARK = [{"when": "REWRITE", "match": "^REWRITE (.*) (small|large) (.*)$", "reply": "\\1 tiny \\3"}]
# A judge that is right about marked pairs, by the text.
KNOWS = [{"when": "JUDGE", "match": "A: [^\\n]* tiny ", "reply": "the image shows [[B]]"},
         {"when": "JUDGE", "match": "B: [^\\n]* tiny ", "reply": "the image shows [[A]]"}]
GUESS = [{"when": "JUDGE", "reply": ["[[A]]", "[[B]]"]}]
RECIPE = """recipe: 1
name: audits
seed: 5
models:
  base:  { use: canned, path: . }
  judge: { use: canned, path: . }
iteration:
  questions:
    - { use: scenes, count: 120 }
  open_ended:
    respond: { model: base, temperature: 0.6 }
    inject:
      - { use: rewrite, model: base, instruction: "REWRITE {response}", kinds: [attribute, count], check_kind: false, weight: 3 }
      - { use: swap-words, kinds: [color] }
%s  judge:
    use: pairwise
    model: judge
    samples: 2
    prompt: "JUDGE {question}\\nA: {answer_a}\\nB: {answer_b}"
  filters: [ { use: verdict } ]
  train: { use: canned, model: judge }
"""


def write_recipe(folder, audit, rules):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "recipe.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(RECIPE % (f"  audit: {audit}\n" if audit else ""))
    with open(os.path.join(folder, "replies.json"), "w", encoding="utf-8") as file:
        json.dump({"rules": rules + [{"reply": ANSWERS}]}, file)
    return path


def blank_digest(width, height):
    head = b"vj-rgb8" + struct.pack("<II", width, height)
    return hashlib.sha256(head + bytes([128]) * (3 * width * height)).hexdigest()


def audits(run_dir):
    path = os.path.join(run_dir, "export", "audits.jsonl")
    return {row["audit"]: row for row in map(json.loads, harness.lines(path))}


def rows(run_dir, sql):
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        return ledger.execute(sql).fetchall()


def status(run_dir, *more):
    return subprocess.run([harness.VJRUN, "status", run_dir, *more], capture_output=True, text=True, check=False).stdout


def kind(figures, name):
    return next(row for row in figures["kinds"] if row["kind"] == name)


def test_planted(tap, top):
    recipe, run_dir = write_recipe(os.path.join(top, "planted"), "{ shortcut: { on_leak: fail } }", MARK + KNOWS + GUESS), os.path.join(top, "planted-run")
    log = os.path.join(top, "planted-asked")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
    result = harness.run(recipe, run_dir, *sets)
    tap.check(result.returncode == 11 and "audit:shortcut" in result.stderr and "word 'tiny'" in result.stderr,
              "a planted marker word ends the run with exit 11, and is named", result.stderr)
    tap.check(not os.path.exists(os.path.join(run_dir, "models", "iteration-1"))
              and not rows(run_dir, "SELECT 1 FROM stages WHERE name IN ('judge', 'train')"), "before anything is judged or trained")
    shown = json.loads(status(run_dir, "--log", "json"))["audits"][0]
    rewrite = kind(shown, "rewrite / count")
    tap.check(rewrite["text"]["auc"] > 0.99 and shown["outcome"] == "found", "the status has the figures", shown)
    asked = len(harness.lines(log))
    again = harness.run(recipe, run_dir, *sets)
    tap.check(again.returncode == 11 and len(harness.lines(log)) == asked, "the same command comes to the same end and asks nothing", again.stderr)
    warned = harness.run(recipe, run_dir, *sets, "--set", "iteration.audit.shortcut.on_leak=warn")
    tap.check(warned.returncode == 0 and "warning: audit: iteration 1: audit:shortcut" in warned.stderr, "with warn it goes on", warned.stderr)
    tap.check("respond" not in warned.stderr.split("audit:shortcut", 1)[0] and os.path.exists(os.path.join(run_dir, "models", "iteration-1")),
              "from there on", warned.stderr)
    tap.check("! the text alone tells" in warned.stdout and "audit:shortcut" in warned.stdout, "and the summary says what is wrong", warned.stdout)


def test_longer(tap, top):
    rules = [{"when": "REWRITE", "match": "^REWRITE (.*)$", "reply": "\\1 and more"}] + GUESS
    recipe, run_dir = write_recipe(os.path.join(top, "longer"), "{}", rules), os.path.join(top, "longer-run")
    result = harness.run(recipe, run_dir, "--set", "iteration.open_ended.inject.0.max_changed=10")
    figures = audits(run_dir)["shortcut"]
    longer = kind(figures, "rewrite / count")["length"]
    tap.check(result.returncode == 0 and longer["auc"] == 0 and longer["high"] < 0.5 and figures["outcome"] == "found",
              "rejected answers that are always longer are found by length alone; the preset warns", result.stderr)
    tap.check(list(audits(run_dir)) == ["shortcut"], "and asks for no judgment")


def clean_recipe(top, name, audit, rules=()):
    return write_recipe(os.path.join(top, name), audit, list(rules) + FLIP + GUESS)


def test_clean(tap, top):
    recipe, run_dir = clean_recipe(top, "clean", "{ shortcut: { on_leak: fail } }"), os.path.join(top, "clean-run")
    # swap-words takes red for another color, which is a shortcut here: every answer is about something red.
    result = harness.run(recipe, run_dir, "--set", "iteration.questions.0.count=300", "--set", "iteration.open_ended.inject.1.weight=0.000001")
    tap.check(result.returncode == 0, "a clean set passes an audit that could fail it", result.stderr)
    for row in audits(run_dir)["shortcut"]["kinds"]:
        tap.check(row["text"]["low"] <= 0.5 <= row["text"]["high"] and not row["leaks"], f"the interval of '{row['kind']}' holds a half", row)


def test_near_copies(tap, top):
    """Answers that only a pair with the same image repeats tell nothing: such pairs must lie in one fold."""
    folder, images = os.path.join(top, "copies"), os.path.join(top, "clean-run", "export", "images")
    names = sorted(os.listdir(images))[:30]
    rules = []
    for i, name in enumerate(names):
        a, b = (f"it is a{i}q", f"it is b{i}q")[::1 if i % 2 else -1]
        rules += [{"when": "describe", "image": name[:8], "reply": a}, {"when": f"REWRITE {a}", "reply": b}]
    recipe = write_recipe(folder, "{}", rules + GUESS)
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        for name in names:
            for number in range(5):
                file.write(json.dumps({"q": f"describe it, {number} times", "i": name}) + "\n")
    source = f"{{ use: jsonl, path: {folder}/data.jsonl, prompt_field: q, image_field: i, image_root: {images} }}"
    result = harness.run(recipe, os.path.join(top, "copies-run"), "--set", f"iteration.questions.0={source}", "--set",
                         "iteration.open_ended.inject.1.weight=0.000001")
    figures = audits(os.path.join(top, "copies-run"))["shortcut"]
    everything = kind(figures, "all")["text"]
    tap.check(result.returncode == 0 and figures["pairs"] == 150 and figures["groups"] == 30, "pairs with one image are one group",
              result.stderr)
    tap.check(everything["low"] <= 0.5 <= everything["high"] and figures["outcome"] == "clean", "a near-copy in another fold gives nothing away",
              figures)


def test_images(tap, top):
    plain = clean_recipe(top, "plain", "", [])
    tap.check(harness.run(plain, os.path.join(top, "plain-run")).returncode == 0, "a run without the section")
    width, height = rows(os.path.join(top, "plain-run"), "SELECT width, height FROM images LIMIT 1")[0]
    blank = blank_digest(width, height)
    # Right about marked pairs, but for a blank image: there it always says A.
    rules = [{"when": "JUDGE", "image": blank[:8], "reply": "nothing to see [[A]]"}] + KNOWS + GUESS + MARK
    recipe, run_dir = write_recipe(os.path.join(top, "needs"), "{ images: { sample: 30, on_blind: fail } }", rules), os.path.join(top, "needs-run")
    result = harness.run(recipe, run_dir)
    figures = audits(run_dir)["images"]
    everything, rewrite = kind(figures, "all"), kind(figures, "rewrite / count")
    tap.check(result.returncode == 0 and figures["outcome"] == "clean" and figures["finding"] is None, "pairs that need their image pass", result.stderr)
    tap.check(everything["pairs"] == 30 and everything["blank"]["accuracy"] == 0.5 and everything["blank"]["strict"] == 0,
              "the blank image was judged in both orders", figures)
    tap.check(rewrite["real"]["accuracy"] == 1 and rewrite["swapped"]["accuracy"] == 1
              and rewrite["against_blank"]["only_real"] == rewrite["pairs"] and rewrite["against_swapped"]["only_real"] == 0,
              "and so were the pair's own and another one's", rewrite)
    tap.check(abs(everything["against_blank"]["mcnemar_p"] - min(1, 2 * 0.5 ** everything["against_blank"]["only_real"])) < 1e-12,
              "the difference is tested pair by pair", everything)
    books = rows(run_dir, "SELECT n_in, n_kept FROM stages WHERE name = 'audit:images'")
    tap.check(books == [(30, 30)], "the books say so", books)
    check_records(tap, run_dir, blank)


def check_records(tap, run_dir, blank):
    """What the audit keeps of each pair leads from a judgment to the pixels that were shown."""
    records = {row[0]: json.loads(row[1]) for row in rows(run_dir, "SELECT id, body FROM records")}
    audited = [r for r in records.values() if r["kind"] == "audit"]
    own = {r["id"]: records[records[r["parents"][0]]["parents"][0]]["images"] for r in audited}
    tap.check(all(r["blank"] == [blank] for r in audited), "a blank image is grey and as large as the real one")
    everywhere = {digest for images in own.values() for digest in images}
    tap.check(all(r["swapped"][0] not in own[r["id"]] and r["swapped"][0] in everywhere for r in audited),
              "a swapped image is another pair's and never the same pixels")
    judged = [r for r in records.values() if r["kind"] == "judgment" and "picture" in r]
    tap.check(len(judged) == 6 * len(audited) and {r["picture"] for r in judged} == {"real", "blank", "swapped"},
              "each pair has six judgments that say what was shown")
    exported = harness.lines(os.path.join(run_dir, "export", "judgments.jsonl"))
    tap.check(exported and not any('"picture"' in line for line in exported), "they are not exported among those to train on")


def test_needless(tap, top):
    recipe, run_dir = write_recipe(os.path.join(top, "blind"), "{ images: { sample: 1000 } }", MARK + KNOWS + GUESS), os.path.join(top, "blind-run")
    result = harness.run(recipe, run_dir)
    figures = audits(run_dir)["images"]
    pairs = rows(run_dir, "SELECT count(*) FROM records WHERE kind = 2")[0][0]
    tap.check(result.returncode == 0 and figures["outcome"] == "found" and "audit:images: the judge is right as often" in result.stderr,
              "pairs that are solved blind are warned of", result.stderr)
    tap.check(kind(figures, "all")["pairs"] == pairs, "a sample larger than the set is the set")
    tap.check(kind(figures, "rewrite / count")["solved_blind"] and not kind(figures, "swap-words / color")["solved_blind"]
              and "rewrite / count" in figures["finding"] and "swap-words" not in figures["finding"],
              "and the kinds that are at fault are named", figures["finding"])
    failing = harness.run(recipe, run_dir, "--set", "iteration.audit.images.on_blind=fail")
    tap.check(failing.returncode == 11 and "audit:images" in failing.stderr, "on_blind: fail ends the run with exit 11", failing.stderr)


def test_no_answer(tap, top):
    """A judgment that is never answered costs the audit its pair, and the pair nothing."""
    rules = [{"when": "JUDGE", "image": blank_digest(*rows(os.path.join(top, "plain-run"), "SELECT width, height FROM images LIMIT 1")[0])[:8],
              "match": "A: one shape ; north", "error": "refused"}]
    recipe, run_dir = clean_recipe(top, "refused", "{ images: {} }", rules), os.path.join(top, "refused-run")
    result = harness.run(recipe, run_dir)
    n_in, n_kept = rows(run_dir, "SELECT n_in, n_kept FROM stages WHERE name = 'audit:images'")[0]
    dropped = rows(run_dir, "SELECT count(*) FROM records WHERE fate = 2 AND fate_stage = 'audit:images' AND reason = 'no answer'")[0][0]
    tap.check(result.returncode == 1 and 0 < dropped == n_in - n_kept, "a draw without an answer drops the audit of its pair", result.stderr)
    lost = rows(run_dir, "SELECT count(*) FROM records WHERE kind = 2 AND fate = 2")[0][0]
    judged = rows(run_dir, "SELECT n_in, n_kept FROM stages WHERE name = 'judge'")[0]
    tap.check(lost == 0 and judged == (n_in, n_in), "the pair itself is judged all the same")
    tap.check(kind(audits(run_dir)["images"], "all")["pairs"] == n_kept, "and only whole audits are counted")


def without_audits(files):
    return {name: data for name, data in files.items() if name not in ("audits.jsonl", "vj-manifest.json")}


def test_beside_the_chain(tap, top):
    """An audit that comes, changes or goes leaves every other stage and byte alone."""
    plain, run_dir = os.path.join(top, "plain", "recipe.yaml"), os.path.join(top, "plain-run")
    before = harness.export_bytes(run_dir)
    tap.check("audits.jsonl" not in before and "audit" not in status(run_dir), "without the section there is no audit")
    added = harness.run(plain, run_dir, "--set", "iteration.audit={ images: { sample: 10 } }")
    tap.check(added.returncode == 0 and "these stages run again" not in added.stderr and set(audits(run_dir)) == {"shortcut", "images"},
              "a section that is added later is done alone", added.stderr)
    tap.check(without_audits(harness.export_bytes(run_dir)) == without_audits(before), "and changes nothing else in the export")
    changed = harness.run(plain, run_dir, "--set", "iteration.audit={ images: { sample: 10 }, shortcut: { folds: 3 } }")
    tap.check("the recipe changed (iteration.audit.shortcut); these stages run again: iteration 1: audit:shortcut;" in changed.stderr
              and audits(run_dir)["shortcut"]["folds"] == 3, "a changed one runs again alone", changed.stderr)
    gone = harness.run(plain, run_dir)
    tap.check(gone.returncode == 0 and harness.export_bytes(run_dir) == before and "audits of" not in gone.stdout,
              "one that is taken out leaves no trace", gone.stdout)


def test_kills(tap, top):
    audit = "{ images: { sample: 40 }, shortcut: { folds: 3 } }"
    recipe = clean_recipe(top, "kills", audit)
    reference = harness.run(recipe, os.path.join(top, "kills-reference"))
    expected, shown = harness.export_bytes(os.path.join(top, "kills-reference")), status(os.path.join(top, "kills-reference"), "--log", "json")
    tap.check(reference.returncode == 0 and "audits.jsonl" in expected, "an uninterrupted run", reference.stderr)
    rng, faults, during = random.Random(3), [], 0
    for number in range(6):
        run_dir = os.path.join(top, f"kills-{number}")
        process = harness.start(recipe, run_dir, "--set", "models.judge.order=shuffled", "--set", "models.judge.delay=2")
        for line in process.stderr:  # to some moment within the audits
            if "inject:" in line:
                break
        try:
            process.communicate(timeout=rng.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            harness.kill(process)
            state = rows(run_dir, "SELECT state FROM stages WHERE name = 'audit:images'")
            during += state == [(0,)]
        result = harness.run(recipe, run_dir, "--set", "models.judge.order=shuffled", "--set", "models.judge.delay=2")
        asked_twice = [row for row in rows(run_dir, "SELECT claims FROM replies") if row[0] > 2]
        if result.returncode != 0 or harness.export_bytes(run_dir) != expected or status(run_dir, "--log", "json") != shown or asked_twice:
            faults.append(f"kill {number}: exit {result.returncode}: {result.stderr}")
    tap.check(not faults and during > 0, f"6 kills, {during} of them in the audit of images: the same figures", "\n".join(faults) or during)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    test_planted(tap, top)
    test_longer(tap, top)
    test_clean(tap, top)
    test_near_copies(tap, top)
    test_images(tap, top)
    test_needless(tap, top)
    test_no_answer(tap, top)
    test_beside_the_chain(tap, top)
    test_kills(tap, top)
    keep.cleanup()
    tap.done()


main()
