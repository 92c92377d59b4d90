#!/usr/bin/env python3
"""What a run directory holds is what its recipe says: iterations that are no longer wanted, exports of one iteration, models
that were changed behind the run's back, controls that must be known as such. Canned replies. Prints TAP."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def setting(key, value):
    return ("--set", f"{key}={value}")


def vjrun(*arguments):
    return subprocess.run([harness.VJRUN, *arguments], capture_output=True, text=True, timeout=120, check=False)


def told(result, run_dir):
    """What a run says of itself, wherever it lives."""
    return result.stdout.replace(run_dir, "RUN")


def model_bytes(run_dir):
    return harness.file_bytes(os.path.join(run_dir, "models"))


# -- iterations -------------------------------------------------------------------------

def test_fewer(tap, top):
    """With fewer iterations than before, a run is that of the fewer; with as many again, nothing was lost."""
    recipe, run_dir = harness.loop_copy(os.path.join(top, "fewer"), ["good", "same", "same"]), os.path.join(top, "fewer-run")
    three = harness.run(recipe, run_dir)
    exported, trained = harness.export_bytes(run_dir), os.path.getmtime(os.path.join(run_dir, "models", "iteration-3", "lessons.jsonl"))
    tap.check(three.returncode == 0 and "iteration 3" in three.stdout and "earlier run" not in three.stderr, "three iterations are run", three.stderr)
    one = setting("repeat.iterations", 1)
    fewer, fresh = harness.run(recipe, run_dir, *one), os.path.join(top, "fewer-fresh")
    alone = harness.run(recipe, fresh, *one)
    tap.check(fewer.returncode == 0 and told(fewer, run_dir) == told(alone, fresh), "with one, the summary is that of a fresh run of one",
              fewer.stdout + fewer.stderr)
    tap.check(harness.export_bytes(run_dir) == harness.export_bytes(fresh) and harness.export_bytes(fresh) != exported, "and so is the export")
    tap.check("iterations 2 to 3 are of an earlier run" in fewer.stderr and "repeat.iterations: 3" in fewer.stderr and "earlier run" not in alone.stderr,
              "which the log tells", fewer.stderr)
    as_json = json.loads(vjrun("status", run_dir, "--log", "json").stdout)
    tap.check({row["iteration"] for row in as_json["funnel"]} == {0, 1} and {row["label"] for row in as_json["scores"]} == {"before", "iteration 1"}
              and {row["label"] for row in as_json["tests"]} == {"iteration 1"} and len(as_json["gates"]) == 1, "status tells machines the same", as_json)
    last = vjrun("explain", "evaluate:scene-pairs", run_dir)
    tap.check(last.stdout.startswith("iteration 1: evaluate:scene-pairs"), "the last score is that of the first iteration", last.stdout + last.stderr)
    gone = vjrun("explain", "q3.0.000001", run_dir)
    tap.check(gone.returncode == 2 and "iteration 3" in gone.stderr and "repeat.iterations: 3" in gone.stderr, "a record beyond it is told as such",
              gone.stdout + gone.stderr)
    again = harness.run(recipe, run_dir)
    tap.check(again.returncode == 0 and "nothing to do" in again.stderr and again.stdout == three.stdout and harness.export_bytes(run_dir) == exported
              and os.path.getmtime(os.path.join(run_dir, "models", "iteration-3", "lessons.jsonl")) == trained,
              "with three again all is there, and nothing is trained anew", again.stderr)
    return run_dir


def test_fewer_and_changed(tap, top):
    """The gate decides otherwise while what was built on its old outcome lies beyond the last iteration: that does not come back."""
    recipe, run_dir = harness.loop_copy(os.path.join(top, "turned"), ["bad", "good"]), os.path.join(top, "turned-run")
    patient = setting("repeat.gate.patience", 2)
    first = harness.run(recipe, run_dir, *patient, *setting("repeat.iterations", 2))
    lenient = patient + setting("repeat.gate.alpha", 1e-6)
    turned = harness.run(recipe, run_dir, *lenient, *setting("repeat.iterations", 1))
    tap.check("iteration 1  rolled back" in first.stdout and "iteration 1  promoted" in turned.stdout and "it decides otherwise" in turned.stderr,
              "the gate decides otherwise in a run of one iteration", first.stdout + turned.stdout + turned.stderr)
    result, fresh = harness.run(recipe, run_dir, *lenient, *setting("repeat.iterations", 2)), os.path.join(top, "turned-fresh")
    alone = harness.run(recipe, fresh, *lenient, *setting("repeat.iterations", 2))
    tap.check(result.returncode == 0 and told(result, run_dir) == told(alone, fresh) and harness.export_bytes(run_dir) == harness.export_bytes(fresh)
              and model_bytes(run_dir) == model_bytes(fresh), "iterations that come back are those of a fresh run", result.stderr + result.stdout)


def test_courses(tap, top):
    """models/final is the last course's, also when another course becomes the last."""
    with open(os.path.join(harness.CANNED, "pretrain.yaml"), encoding="utf-8") as file:
        two = file.read()
    second = two.index("    - lessons: [ { use: scene-lessons, count: 20 }")
    one = two[:second] + two[two.index("evaluate:"):]
    folder, run_dir = os.path.join(top, "courses"), os.path.join(top, "courses-run")
    os.makedirs(folder)
    shutil.copyfile(os.path.join(harness.CANNED, "replies.json"), os.path.join(folder, "replies.json"))
    recipe = os.path.join(folder, "recipe.yaml")

    def once(text, where):
        with open(recipe, "w", encoding="utf-8") as file:
            file.write(text)
        return harness.run(recipe, where)

    results = [once(text, run_dir) for text in (two, one, two)]
    tap.check(all(result.returncode == 0 for result in results), "courses come and go", "\n".join(result.stderr for result in results))
    tap.check("pretrain.courses" in results[1].stderr and "pretrain.courses" in results[2].stderr and "pretrain.courses" not in results[0].stderr,
              "which the log tells", results[1].stderr)
    for name, text, result in (("fewer", one, results[1]), ("more", two, results[2])):
        fresh = os.path.join(top, f"courses-{name}")
        alone = once(text, fresh)
        tap.check(told(result, run_dir) == told(alone, fresh), f"{name}: the summary is that of a fresh run", result.stdout)
        if name == "more":
            tap.check({file: data for file, data in model_bytes(run_dir).items() if "training" not in file}
                      == {file: data for file, data in model_bytes(fresh).items() if "training" not in file}, f"{name}: and the models are")
    once(one, run_dir)
    final = harness.lines(os.path.join(run_dir, "models", "final", "lessons.jsonl"))
    tap.check(len(final) == 30, "models/final is what the last course made", len(final))


def test_one_iteration(tap, top, run_dir):
    """An iteration that is not there is refused, and the export of before stays."""
    out = os.path.join(top, "one-out")
    second = vjrun("export", run_dir, "--iteration", "2", "--out", out)
    rows = [json.loads(line) for line in harness.lines(os.path.join(out, "traces.jsonl"))]
    tap.check(second.returncode == 0 and rows and {row["iteration"] for row in rows} == {2}, "one iteration is exported", second.stderr)
    before = harness.file_bytes(out)
    for number, words in ((7, "choose one from 1 to 3"), (4, "choose one from 1 to 3"), (0, "counted from 1"), (-1, "counted from 1")):
        result = vjrun("export", run_dir, "--iteration", str(number), "--out", out)
        tap.check(result.returncode == 2 and words in result.stderr and result.stdout == "" and harness.file_bytes(out) == before,
                  f"iteration {number} is refused and replaces nothing", result.stdout + result.stderr)
    pretrained = os.path.join(top, "courses-run")
    result = vjrun("export", pretrained, "--iteration", "1", "--out", os.path.join(top, "none"))
    tap.check(result.returncode == 2 and "pretrains" in result.stderr and not os.path.exists(os.path.join(top, "none")), "so is one of pretraining",
              result.stderr)


# -- models that were changed ------------------------------------------------------------

def alter(path):
    """Other bytes of the same length, as good a rule file, under the same times as before; at once, for a run may be reading them."""
    with open(path, "rb") as file:
        data = file.read()
    times, beside = os.stat(path), os.path.join(os.path.dirname(path), ".beside")
    changed = data.replace(b'"reply": "', b'"reply" :"', 1)
    assert changed != data, "no reply to change"
    with open(beside, "wb") as file:
        file.write(changed)
    os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(beside, path)
    return data


def restore(path, data):
    with open(path, "wb") as file:
        file.write(data)


def refused(tap, result, what, name):
    tap.check(result.returncode == 4 and "is not the model that this run has trained" in result.stderr and what in result.stderr
              and "put back what was there" in result.stderr and "--run-dir" in result.stderr, name, result.stdout + result.stderr)


def test_changed_model(tap, top):
    folder, run_dir, log = os.path.join(top, "changed"), os.path.join(top, "changed-run"), os.path.join(top, "changed-log")
    recipe = harness.loop_copy(folder, ["good", "same", "same"],
                               change=lambda text: text.replace("use: canned, path: .", f"use: canned, path: ., log: {log}").replace(", gate: { count: 40 }", ""))
    one, model = setting("repeat.iterations", 1), os.path.join(run_dir, "models", "iteration-1")
    first = harness.run(recipe, run_dir, *one)
    asked, ledger = len(harness.lines(log)), harness.export_bytes(run_dir)
    replies = os.path.join(model, "replies.json")
    data = alter(replies)
    for name, more in (("on resume", one), ("before it is used", ())):
        result = harness.run(recipe, run_dir, *more)
        refused(tap, result, f"iteration 1: train: '{model}': ", f"a changed model is refused {name}")
        tap.check("'replies.json' has changed" in result.stderr and len(harness.lines(log)) == asked and harness.export_bytes(run_dir) == ledger,
                  "with what changed, and nothing is done", result.stderr)
    restore(replies, data)
    extra = os.path.join(model, "adapter_config.json")
    restore(extra, b"{}")
    refused(tap, harness.run(recipe, run_dir, *one), "'adapter_config.json' was added", "so is one with a file more")
    os.rename(extra, os.path.join(model, ".hidden"))
    os.rename(replies, os.path.join(top, "replies"))
    refused(tap, harness.run(recipe, run_dir, *one), "'replies.json' is missing", "and with one less")
    os.rename(os.path.join(top, "replies"), replies)
    again = harness.run(recipe, run_dir, *one)
    tap.check(again.returncode == 0 and "nothing to do" in again.stderr and again.stdout == first.stdout, "what was put back is the model again",
              again.stderr)
    copy = os.path.join(top, "changed-copy")
    shutil.copytree(run_dir, copy)
    moved = harness.run(recipe, copy)
    tap.check(moved.returncode == 0 and "iteration-3" in moved.stdout, "so is that of a copied run directory, which goes on", moved.stderr)
    os.rename(os.path.join(copy, "models", "iteration-1", "lessons.jsonl"), os.path.join(top, "lessons"))
    unused = harness.run(recipe, copy)
    tap.check(unused.returncode == 0 and "nothing to do" in unused.stderr, "a model that nothing needs any more is not looked at", unused.stderr)


def test_changed_in_use(tap, top):
    """Changed while the run is at work: noticed at the next stage that asks it."""
    recipe = harness.loop_copy(os.path.join(top, "use"), ["good", "same", "same"], change=lambda text: text.replace(", gate: { count: 40 }", ""))
    run_dir = os.path.join(top, "use-run")
    process = harness.start(recipe, run_dir, *setting("models.judge.delay", 3), *setting("models.base.delay", 3))
    ledger = os.path.join(run_dir, "ledger.sqlite")

    def noted():
        try:
            with sqlite3.connect(ledger, timeout=10) as file:
                return file.execute("SELECT 1 FROM meta WHERE key = 'made models/iteration-1'").fetchone()
        except sqlite3.OperationalError:  # not made yet
            return None

    while process.poll() is None and not noted():
        pass
    alter(os.path.join(run_dir, "models", "iteration-1", "replies.json"))
    stdout, stderr = process.communicate(timeout=300)
    refused(tap, subprocess.CompletedProcess([], process.returncode, stdout, stderr), "'replies.json' has changed", "a model that changes in use is refused")


def test_changed_course(tap, top):
    folder, run_dir = os.path.join(top, "course"), os.path.join(top, "course-run")
    os.makedirs(folder)
    for name in ("replies.json", "pretrain.yaml"):
        shutil.copyfile(os.path.join(harness.CANNED, name), os.path.join(folder, name))
    recipe = os.path.join(folder, "pretrain.yaml")
    harness.run(recipe, run_dir, *setting("pretrain.courses.1.train.fail", "true"))
    replies = os.path.join(run_dir, "models", "course-1", "replies.json")
    data = alter(replies)
    refused(tap, harness.run(recipe, run_dir), "course 1: ", "the model of a course is refused before the next")
    restore(replies, data)
    whole = harness.run(recipe, run_dir)
    alter(os.path.join(run_dir, "models", "final", "replies.json"))
    refused(tap, harness.run(recipe, run_dir), "course 2: ", "so is the last")
    tap.check(whole.returncode == 0, "and as it was it is taken", whole.stderr)


def test_not_made(tap, top):
    """An iteration that kept no trace made no model; a directory that turns up in its place is not one."""
    recipe = harness.loop_copy(os.path.join(top, "mute"), [], base="mute", change=lambda text: text.replace(", gate: { count: 40 }", ""))
    run_dir = os.path.join(top, "mute-run")
    first = harness.run(recipe, run_dir, *setting("repeat.iterations", 1))
    shutil.copytree(os.path.join(top, "changed-run", "models", "iteration-1"), os.path.join(run_dir, "models", "iteration-1"))
    second = harness.run(recipe, run_dir, *setting("repeat.iterations", 2))
    tap.check(first.returncode == 0 and second.returncode == 0 and "model    " not in second.stdout, "a foreign directory is not taken for a model",
              second.stdout + second.stderr)


# -- what became of a judgment -----------------------------------------------------------

def test_uses(tap, top):
    recipe, run_dir = harness.loop_copy(os.path.join(top, "uses"), ["good", "same"]), os.path.join(top, "uses-run")
    result = harness.run(recipe, run_dir, *setting("repeat.iterations", 2), *setting("repeat.traces", "all"), *setting("iteration.audit", "{ images: { sample: 6 } }"))
    if not tap.check(result.returncode == 0, "a run with a gate and an audit", result.stderr):
        return

    def life(condition, where=run_dir):
        with sqlite3.connect(os.path.join(where, "ledger.sqlite")) as ledger:
            name = ledger.execute(f"SELECT id FROM records WHERE kind = (SELECT kind FROM records WHERE stage = 'judge') AND {condition} ORDER BY id LIMIT 1")
            name = name.fetchone()[0]
        told = vjrun("explain", name, where)
        return told.stdout.split("what became of it\n")[1].splitlines() if told.returncode == 0 else [told.stderr]

    both = ["  iteration 1: train trained on it, which made models/iteration-1", "  iteration 2: train trained on it, which made models/iteration-2"]
    tap.check(life("stage = 'judge' AND fate = 1 AND iteration = 1") == both, "a kept trace tells which trainings it went into",
              life("stage = 'judge' AND fate = 1 AND iteration = 1") + [result.stderr])
    tap.check(life("stage = 'judge' AND fate = 1 AND iteration = 2") == both[1:], "and no other", life("stage = 'judge' AND fate = 1 AND iteration = 2"))
    tap.check(life("stage = 'judge' AND fate = 2") == ["  nothing was made of it"], "nothing is made of a dropped one", life("stage = 'judge' AND fate = 2"))
    tap.check(life("stage = 'gate' AND iteration = 2") == ["  iteration 2: gate counted it: promoted"], "a judgment for a gate tells what that decided",
              life("stage = 'gate' AND iteration = 2"))
    tap.check(life("stage = 'evaluate:scene-pairs'")[0] == "  evaluate:scene-pairs counted it", "one of an evaluation is counted there",
              life("stage = 'evaluate:scene-pairs'"))
    tap.check(life("stage = 'audit:images'")[0] == "  audit:images counted it", "and one of an audit there", life("stage = 'audit:images'"))
    untrained = os.path.join(top, "uses-untrained")
    harness.run(recipe, untrained, *setting("repeat.iterations", 1), *setting("iteration.train.fail", "true"))
    tap.check(life("stage = 'judge' AND fate = 1", untrained) == ["  nothing so far"], "before its training a trace waits",
              life("stage = 'judge' AND fate = 1", untrained))


# -- controls ---------------------------------------------------------------------------

def test_marks(tap, top):
    """Data and models of an ablation say so wherever they are taken; those of other runs say nothing."""
    recipe = harness.loop_copy(os.path.join(top, "marks"), ["good"], change=lambda text: text.replace("iterations: 3", "iterations: 1"))
    gold = setting("iteration.closed_form", "{ sample: { use: majority, model: base, n: 3, threshold: 2 }, gold: filter }")
    controls = {"plain": ((), None), "shuffled": (setting("iteration.labels", "shuffled-pairs"), {"labels": "shuffled-pairs"}),
                "gold": (gold, {"gold": "filter"}), "both": (gold + setting("iteration.labels", "shuffled-pairs"),
                                                              {"labels": "shuffled-pairs", "gold": "filter"})}
    for name, (more, marks) in controls.items():
        run_dir = os.path.join(top, f"marks-{name}")
        result = harness.run(recipe, run_dir, *more)
        lineage = json.load(open(os.path.join(run_dir, "models", "iteration-1", "vj-lineage.json"), encoding="utf-8"))
        tap.check(result.returncode == 0 and lineage.get("ablation") == marks, f"{name}: the model says what it is", (lineage, result.stderr))
        made = [os.path.join(run_dir, "export")]
        for layout in ("jsonl", "llama-factory", "trl"):
            told = vjrun("export", run_dir, "--format", layout)
            tap.check(told.returncode == 0 and ("ABLATION" in told.stdout) == (marks is not None), f"{name}: so does the command, {layout}", told.stdout)
            made.append(os.path.join(run_dir, f"export-{layout}"))
        for folder in made:
            text = "\n".join(harness.lines(os.path.join(folder, "ABLATION.json")))
            found = json.loads(text) if text else None
            note = found.pop("note") if found else ""
            manifest = json.load(open(os.path.join(folder, "vj-manifest.json"), encoding="utf-8"))
            tap.check(found == marks and bool(note) == (marks is not None) and ("ABLATION.json" in manifest["files"]) == (marks is not None),
                      f"{name}: and {os.path.basename(folder)}", (found, sorted(os.listdir(folder))))
    back = harness.run(recipe, os.path.join(top, "marks-both"))
    tap.check(back.returncode == 0 and harness.export_bytes(os.path.join(top, "marks-both")) == harness.export_bytes(os.path.join(top, "marks-plain"))
              and model_bytes(os.path.join(top, "marks-both")) == model_bytes(os.path.join(top, "marks-plain")), "back to no control, no mark is left",
              back.stderr)


# -- files -----------------------------------------------------------------------------

def test_files(tap, top):
    """Files of models and exports are for whom the umask lets in; numbers are written as a reader would."""
    recipe = harness.loop_copy(os.path.join(top, "files"), ["good"])
    for umask, mode in ((0o022, 0o644), (0o027, 0o640), (0o077, 0o600)):
        run_dir = os.path.join(top, f"files-{umask}")
        harness.run(recipe, run_dir, *setting("repeat.iterations", 1), umask=umask)
        for name in ("models/iteration-1/vj-lineage.json", "export/vj-manifest.json", "export/traces.jsonl", "export/gate.jsonl"):
            found = os.stat(os.path.join(run_dir, name)).st_mode & 0o777
            tap.check(found == mode, f"{name} has what umask {umask:03o} leaves", oct(found))
    gate = harness.lines(os.path.join(run_dir, "export", "gate.jsonl"))[0]
    status = vjrun("status", run_dir, "--log", "json").stdout
    tap.check('"alpha":0.05,' in gate and '"alpha":0.05,' in status and "00000000000" not in gate + status, "0.05 is written 0.05", gate)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    run_dir = test_fewer(tap, top)
    test_fewer_and_changed(tap, top)
    test_courses(tap, top)
    test_one_iteration(tap, top, run_dir)
    test_changed_model(tap, top)
    test_changed_in_use(tap, top)
    test_changed_course(tap, top)
    test_not_made(tap, top)
    test_uses(tap, top)
    test_files(tap, top)
    test_marks(tap, top)
    keep.cleanup()
    tap.done()


main()
