#!/usr/bin/env python3
"""Whole runs on canned replies: all stages, the second run, changed recipes, exit codes. Prints TAP."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def test_whole(tap, top):
    recipe = harness.recipe_copy(os.path.join(top, "whole"))
    log = os.path.join(top, "asked")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
    run_dir = os.path.join(top, "run")
    first = harness.run(recipe, run_dir, *sets)
    tap.check(first.returncode == 0, "a run ends with exit 0", first.stderr)
    for text in ("questions                 40 in      40 kept", "iteration 2", "accuracy", "exact McNemar", run_dir):
        tap.check(text in first.stdout, f"its summary says '{text}'", first.stdout)
    tap.check(os.path.isdir(os.path.join(run_dir, "models", "iteration-2")), "each iteration leaves a model")
    asked = len(harness.lines(log))
    tap.check(asked > 0, "the backend was asked")
    second = harness.run(recipe, run_dir, *sets)
    tap.check(second.returncode == 0 and "nothing to do" in second.stderr, "the same command again has nothing to do",
              second.stderr)
    tap.check(second.stdout == first.stdout, "and prints the same summary", second.stdout)
    tap.check(len(harness.lines(log)) == asked, "and asks nothing")


def test_pretrain(tap, top):
    run_dir = os.path.join(top, "pretrain")
    recipe = os.path.join(harness.CANNED, "pretrain.yaml")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 0, "pretraining ends with exit 0", result.stderr)
    final = os.path.join(run_dir, "models", "final")
    lessons = harness.lines(os.path.join(final, "lessons.jsonl"))
    tap.check(len(lessons) == 25 and final in result.stdout, "the last course's lessons made models/final", result.stdout)
    other = os.path.join(top, "pretrain-again")
    harness.run(recipe, other)
    tap.check(harness.lines(os.path.join(other, "models", "final", "lessons.jsonl")) == lessons, "lessons depend on the seed alone")
    judged = [line for line in lessons if "so [[" in line]
    tap.check(judged and '"role":"assistant"' in judged[0], "a lesson's gold is the assistant's message", lessons[-1])
    tap.check("scene-skills                  pretrained" in result.stdout, "and the result is evaluated", result.stdout)
    told = subprocess.run([harness.VJRUN, "explain", "pretrained: evaluate:scene-skills", run_dir], capture_output=True, text=True, check=False)
    tap.check(told.returncode == 0 and "(9 cases)" in told.stdout and " of " in told.stdout, "which explain tells as well", told.stdout + told.stderr)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    test_whole(tap, top)
    test_pretrain(tap, top)
    keep.cleanup()
    tap.done()


main()
