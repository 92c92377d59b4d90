#!/usr/bin/env python3
"""kill -9 at random moments of a run on canned replies, then the same command: the export is that of an uninterrupted
run, byte for byte, and nothing that was answered is asked again. Prints TAP.

VJ_KILLS sets the number of kills (default 40), VJ_KILLS_A_RUN how many one run survives (default 3), VJ_KILL_SEED which
moments, VJ_RECIPE another recipe (tests/faults/kill-quickstart.sh)."""
import os
import random
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


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    rng = random.Random(int(os.environ.get("VJ_KILL_SEED", "1")))
    recipe = RECIPE or harness.recipe_copy(os.path.join(top, "recipe"))
    # With replay, so that a training that is killed also asks the plugins again.
    replay = () if RECIPE else ("--set", "iteration.train.replay=1", "--set", "iteration.train.replay_rewrites=0.3")
    more = () if RECIPE else replay + ("--set", "models.base.order=shuffled", "--set", "models.judge.order=shuffled")

    started = time.monotonic()
    first = harness.run(recipe, os.path.join(top, "reference"), *replay)
    duration = time.monotonic() - started
    expected = results(os.path.join(top, "reference"))
    tap.check(first.returncode == 0 and len(expected) > 5, "the uninterrupted run ends well", first.stderr)
    if not RECIPE:
        other = harness.run(recipe, os.path.join(top, "shuffled"), *more)
        tap.check(results(os.path.join(top, "shuffled")) == expected and other.returncode == 0,
                  "the order of replies changes nothing", other.stderr)
    # A run goes on from where it was killed: with many kills each must come soon enough for the next to find work.
    span = duration * min(1.0, 4.0 / KILLS_A_RUN)

    kills = number = 0
    trial.before = {}
    while kills < KILLS and number < 4 * KILLS:
        number += 1
        run_dir = os.path.join(top, f"run-{number}")
        survived, faults = trial(recipe, run_dir, rng, span, more)
        kills += survived
        exported = results(run_dir)
        faults += [f"{name} differs" for name in sorted(exported.keys() | expected.keys())
                   if exported.get(name) != expected.get(name)]
        print(f"# run {number}: {survived} kills, {kills} in all", flush=True)
        if faults:
            tap.check(False, f"run {number} survives {survived} kills", "\n".join(faults))
    tap.check(kills >= KILLS, f"{kills} kills in {number} runs: exports and models alike, nothing answered asked again")
    keep.cleanup()
    tap.done()


main()
