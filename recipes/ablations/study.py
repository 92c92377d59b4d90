#!/usr/bin/env python3
"""Runs the recipes of a study over seeds, and makes one table and one plot of what they measured.

    study.py run   [--vjrun PROGRAM] [--out DIR] [--seeds 17,18,19] RECIPE...
    study.py table [--out DIR] [--main NAME] [--controls NAME,...] [--format text|markdown]

`run` gives each recipe each seed, one after the other, into DIR/NAME-SEED (default runs/study). It may be stopped and run
again: a finished run only says that it is finished, one whose recipe was changed since is made anew where it has to be.
`table` reads the runs it finds there, also while they work (a star marks those, and nothing is tested against them), and writes
DIR/study.svg. NAME is the recipe's file without `.yaml`. Nothing but Python's standard library is needed.

What is compared are the judges before the first iteration and after the last, pair by pair, on the pairs of the recipe's
pair evaluator, which are the same in all runs:

  strict    the pair is right in both orders; exact McNemar over pairs
  accuracy  answers that are right, both orders pooled; the test is the exact sign test over the pairs in which one judge
            has more of the two orders right than the other, which is McNemar's for more than two outcomes. Answers to the
            two orders of a pair depend on each other and are never counted as two.
"""
import argparse
import glob
import html
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def sign_test(lost, gained):
    """Exact two-sided binomial probability, at one half, of a split at least as uneven."""
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    top = max(logs)
    return min(1.0, 2 * math.exp(top) * sum(math.exp(x - top) for x in logs))


class LeftOut(Exception):
    """Why a folder is no run that can be shown."""


class Run:
    """What a run's ledger says of its evaluations; read only, so it may be looked at while it works."""

    def __init__(self, folder):
        self.folder = folder
        named = re.fullmatch(r"(.+)-(\d+)", os.path.basename(folder))
        if not named:
            raise LeftOut("its name is not NAME-SEED")
        self.name, self.seed = named.groups()
        ledger = os.path.join(folder, "ledger.sqlite")
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            self.scores = {}
            for label, evaluator, metric, correct, total in db.execute("SELECT label, evaluator, metric, correct, total FROM scores"):
                self.scores[self.iteration(label), evaluator, metric] = (correct, total)
            self.right, self.kinds, self.pairs = self.read_cases(db)
            told = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('iterations', 'exported')"))
            self.kept = dict(db.execute("SELECT iteration, n_kept FROM stages WHERE name = 'train'"))
            self.steps = dict(db.execute("SELECT course, max(step) FROM steps GROUP BY course"))
            self.gates = self.read_gates(db)
            self.shared = self.images_shared(db)
        # An evaluation counts once its scores are there; and a run now told to have fewer iterations has no others.
        most = int(told.get("iterations", 1 << 30))
        self.right = {i: cases for i, cases in self.right.items() if i <= most and self.share(i, "strict") is not None}
        self.last = max(self.right, default=0)
        self.done = told.get("exported") == "yes"
        self.shown = self.name if self.done else self.name + " *"

    @staticmethod
    def iteration(label):
        return 0 if label == "before" else int(label.split()[-1])

    @staticmethod
    def read_cases(db):
        """By iteration: {number of the pair: orders that are right}; {number: what is wrong with the worse answer}; {number: the
        pair itself}. A number says which evaluator, then which pair: the same in every iteration."""
        right, kinds, pairs = {}, {}, {}
        for case, kind, *pair in db.execute("SELECT id, json_extract(body, '$.how'), json_extract(body, '$.images'), json_extract(body, '$.prompt'), "
                                            "json_extract(body, '$.chosen'), json_extract(body, '$.rejected') FROM records WHERE kind = 4 "
                                            "AND json_extract(body, '$.chosen') IS NOT NULL"):
            number = case.split(".", 1)[-1]
            kinds[number], pairs[number] = kind or "-", pair
        for iteration, case, count in db.execute(
                "SELECT iteration, json_extract(body, '$.parents[0]'), sum(json_extract(body, '$.right')) FROM records "
                "WHERE kind = 3 AND stage LIKE 'evaluate:%' GROUP BY 1, 2"):
            number = case.split(".", 1)[-1]
            if number in kinds:
                right.setdefault(iteration, {})[number] = count or 0
        return right, kinds, pairs

    @staticmethod
    def read_gates(db):
        """By iteration, what the gate decided: promoted, rolled back, stopped."""
        return {int(key.split()[1]): json.loads(value)["outcome"]
                for key, value in db.execute("SELECT key, value FROM meta WHERE key GLOB 'gate [0-9]*'")}

    @staticmethod
    def images_shared(db):
        """Images that both a question and an evaluated pair show."""
        shown = "SELECT DISTINCT value FROM records, json_each(json_extract(body, '$.images')) WHERE kind = %d"
        return db.execute(f"SELECT count(*) FROM ({shown % 0} INTERSECT {shown % 4})").fetchone()[0]

    def share(self, iteration, metric):
        for (i, _, m), (correct, total) in self.scores.items():
            if i == iteration and m == metric and total:
                return correct / total
        return None


def compare(a, b, strict):
    """(lost, gained, p) from judge `a` to judge `b`, both {pair: orders right}."""
    value = (lambda n: n == 2) if strict else (lambda n: n)
    lost = sum(value(a[k]) > value(b[k]) for k in a if k in b)
    gained = sum(value(a[k]) < value(b[k]) for k in a if k in b)
    return lost, gained, sign_test(lost, gained)


def figure(x):
    return "-" if x is None else f"{x:.3f}"


def change(run, metric, iteration):
    a, b = run.share(0, metric), run.share(iteration, metric)
    return None if a is None or b is None else b - a


def rows_of_runs(runs):
    yield ["run", "seed", "pairs", "traces", "steps", "strict", "change", "p", "accuracy", "change", "p", "inconsistent",
           "said A", "unparsed", "gate"]
    for run in runs:
        if 0 not in run.right:
            continue
        a, b, last = run.right[0], run.right[run.last], run.last
        strict, single = compare(a, b, True), compare(a, b, False)
        both = lambda metric: f"{figure(run.share(0, metric))} {figure(run.share(last, metric))}"
        path = lambda metric: " ".join(figure(run.share(i, metric)) for i in range(last + 1))
        yield [run.shown, run.seed, str(len(b)), " ".join(str(run.kept.get(i, 0)) for i in range(1, last + 1)),
               str(sum(run.steps.values())), path("strict"), f"{change(run, 'strict', last):+.3f}", f"{strict[2]:.1e}",
               path("accuracy"), f"{change(run, 'accuracy', last):+.3f}", f"{single[2]:.1e}", both("inconsistent"), both("said A"),
               both("unparsed"), " ".join(run.gates.get(i, "-") for i in range(1, max(run.gates, default=0) + 1)) or "-"]


def rows_against(runs, main, controls):
    yield ["against", "seed", "strict: main", "other", "p", "accuracy: main", "other", "p"]
    by_name = {(run.name, run.seed): run for run in runs}
    for run in (run for run in runs if run.name == main):
        for name in controls:
            other = by_name.get((name, run.seed))
            if other is None or not (run.done and other.done):
                continue
            if run.pairs != other.pairs:
                sys.exit(f"{other.folder}: it was measured on other pairs than {run.folder}; the two cannot be compared")
            a, b = other.right[other.last], run.right[run.last]
            yield [name, run.seed, figure(run.share(run.last, "strict")), figure(other.share(other.last, "strict")),
                   f"{compare(a, b, True)[2]:.1e}", figure(run.share(run.last, "accuracy")),
                   figure(other.share(other.last, "accuracy")), f"{compare(a, b, False)[2]:.1e}"]


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


def rows_of_kinds(runs, main):
    runs = [run for run in runs if run.name == main and run.done]
    if not runs:
        return
    yield ["main, mean of seeds", "pairs", "strict before", "after", "accuracy before", "after"]
    kinds = sorted({kind for run in runs for kind in run.kinds.values()})
    for kind in kinds:
        row = [mean([run.share(i if i == 0 else run.last, f"{metric} / {kind}") for run in runs])
               for metric in ("strict", "accuracy") for i in (0, 1)]
        yield [kind, str(sum(k == kind for k in runs[0].kinds.values())), *map(figure, row)]


def rows_of_skills(runs, main):
    """What else the model can: of every evaluator that judges no pairs, before and after."""
    yield ["other skills", "seed", "before", "after", "change"]
    for run in (run for run in runs if run.name == main and run.done):
        for (iteration, evaluator, metric) in sorted(run.scores):
            if iteration != 0 or not evaluator.endswith("skills") or change(run, metric, run.last) is None:
                continue
            yield [metric, run.seed, figure(run.share(0, metric)), figure(run.share(run.last, metric)),
                   "-" if run.last == 0 else f"{change(run, metric, run.last):+.3f}"]


def show(rows, markdown):
    rows = list(rows)
    if len(rows) < 2:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells).rstrip())
        if markdown and n == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print()


COLORS = ["#1b6ca8", "#c0392b", "#7f8c8d", "#27ae60", "#8e44ad", "#d68910", "#16a085", "#2c3e50", "#b7950b", "#e377c2", "#8b4513", "#00bcd4"]


def plot(runs, path):
    """Two panels, strict and accuracy over iterations: a thin line for each run, a thick one for the mean of a recipe."""
    names = sorted({run.name for run in runs}, key=lambda name: min(i for i, run in enumerate(runs) if run.name == name))
    most = max((run.last for run in runs), default=1) or 1
    shares = [run.share(i, m) for run in runs for m in ("strict", "accuracy") for i in range(run.last + 1)]
    shares = [s for s in shares if s is not None]
    low, high = math.floor(min(shares) * 20) / 20, math.ceil(max(shares) * 20) / 20
    width, height, left, top = 360, 260, 50, 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (width + left) + 30}" height="{height + top + 40 + 18 * len(names)}" '
           'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    for panel, metric in enumerate(("strict", "accuracy")):
        x0 = left + panel * (width + left + 10)
        at = lambda i, v: (x0 + width * i / most, top + height * (high - v) / (high - low))
        out.append(f'<text x="{x0}" y="{top - 14}" font-weight="bold">{metric}</text>')
        for k in range(round((high - low) / 0.05) + 1):
            _, y = at(0, low + 0.05 * k)
            out.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
                       f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{low + 0.05 * k:.2f}</text>')
        for i in range(most + 1):
            out.append(f'<text x="{at(i, low)[0]:.1f}" y="{top + height + 16}" text-anchor="middle">{i}</text>')
        for n, name in enumerate(names):
            group = [[run.share(i, metric) for i in range(run.last + 1)] for run in runs if run.name == name]
            means = [mean([line[i] for line in group if len(line) > i]) for i in range(max(map(len, group)))]
            for line, stroke in [(line, "1\" opacity=\"0.35") for line in group] + [(means, "2.5")]:
                points = " ".join("%.1f,%.1f" % at(i, v) for i, v in enumerate(line) if v is not None)
                out.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[n % len(COLORS)]}" stroke-width="{stroke}"/>')
    for n, name in enumerate(names):
        y = top + height + 40 + 18 * n
        out.append(f'<rect x="{left}" y="{y - 9}" width="22" height="4" fill="{COLORS[n % len(COLORS)]}"/><text x="{left + 30}" y="{y - 3}">'
                   f'{html.escape(name)} ({sum(run.name == name for run in runs)})</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n</svg>\n")


def run_once(command, path):
    """The exit code, 128 and the signal's number where one ended it. A signal to this program is passed on, and waited for."""
    with open(path, "a", encoding="utf-8") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as process:
        stopped = []

        def stop(number, _):
            stopped.append(number)
            process.send_signal(number)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        code = process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        sys.exit(f"stopped; the same command goes on from here ({path})")
    return code if code >= 0 else 128 - code


def last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return (file.read().strip().splitlines() or ["it says nothing"])[-1]


def command_run(args):
    seeds, names = args.seeds.split(","), [os.path.splitext(os.path.basename(recipe))[0] for recipe in args.recipes]
    if not all(re.fullmatch(r"\d+", seed) for seed in seeds):
        sys.exit(f"--seeds '{args.seeds}': expected numbers with commas between them, as 17,18,19")
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"two recipes are called {name}: their runs would lie in one folder; rename one")
    if not (os.path.isfile(args.vjrun) and os.access(args.vjrun, os.X_OK)):
        sys.exit(f"{args.vjrun}: no program to run; build it, or say where it is by --vjrun")
    os.makedirs(args.out, exist_ok=True)
    worst = 0
    for seed in seeds:
        for recipe, name in zip(args.recipes, names):
            folder = os.path.join(args.out, f"{name}-{seed}")
            command = [args.vjrun, "run", recipe, "--set", f"seed={seed}", "--run-dir", folder]
            print("$", " ".join(command), flush=True)
            start = time.time()
            code = run_once(command, folder + ".log")
            print(f"  exit {code}, {time.time() - start:.0f} s" + (f": {folder}.log: {last_line(folder + '.log')}" if code else ""), flush=True)
            worst = max(worst, code)
    return worst


def command_table(args):
    folders = [f for f in glob.glob(os.path.join(args.out, "*-*")) if os.path.exists(os.path.join(f, "ledger.sqlite"))]
    runs = []
    for folder in folders:
        try:
            runs.append(Run(folder))
        except (LeftOut, sqlite3.DatabaseError) as error:  # a ledger has no tables in its first moments
            print(f"{folder}: left out: {error}", file=sys.stderr)
    runs.sort(key=lambda run: (run.name != args.main, run.name, int(run.seed)))
    runs = [run for run in runs if 0 in run.right]
    if not runs:
        sys.exit(f"{args.out}: no run in it has measured a judge of pairs yet; start some with: {sys.argv[0]} run RECIPE...")
    known = {run.name for run in runs}
    controls = [name for name in args.controls.split(",") if name] or sorted(known - {args.main})
    for name in [args.main, *controls]:
        if name not in known:
            sys.exit(f"{args.out}: no run of '{name}' is there; there are {', '.join(sorted(known))}")
    for rows in (rows_of_runs(runs), rows_against(runs, args.main, controls), rows_of_kinds(runs, args.main), rows_of_skills(runs, args.main)):
        show(rows, args.format == "markdown")
    if not all(run.done for run in runs):
        print("* not finished")
    print(f"images in both the questions and the measured pairs, over all runs: {sum(run.shared for run in runs)}")
    plot(runs, os.path.join(args.out, "study.svg"))
    print("plot:", os.path.join(args.out, "study.svg"))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="command", required=True)
    run = sub.add_parser("run")
    run.add_argument("--vjrun", default=os.path.join(TOP, "build", "vjrun"))
    run.add_argument("--seeds", default="17,18,19")
    run.add_argument("recipes", nargs="+", metavar="RECIPE")
    table = sub.add_parser("table")
    table.add_argument("--main", default="self-improvement")
    table.add_argument("--controls", default="", help="what to test it against; default: all the others")
    table.add_argument("--format", choices=("text", "markdown"), default="text")
    for command in (run, table):
        command.add_argument("--out", default=os.path.join(TOP, "runs", "study"))
    args = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no fault
    return command_run(args) if args.command == "run" else command_table(args)


if __name__ == "__main__":
    sys.exit(main())
