#!/usr/bin/env python3
"""kill -9 at random moments of runs on canned replies (plain, and with gate and reuse), then the same command: the export is that of an uninterrupted
run, byte for byte, and nothing that was answered is asked again. Prints TAP.

VJ_KILLS sets the number of kills (default 40), VJ_KILLS_A_RUN how many one run survives (default 3), VJ_KILL_SEED which
moments, VJ_RECIPE another recipe (tests/faults/kill-quickstart.sh)."""
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

KILLS = int(os.environ.get("VJ_KILLS", "40"))
KILLS_A_RUN = int(os.environ.get("VJ_KILLS_A_RUN", "3"))
RECIPE = os.environ.get("VJ_RECIPE")


def claims(run_dir):
    """key -> (times claimed, answered) of the ledger."""
    path = os.path.join(run_dir, "ledger.sqlite")
    if not os.path.exists(path):
        return {}
    with sqlite3.connect(path) as ledger:
        try:
            return {key: (n, answered) for key, n, answered in ledger.execute("SELECT key, claims, answered FROM replies")}
        except sqlite3.OperationalError:  # killed before the tables were made
            return {}


def kill_at(recipe, run_dir, seconds, *more):
    """Starts the run and kills it after `seconds`; whether it was still at work."""
    process = harness.start(recipe, run_dir, *more)
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        harness.kill(process)
        return True


def results(run_dir):
    """What a run is for: its export and the models it trained."""
    models = harness.file_bytes(os.path.join(run_dir, "models"))
    return harness.export_bytes(run_dir) | {os.path.join("models", name): data for name, data in models.items()}


def trial(recipe, run_dir, rng, span, more):
    """Up to KILLS_A_RUN kills within `span` seconds each, then to the end. (kills, what went wrong)"""
    faults, answered, kills = [], set(), 0
    for _ in range(KILLS_A_RUN):
        if not kill_at(recipe, run_dir, rng.uniform(0, span), *more):
            break
        kills += 1
        now = claims(run_dir)
        lost = [key for key in answered if not now.get(key, (0, 0))[1]]
        if lost:
            faults.append(f"{len(lost)} answered draws were lost")
        answered = {key for key, (_, done) in now.items() if done}
        before = {key: now[key][0] for key in answered}
        again = [key for key, n in before.items() if key in trial.before and n != trial.before[key]]
        if again:
            faults.append(f"{len(again)} answered draws were asked again")
        trial.before = before
    result = harness.run(recipe, run_dir, *more)
    if result.returncode != 0:
        faults.append(f"the resumed run ended with {result.returncode}: {result.stderr}")
    after = claims(run_dir)
    again = [key for key, n in trial.before.items() if after[key][0] != n]
    if again:
        faults.append(f"{len(again)} answered draws were asked again at the end")
    trial.before = {}
    return kills, faults


def torture(tap, top, recipe, wanted, always=(), shuffled=(), prepared=None):
    """Runs the recipe whole, then kills it `wanted` times in all; everything lives below `top`. Runs go on from a copy of
    the run directory `prepared`, if it is given."""
    rng = random.Random(int(os.environ.get("VJ_KILL_SEED", "1")))
    name = os.path.basename(top)
    started = time.monotonic()
    first = harness.run(recipe, os.path.join(top, "reference"), *always)
    duration = time.monotonic() - started
    expected = results(os.path.join(top, "reference"))
    tap.check(first.returncode == 0 and len(expected) > 5, f"{name}: the uninterrupted run ends well", first.stderr)
    if shuffled:
        other = harness.run(recipe, os.path.join(top, "shuffled"), *always, *shuffled)
        tap.check(results(os.path.join(top, "shuffled")) == expected and other.returncode == 0,
                  f"{name}: the order of replies changes nothing", other.stderr)
    more = always + shuffled
    # A run goes on from where it was killed: with many kills each must come soon enough for the next to find work.
    span = duration * min(1.0, 4.0 / KILLS_A_RUN)

    kills = number = 0
    trial.before = {}
    while kills < wanted and number < 4 * wanted:
        number += 1
        run_dir = os.path.join(top, f"run-{number}")
        if prepared:
            shutil.copytree(prepared, run_dir)
        survived, faults = trial(recipe, run_dir, rng, span, more)
        kills += survived
        if survived == 0:  # the machine has become quieter than it was when the uninterrupted run was timed
            span *= 0.7
        exported = results(run_dir)
        faults += [f"{file} differs" for file in sorted(exported.keys() | expected.keys())
                   if exported.get(file) != expected.get(file)]
        print(f"# {name}: run {number}: {survived} kills, {kills} in all", flush=True)
        if faults:
            tap.check(False, f"{name}: run {number} survives {survived} kills", "\n".join(faults))
    tap.check(kills >= wanted, f"{name}: {kills} kills in {number} runs: exports and models alike, nothing answered asked again")
    return expected


def loop_recipe(folder):
    """All that `repeat` has: a promotion, a rollback, a stop, reused pairs and all traces."""
    return harness.loop_copy(folder, ["good", "bad", "bad", "same"], change=lambda text: text.replace(
        "repeat: { iterations: 3, gate: { count: 40 } }",
        "repeat: { iterations: 5, pairs: reuse, traces: all, gate: { count: 40, patience: 2 } }"))


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    if RECIPE:
        torture(tap, os.path.join(top, "recipe"), RECIPE, KILLS)
    else:
        shuffled = ("--set", "models.base.order=shuffled", "--set", "models.judge.order=shuffled")
        # With replay, so that a training that is killed also asks the plugins again.
        replay = ("--set", "iteration.train.replay=1", "--set", "iteration.train.replay_rewrites=0.3")
        torture(tap, os.path.join(top, "plain"), harness.recipe_copy(os.path.join(top, "plain-recipe")), KILLS, replay, shuffled)
        expected = torture(tap, os.path.join(top, "loop"), loop_recipe(os.path.join(top, "loop-recipe")), KILLS, replay, shuffled)
        outcomes = [json.loads(line)["outcome"] for line in expected["gate.jsonl"].splitlines()]
        tap.check(outcomes == ["promoted", "rolled back", "stopped"], "loop: with every outcome of a gate", outcomes)
        # At this level nothing is ever worse: the second gate undoes its rollback and what was built on it.
        torture(tap, os.path.join(top, "other-level"), os.path.join(top, "loop-recipe", "loop.yaml"), max(KILLS // 4, 1),
                (*replay, "--set", "repeat.gate.alpha=1.0e-12", "--set", "repeat.gate.min_parsed=0.1"), prepared=os.path.join(top, "loop", "reference"))
    keep.cleanup()
    tap.done()


main()
