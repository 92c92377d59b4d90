#!/usr/bin/env python3
"""kill -9 at random moments of a run on canned replies, then the same command: the export is that of an uninterrupted
run, byte for byte, and nothing that was answered is asked again. Prints TAP.

VJ_KILLS sets the number of kills (default 40), VJ_KILL_SEED which moments."""
import os
import random
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

KILLS = int(os.environ.get("VJ_KILLS", "40"))
KILLS_A_RUN = 3  # one run survives several


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


def trial(recipe, run_dir, rng, duration, more):
    """Up to KILLS_A_RUN kills, then to the end. (kills, what went wrong)"""
    faults, answered, kills = [], set(), 0
    for _ in range(KILLS_A_RUN):
        if not kill_at(recipe, run_dir, rng.uniform(0, duration), *more):
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
    recipe = harness.recipe_copy(os.path.join(top, "recipe"))
    more = ("--set", "models.base.order=shuffled", "--set", "models.judge.order=shuffled")

    started = time.monotonic()
    first = harness.run(recipe, os.path.join(top, "reference"))
    duration = time.monotonic() - started
    expected = harness.export_bytes(os.path.join(top, "reference"))
    tap.check(first.returncode == 0 and len(expected) > 5, "the uninterrupted run ends well", first.stderr)
    other = harness.run(recipe, os.path.join(top, "shuffled"), *more)
    tap.check(harness.export_bytes(os.path.join(top, "shuffled")) == expected and other.returncode == 0,
              "the order of replies changes nothing", other.stderr)

    kills = number = 0
    trial.before = {}
    while kills < KILLS and number < 4 * KILLS:
        number += 1
        run_dir = os.path.join(top, f"run-{number}")
        survived, faults = trial(recipe, run_dir, rng, duration, more)
        kills += survived
        exported = harness.export_bytes(run_dir)
        faults += [f"the export differs in {name}" for name in sorted(exported.keys() | expected.keys())
                   if exported.get(name) != expected.get(name)]
        if faults:
            tap.check(False, f"run {number} survives {survived} kills", "\n".join(faults))
    tap.check(kills >= KILLS, f"{kills} kills in {number} runs: exports alike, nothing answered asked again")
    keep.cleanup()
    tap.done()


main()
