#!/usr/bin/env python3
"""recipes/quickstart.yaml with small counts, on the real engine and the embedded model: no stub anywhere. Prints TAP."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

RECIPE = os.path.join(harness.SOURCE, "recipes", "quickstart.yaml")
SMALL = ("--set", "iteration.questions.0.count=60", "--set", "evaluate.0.count=20", "--set", "iteration.train.epochs=1",
         "--set", "iteration.audit.images.sample=6", "--set", "repeat.iterations=1", "--set", "repeat.gate.count=30", "--set", "repeat.gate.alpha=1.0e-12",
         "--set", "repeat.gate.min_parsed=0.01")


def test_run(tap, top):
    run_dir = os.path.join(top, "run")
    result = harness.run(RECIPE, run_dir, *SMALL)
    tap.check(result.returncode == 0, "the quickstart runs", result.stderr)
    tap.check("60 in      60 kept" in result.stdout and "before                iteration 1" in result.stdout,
              "it ends with the funnel and the scores before and after", result.stdout)
    model = os.path.join(run_dir, "models", "iteration-1")
    tap.check(os.path.exists(os.path.join(model, "model.safetensors")) and model in result.stdout, "and with a new judge", result.stdout)
    return run_dir


def test_memory(tap, top):
    """What a memory limit leaves no room for is never taken for an answer: with more memory the same command goes on."""
    run_dir = os.path.join(top, "memory")
    starved = harness.run(RECIPE, run_dir, *SMALL, "--set", "models.judge.memory_limit=1", "--set", "models.base.memory_limit=1")
    tap.check(starved.returncode == 10 and "raise memory_limit" in starved.stderr, "too little memory for a request ends the run", starved.stderr)
    fed = harness.run(RECIPE, run_dir, *SMALL)
    tap.check(fed.returncode == 0 and not any("memory" in line for line in harness.lines(os.path.join(run_dir, "export", "quarantine.jsonl"))),
              "with more of it the same run ends well", fed.stderr)


def test_adapter(tap, top):
    """The same with LoRA, its factors kept alone: a small directory beside its base, which evaluation and `vjrun judge` open."""
    run_dir, base = os.path.join(top, "adapter"), os.path.join(top, "base")
    shutil.copytree(os.path.join(harness.SOURCE, "models", "vj-tiny"), base)
    more = (*SMALL, "--set", "iteration.questions.0.count=40", "--set", "iteration.train.lora_rank=4", "--set", "iteration.train.lora_dropout=0.1",
            "--set", "iteration.train.save=adapter", "--set", "iteration.train.checkpointing=layers", "--set", f"models.judge.path={base}")
    result = harness.run(RECIPE, run_dir, *more)
    tap.check(result.returncode == 0 and "iteration 1" in result.stdout, "with LoRA it runs", result.stderr)
    model = os.path.join(run_dir, "models", "iteration-1")
    names = sorted(os.listdir(model))
    tap.check(names == ["adapter_config.json", "adapter_model.safetensors", "vj-lineage.json"], "and leaves the adapter alone", names)
    with open(os.path.join(model, "adapter_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    tap.check(os.path.samefile(config["base_model_name_or_path"], base) and config["r"] == 4,
              "which names its base", config)
    test_judge(tap, run_dir)
    with open(os.path.join(base, "model.safetensors"), "r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(bytes(8))
    changed = harness.run(RECIPE, run_dir, *more, "--set", "repeat.iterations=2", "--set", "repeat.pairs=reuse")
    tap.check(changed.returncode == 4 and f"'{model}': it is not the model this run began with: its files are those that were made, but what they adapt" in changed.stderr,
              "and is refused on another base", changed.stderr)


def judge(run_dir, *more):
    images = os.path.join(run_dir, "export", "images")
    image = os.path.join(images, sorted(os.listdir(images))[0])
    return subprocess.run(
        [harness.VJRUN, "judge", os.path.join(run_dir, "models", "iteration-1"), "--recipe", RECIPE, "--image", image, "--question",
         "describe the image", "--answer-a", "one shape ; center large red square", "--answer-b", "two shapes ; center large red square", *more],
        capture_output=True, text=True, timeout=300, check=False)


def test_settings(tap, run_dir):
    """What the recipe, --set and --deploy say of the judge's model holds for `vjrun judge` too."""
    starved = judge(run_dir, "--set", "models.judge.memory_limit=1")
    tap.check("raise memory_limit" in starved.stderr, "the model's settings are the recipe's", starved.stderr)
    plain = judge(run_dir, "--set", "models.judge.compute=cpu:generic", "-v")
    tap.check(plain.returncode == 0 and "bf16 by generic" in plain.stderr, "its compute", plain.stderr)
    ref = judge(run_dir, "--set", "models.judge.compute=cpu:generic", "--compute", "ref", "-v")
    tap.check(ref.returncode == 0 and "compute ref" in ref.stderr, "which --compute goes before", ref.stderr)
    for name in ("fast", "cpu:fast"):
        wrong = judge(run_dir, "--compute", name)
        tap.check(wrong.returncode == 3 and f"'{name}'" in wrong.stderr and "built in are auto, cpu, cpu:amx" in wrong.stderr,
                  f"'{name}', which nothing is called, is told all there are", wrong.stderr)


def test_judge(tap, run_dir):
    result = judge(run_dir)
    tap.check(result.returncode == 0 and result.stdout.count("\n  verdict  ") == 2 and result.stdout.count("\n  trace    ") == 2,
              "which judges one pair in both orders", result.stdout + result.stderr)


def test_look(tap, run_dir):
    for name, words in (("status", ["ledger"]), ("explain", ["what became of it", "image"])):
        arguments = ["q1.0.000000", run_dir] if name == "explain" else [run_dir]
        result = subprocess.run([harness.VJRUN, name, *arguments], capture_output=True, text=True, timeout=60, check=False)
        tap.check(result.returncode == 0 and all(word in result.stdout for word in words), f"vjrun {name} tells of it", result.stdout + result.stderr)
    for layout in ("jsonl", "llama-factory", "trl"):
        result = subprocess.run([harness.VJRUN, "export", run_dir, "--format", layout], capture_output=True, text=True, timeout=60, check=False)
        tap.check(result.returncode == 0 and os.path.isdir(os.path.join(run_dir, f"export-{layout}")), f"vjrun export writes {layout}",
                  result.stderr)


def test_gate(tap, top):
    """The engine opens the judge, then the candidate in its place, and both give verdicts."""
    run_dir = os.path.join(top, "gate")
    result = harness.run(RECIPE, run_dir, *SMALL, "--set", "iteration.questions.0.count=40", "--set", "evaluate.0.count=5", "--set", "repeat.gate.count=30")
    gates = [json.loads(line) for line in harness.lines(os.path.join(run_dir, "export", "gate.jsonl"))]
    sides = [gates[0][side] for side in ("current", "candidate")] if gates else []
    tap.check(result.returncode == 0 and len(gates) == 1 and gates[0]["pairs"] > 5, "a gate is passed", result.stdout + result.stderr)
    tap.check(len(sides) == 2 and sides[0]["identity"] != sides[1]["identity"] and all(side["right"] > 0 and side["unanswered"] == 0 for side in sides),
              "by two judges that answer", gates)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    run_dir = test_run(tap, top)
    test_judge(tap, run_dir)
    test_settings(tap, run_dir)
    test_look(tap, run_dir)
    test_gate(tap, top)
    test_memory(tap, top)
    test_adapter(tap, top)
    keep.cleanup()
    tap.done()


main()
