#!/usr/bin/env python3
"""recipes/ablations/study.py on canned replies: it runs recipes over seeds, goes on where it stopped, and its tables hold what
vjrun itself measured. Prints TAP."""
import fractions
import importlib.util
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

sys.dont_write_bytecode = True  # nothing beside the script, which may be read-only

SCRIPT = os.path.join(harness.SOURCE, "recipes", "ablations", "study.py")


def script():
    spec = importlib.util.spec_from_file_location("study", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def study(*arguments):
    return subprocess.run([sys.executable, "-B", SCRIPT, *arguments], capture_output=True, text=True, timeout=600, check=False)


def with_plugins(folder, name="test-study-vjrun", more="", then=""):
    """The program, which finds the canned backend. Not in a scratch folder: nothing may be started there on some machines."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n{"" if then else "exec "}"{harness.VJRUN}" "$@" --plugin-path "{harness.PLUGINS}"{more}\n{then}')
    os.chmod(path, 0o755)
    return path


def recipe(top, name, judges, first=0):
    """The canned loop, measured on pairs whose worse answer, and only that, has the word its judges go by."""
    path = harness.loop_copy(os.path.join(top, name), judges, change=lambda text: re.sub(
        r"(?m)^evaluate:\n.*$", "evaluate:\n  - { use: pairs, path: pairs.jsonl, how_field: how, model: judge }", text))
    with open(os.path.join(os.path.dirname(path), "pairs.jsonl"), "w", encoding="utf-8") as file:
        for i in range(first, first + 40):
            file.write(json.dumps({"question": f"what is {i} ?", "chosen": f"large {i}", "rejected": f"tiny {i}",
                                   "how": "even" if i % 2 == 0 else "odd"}) + "\n")
    named = os.path.join(os.path.dirname(path), f"{name}.yaml")
    os.rename(path, named)
    return named


def rows(text, first):
    """The table whose heading starts with `first`: a list of dicts."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    block = next((b for b in blocks if b and b[0].startswith(first)), None)
    if not block:
        return []
    cut = [[cell.strip() for cell in re.split(r"\s{2,}", line)] for line in block]
    return cut[1:]


def measured(out, run):
    """What vjrun's own summary says of the last judge against the first: (gained, lost, p)."""
    with open(os.path.join(out, f"{run}.log"), encoding="utf-8") as file:
        found = re.findall(r"against before, both orders right: (\d+) pairs gained, (\d+) lost of \d+; exact McNemar p = (\S+)", file.read())
    return (int(found[-1][0]), int(found[-1][1]), float(found[-1][2])) if found else None


def test_runs(tap, top):
    out, program = os.path.join(top, "study"), with_plugins(harness.BUILD)
    recipes = [recipe(top, "main", ["good", "same", "same"]), recipe(top, "control", ["letter", "letter", "letter"])]
    first = study("run", "--vjrun", program, "--out", out, "--seeds", "17,18", *recipes)
    tap.check(first.returncode == 0 and first.stdout.count("exit 0") == 4, "each recipe is run with each seed", first.stdout + first.stderr)
    again = study("run", "--vjrun", program, "--out", out, "--seeds", "17,18", *recipes)
    with open(os.path.join(out, "main-17.log"), encoding="utf-8") as file:
        tap.check(again.returncode == 0 and "nothing to do" in file.read(), "a finished run is not run again", again.stderr)

    table = study("table", "--out", out, "--main", "main")
    tap.check(table.returncode == 0, "a table is made", table.stderr)
    runs = {(row[0], row[1]): row for row in rows(table.stdout, "run ")}
    tap.check(set(runs) == {(n, s) for n in ("main", "control") for s in ("17", "18")}, "with a row for each run", table.stdout)
    for name, seed in sorted(runs):
        told, row = measured(out, f"{name}-{seed}"), runs[name, seed]
        tap.check(told is not None and f"{told[2]:.1e}" == row[7], f"{name}, seed {seed}: the p of vjrun's own summary", f"{told} {row}")
        before, after = float(row[5].split()[0]), float(row[5].split()[-1])
        tap.check(row[2] == "40" and round((after - before) * 40) == told[0] - told[1], f"{name}, seed {seed}: as many pairs gained and lost",
                  f"{told} {row}")
        tap.check((after == 1) == (name == "main") and abs(float(row[6]) - (after - before)) < 0.0015, f"{name}, seed {seed}: as good as its judge", row)
    against = rows(table.stdout, "against")
    tap.check([row[:2] for row in against] == [["control", "17"], ["control", "18"]] and all(float(row[4]) < 1e-6 for row in against),
              "a judge that is right and one that says one letter differ", table.stdout)
    kinds = rows(table.stdout, "main, mean of seeds")
    tap.check([row[:2] + row[3:4] for row in kinds] == [["even", "20", "1.000"], ["odd", "20", "1.000"]], "kind by kind", kinds)
    with open(os.path.join(out, "study.svg"), encoding="utf-8") as file:
        svg = file.read()
    tap.check(svg.count("<polyline") == 2 * (4 + 2) and "main (2)" in svg, "the plot has a line for each run and each mean in both panels", svg[:400])
    study("run", "--vjrun", program, "--out", out, "--seeds", "17", recipe(top, "strange", ["good", "same", "same"], first=1))
    other = study("table", "--out", out, "--main", "main", "--controls", "strange")
    tap.check(other.returncode == 1 and "strange-17: it was measured on other pairs than" in other.stderr, "judges of other pairs are not compared",
              other.stdout + other.stderr)
    shutil.rmtree(os.path.join(out, "strange-17"))
    markdown = study("table", "--out", out, "--main", "main", "--format", "markdown").stdout
    tap.check("|----" in markdown and markdown.count("| main ") == 2, "in Markdown as well", markdown)


def test_failures(tap, top):
    out = os.path.join(top, "none")
    nothing = study("table", "--out", out)
    tap.check(nothing.returncode == 1 and "no run in it has measured" in nothing.stderr, "no run: it says what to start", nothing.stderr)
    os.makedirs(os.path.join(out, "main-1"))
    sqlite3.connect(os.path.join(out, "main-1", "ledger.sqlite")).execute("CREATE TABLE t (a)").connection.close()
    begun = study("table", "--out", out)
    tap.check(begun.returncode == 1 and "main-1: left out: no such table" in begun.stderr, "a run that has hardly begun is left out, by name", begun.stderr)
    missing = study("run", "--vjrun", with_plugins(harness.BUILD), "--out", out, "--seeds", "1", os.path.join(top, "absent.yaml"))
    tap.check(missing.returncode not in (0, 1) and "exit" in missing.stdout, "the exit code of a failed run is passed on", missing.stdout + missing.stderr)


def test_refused(tap, top):
    program = with_plugins(harness.BUILD)
    for what, arguments, words in (
            ("a seed that is none", ("--seeds", "21, 22", "a.yaml"), "--seeds '21, 22': expected numbers"),
            ("two recipes of one name", ("a.yaml", "b/a.yaml"), "two recipes are called a"),
            ("a program that is not there", ("--vjrun", "/nowhere/vjrun", "a.yaml"), "/nowhere/vjrun: no program to run")):
        result = study("run", "--out", os.path.join(top, "refused"), *(() if "--vjrun" in arguments else ("--vjrun", program)), *arguments)
        tap.check(result.returncode == 1 and words in result.stderr and "Traceback" not in result.stderr, f"refused: {what}", result.stderr)
    tap.check(not os.path.exists(os.path.join(top, "refused")), "and nothing is begun", "")


def test_stopped(tap, top):
    """A run that is killed is told of by its code; in the table it has a star until it is finished."""
    out, path = os.path.join(top, "stopped"), recipe(top, "main", ["good", "same", "same"])
    killer = with_plugins(harness.BUILD, "test-study-killed", " --set repeat.iterations=1", "kill -9 $$\n")
    killed = study("run", "--vjrun", killer, "--out", out, "--seeds", "17", path)
    tap.check(killed.returncode == 137 and "exit 137" in killed.stdout and "main-17.log: " in killed.stdout, "killed: 137, and where its log is",
              killed.stdout + killed.stderr)
    with sqlite3.connect(os.path.join(out, "main-17", "ledger.sqlite")) as ledger:
        ledger.execute("DELETE FROM meta WHERE key = 'exported'")  # as before a run has come to its end
    for folder in ("odd-one", "main-18"):
        os.makedirs(os.path.join(out, folder))
        with open(os.path.join(out, folder, "ledger.sqlite"), "w", encoding="utf-8") as file:
            file.write("no ledger, and longer than the head of one" * 9)
    table = study("table", "--out", out, "--main", "main")
    tap.check(table.returncode == 0 and "main *" in table.stdout and "* not finished" in table.stdout and "main, mean" not in table.stdout,
              "a run that is not finished has a star, and no means are taken of it", table.stdout + table.stderr)
    tap.check("main-18: left out: file is not a database" in table.stderr and "odd-one: left out: its name is not NAME-SEED" in table.stderr,
              "other folders are left out by name", table.stderr)
    unknown = study("table", "--out", out, "--main", "nobody")
    tap.check(unknown.returncode == 1 and "no run of 'nobody' is there; there are main" in unknown.stderr, "an unknown name is refused", unknown.stderr)


def test_sign_test(tap):
    sign_test = script().sign_test
    for lost, gained in ((0, 0), (1, 1), (0, 5), (12, 3), (77, 263), (400, 1400)):
        ways = sum(math.comb(lost + gained, k) for k in range(min(lost, gained) + 1))  # in whole numbers, so exact
        p = float(min(fractions.Fraction(1), fractions.Fraction(2 * ways, 2 ** (lost + gained))))
        tap.check(abs(sign_test(lost, gained) - p) <= 1e-9 * p, f"the exact test of {lost} lost and {gained} gained", f"{sign_test(lost, gained)} {p}")
    compare = script().compare
    a, b = {"1": 2, "2": 1, "3": 0, "4": 2}, {"1": 2, "2": 2, "3": 1, "4": 0}
    tap.check(compare(a, b, True)[:2] == (1, 1) and compare(a, b, False)[:2] == (1, 2), "pairs are compared once, not each order", "")


def main():
    tap = harness.Tap()
    folder, top = harness.scratch()
    with folder:
        test_sign_test(tap)
        test_failures(tap, top)
        test_refused(tap, top)
        test_stopped(tap, os.path.join(top, "b"))
        test_runs(tap, top)
    tap.done()


main()
