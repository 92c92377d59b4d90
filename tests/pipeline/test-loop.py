#!/usr/bin/env python3
"""Several iterations on canned replies: the gate promotes, rolls back and stops; variants of `repeat`; the controls; the
lineage of a score. Judges are as good as a test wants them: the trainer gives each new model the replies of `becomes`.
Prints TAP."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def setting(key, value):
    return ("--set", f"{key}={value}")


def gates(run_dir):
    return [json.loads(line) for line in harness.lines(os.path.join(run_dir, "export", "gate.jsonl"))]


def outcomes(run_dir):
    return [gate["outcome"] for gate in gates(run_dir)]


def sql(run_dir, text, *values):
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        return ledger.execute(text, values).fetchall()


def records(run_dir, name):
    return [json.loads(line) for line in harness.lines(os.path.join(run_dir, "export", f"{name}.jsonl"))]


def lessons(run_dir, number):
    return harness.lines(os.path.join(run_dir, "models", f"iteration-{number}", "lessons.jsonl"))


def vjrun(*arguments):
    return subprocess.run([harness.VJRUN, *arguments], capture_output=True, text=True, timeout=120, check=False)


def stages(run_dir, iteration):
    return [name for name, in sql(run_dir, "SELECT name FROM stages WHERE iteration = ? AND state = 1 ORDER BY rowid", iteration)]


def test_promotion(tap, top):
    recipe, run_dir = harness.loop_copy(os.path.join(top, "good"), ["good", "same", "bad"]), os.path.join(top, "good-run")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 0, "a run with a gate ends well", result.stderr)
    tap.check(outcomes(run_dir) == ["promoted", "promoted", "stopped"], "what is better or no worse is promoted, what is worse ends the run",
              result.stdout)
    first, second, third = gates(run_dir)
    n = first["pairs"]
    tap.check(first["gained"] > 10 and first["lost"] == 0 and first["p"] < 0.05 and first["candidate"]["strict"] == n == 40,
              "the figures of a promotion are kept", first)
    tap.check(first["current"]["model"] == "models.judge" and second["current"]["model"] == "models/iteration-1"
              and third["current"]["model"] == "models/iteration-2" and third["judge"] == "models/iteration-2",
              "each candidate is held against the judge that stands", gates(run_dir))
    tap.check((second["gained"], second["lost"], second["p"]) == (0, 0, 1), "an equal candidate differs nowhere", second)
    tap.check(third["reason"].startswith("significantly worse at alpha 0.05; ")
              and third["reason"].endswith("; 1 in a row without promotion, patience is 1"), "the reason is kept", third)
    for text in ("held out for the gate", "evaluation below has a say", "  iteration 1  promoted", "  iteration 3  stopped",
                 "the judge stays models/iteration-2; evaluations of this iteration measure it", "40 lost of 40; exact McNemar p = 1.82e-12",
                 f"model    {run_dir}/models/iteration-2"):
        tap.check(text in result.stdout, f"the summary says '{text}'", result.stdout)
    tap.check(all(len(line) <= 100 for line in result.stdout.splitlines() if run_dir not in line), "in 100 columns", result.stdout)
    tap.check(os.path.isdir(os.path.join(run_dir, "models", "iteration-3")), "a refused candidate stays on disk")
    evaluated = {row[0]: row[1] for row in sql(run_dir, "SELECT label, correct FROM scores WHERE metric = 'accuracy'")}
    tap.check(evaluated["iteration 3"] == evaluated["iteration 2"], "the evaluation behind it measures the judge that stands", evaluated)
    as_json = json.loads(vjrun("status", run_dir, "--log", "json").stdout)
    tap.check([gate["outcome"] for gate in as_json["gates"]] == outcomes(run_dir) and as_json["ablation"] is None, "status tells machines as well")
    again = harness.run(recipe, run_dir)
    tap.check(again.returncode == 0 and "nothing to do" in again.stderr and again.stdout == result.stdout, "the same command again has nothing to do",
              again.stderr)


def test_rollback(tap, top):
    recipe, run_dir = harness.loop_copy(os.path.join(top, "bad"), ["bad", "good", "bad"]), os.path.join(top, "bad-run")
    patient = setting("repeat.gate.patience", 2)
    # The base tosses coins, so few pairs are right in both orders; the harmful candidate has none right at all.
    result = harness.run(recipe, run_dir, *patient)
    tap.check(outcomes(run_dir) == ["rolled back", "promoted", "rolled back"], "a harmful candidate is rolled back and the run goes on",
              result.stdout + result.stderr)
    tap.check([gate["current"]["model"] for gate in gates(run_dir)] == ["models.judge", "models.judge", "models/iteration-2"],
              "from the judge that stood before", gates(run_dir))
    lineage = json.load(open(os.path.join(run_dir, "models", "iteration-2", "vj-lineage.json"), encoding="utf-8"))
    tap.check(lineage["parent"]["model"] == "models.judge" and lineage["stage"] == "iteration 2: train" and lineage["iterations"] == [2, 2],
              "which the next training starts from", lineage)
    tap.check(lineage["traces"] == len(lessons(run_dir, 2)) > 0, "and its traces are counted", lineage)
    scores = {row[0]: row[1] for row in sql(run_dir, "SELECT label, correct FROM scores WHERE metric = 'accuracy'")}
    tap.check(scores["iteration 1"] == scores["before"], "the evaluation of a rolled back iteration is that of the judge before", scores)
    log = vjrun("run", recipe, "--plugin-path", harness.PLUGINS, "--run-dir", os.path.join(top, "bad-json"), "--log", "json", *patient)
    told = [json.loads(line) for line in log.stderr.splitlines()]
    tap.check(any("iteration 1: gate: rolled back: significantly worse" in line.get("text", "") for line in told), "the log tells machines",
              log.stderr[-2000:])
    return recipe, run_dir, patient


def test_stop(tap, top):
    log, run_dir = os.path.join(top, "stop-log"), os.path.join(top, "stop-run")
    recipe = harness.loop_copy(os.path.join(top, "stop"), ["bad", "bad", "good"],
                               change=lambda text: text.replace("use: canned, path: .", f"use: canned, path: ., log: {log}"))
    stopped = harness.run(recipe, run_dir)
    tap.check(outcomes(run_dir) == ["stopped"] and stages(run_dir, 2) == [], "a spent patience ends the run", stopped.stdout)
    tap.check("stages of later iterations are not run" in stopped.stderr and "model    " not in stopped.stdout,
              "the stages behind it are told as not run, and the judge is still the recipe's", stopped.stderr + stopped.stdout)
    os.makedirs(os.path.join(top, "runs"), exist_ok=True)
    os.symlink(run_dir, os.path.join(top, "runs", "loop"))
    status = subprocess.run([harness.VJRUN, "status", recipe, "--plugin-path", harness.PLUGINS], capture_output=True, text=True, cwd=top, check=False)
    tap.check("are not run: they lie behind the iteration at which the gate stopped" in status.stdout and "will run again" not in status.stdout,
              "status tells it", status.stdout + status.stderr)
    asked = len(harness.lines(log))
    again = harness.run(recipe, run_dir)
    tap.check("nothing to do" in again.stderr and again.stdout == stopped.stdout and len(harness.lines(log)) == asked, "again there is nothing to do",
              again.stderr)
    more = harness.run(recipe, run_dir, *setting("repeat.gate.patience", 0))
    tap.check(outcomes(run_dir) == ["rolled back", "rolled back", "promoted"], "more patience goes on from there", more.stdout)
    tap.check("repeat.gate.patience" in more.stderr and "iteration 1: train" not in more.stderr, "and runs no training again", more.stderr)
    less = harness.run(recipe, run_dir)
    tap.check(outcomes(run_dir)[0] == "stopped" and less.returncode == 0 and "model    " not in less.stdout, "less stops where it did", less.stdout)
    tap.check(less.stdout == stopped.stdout and stages(run_dir, 2) == [], "and leaves nothing behind it", less.stdout)


def test_changed_outcome(tap, top, recipe, run_dir, patient):
    """A gate that decides otherwise undoes what was built on it, and nothing else."""
    before = os.path.getmtime(os.path.join(run_dir, "models", "iteration-1", "lessons.jsonl"))
    never = (*patient, *setting("repeat.gate.alpha", "1.0e-12"), *setting("repeat.gate.min_parsed", 0.1))
    result = harness.run(recipe, run_dir, *never)
    tap.check(outcomes(run_dir) == ["promoted", "rolled back", "stopped"] and "it decides otherwise than before, so" in result.stderr,
              "at such a level nothing is ever worse, so even a bad judge stands, which keeps no trace", result.stderr)
    tap.check(os.path.getmtime(os.path.join(run_dir, "models", "iteration-1", "lessons.jsonl")) == before, "the training before the gate stays")
    fresh = os.path.join(top, "outcome-fresh")
    harness.run(recipe, fresh, *never)
    same = harness.export_bytes(fresh) == harness.export_bytes(run_dir)
    tap.check(same and harness.file_bytes(os.path.join(fresh, "models")) == harness.file_bytes(os.path.join(run_dir, "models")),
              "the result is that of a fresh run")


def test_floors(tap, top):
    recipe = harness.loop_copy(os.path.join(top, "floors"), ["mute", "letter", "good"])
    run_dir = os.path.join(top, "floors-run")
    floors = (*setting("repeat.gate.patience", 0), *setting("repeat.gate.alpha", "1.0e-12"), *setting("repeat.gate.min_parsed", 0.9),
              *setting("repeat.gate.min_consistency", 0.5))
    result = harness.run(recipe, run_dir, *floors)
    mute, letter, good = (gate["reason"] for gate in gates(run_dir))
    tap.check(outcomes(run_dir) == ["rolled back", "rolled back", "promoted"], "floors refuse what no test would", result.stdout)
    tap.check("consistency 0.000 is below min_consistency 0.5" in mute and "the share of parsed answers 0.000 is below min_parsed 0.9" in mute,
              "a judge that gives no verdict", mute)
    tap.check("consistency 0.000 is below min_consistency 0.5" in letter and "parsed" not in letter, "a judge that always says A", letter)
    tap.check("below" not in good, "and pass a sound one", good)
    tap.check("tested" not in result.stdout and "min_parsed 0.9" in result.stdout, "the summary tells which floor", result.stdout)


def test_silent(tap, top):
    """A candidate that never answers is wrong everywhere, not left out."""
    recipe, run_dir = harness.loop_copy(os.path.join(top, "silent"), ["good", "silent"]), os.path.join(top, "silent-run")
    result = harness.run(recipe, run_dir)
    first, second = gates(run_dir)
    tap.check(result.returncode == 0 and second["outcome"] == "stopped" and (second["lost"], second["pairs"]) == (40, 40), "no answer is no verdict",
              result.stderr)
    tap.check((first["candidate"]["unanswered"], second["candidate"]["unanswered"], second["candidate"]["unparsed"]) == (0, 80, 80), "and is counted",
              second)
    tap.check("never answered, and counted as unparsed: 0 -> 80" in result.stdout, "and told", result.stdout)


def test_better(tap, top):
    recipe = harness.loop_copy(os.path.join(top, "better"), ["good", "same", "same"])
    run_dir = os.path.join(top, "better-run")
    more = (*setting("repeat.gate.promote", "better"), *setting("repeat.gate.patience", 0), *setting("repeat.gate.metric", "accuracy"),
            *setting("repeat.gate.answers", "sampled"))
    result = harness.run(recipe, run_dir, *more)
    tap.check(outcomes(run_dir) == ["promoted", "rolled back", "rolled back"], "promote: better asks for a significant gain", result.stdout)
    first, second, third = gates(run_dir)
    tap.check(first["metric"] == "accuracy" and first["answers"] == "sampled" and second["refused"] == 1 and third["refused"] == 2,
              "refusals in a row are counted", gates(run_dir))


def test_shared(tap, top):
    """Base and judge are one entry of one directory, so one open model serves both: also behind a refused candidate."""
    folder, opens = os.path.join(top, "shared"), os.path.join(top, "opens")
    recipe = harness.loop_copy(folder, ["bad", "bad"], change=lambda text: text.replace("use: canned, path: .", f"use: canned, path: ., opens: {opens}")
                               .replace("iterations: 3, gate: { count: 40 }", "iterations: 2, gate: { count: 40, patience: 0 }"))
    run_dir = os.path.join(top, "shared-run")
    harness.run(recipe, run_dir)
    opened = [os.path.relpath(line, os.path.commonpath([folder, run_dir])) for line in harness.lines(opens)]
    # At the start; behind the first training, its candidate, itself again for what follows; and so behind the second.
    expected = ["shared", "shared", "shared-run/models/iteration-1", "shared", "shared-run/models/iteration-2"]
    tap.check(outcomes(run_dir) == ["rolled back"] * 2 and opened == expected, "each model is open once", opened)


def test_drift(tap, top):
    """Each candidate loses a few pairs more, too few to be significant; against the first judge they are not."""
    recipe = harness.loop_copy(os.path.join(top, "drift"), ["slip", "slide"], base="good", change=lambda text: text.replace("iterations: 3", "iterations: 2"))
    run_dir = os.path.join(top, "drift-run")
    result = harness.run(recipe, run_dir, *setting("repeat.gate.count", 11))
    first, second = gates(run_dir)
    tap.check(first["outcome"] == "promoted" and 0 < first["lost"] < 6 and first["p"] > 0.05, "a small loss is not seen", first)
    tap.check(second["outcome"] == "stopped" and second["p"] > 0.05 and second["reason"].startswith("significantly worse than the first judge"),
              "two of them are", second)
    tap.check(second["first"]["lost"] == first["lost"] + second["lost"] and "against the first judge: 0 pairs gained" in result.stdout,
              "their sum is told", result.stdout)


def test_no_candidate(tap, top):
    recipe = harness.loop_copy(os.path.join(top, "none"), [], base="mute")
    run_dir = os.path.join(top, "none-run")
    result = harness.run(recipe, run_dir, *setting("repeat.gate.patience", 2))
    tap.check(result.returncode == 0 and outcomes(run_dir) == ["rolled back", "stopped"], "an iteration without a kept trace has no candidate",
              result.stdout + result.stderr)
    tap.check("no trace was kept, so there is no candidate" in gates(run_dir)[0]["reason"], "which is told", gates(run_dir))


def test_disjoint(tap, top):
    """What the gate holds out, no iteration trains on: rows of a file, by image, and by words where there is none."""
    folder = os.path.join(top, "disjoint")
    source = ("- { use: jsonl, path: data.jsonl, prompt_field: q, image_field: image, image_optional: true, count: 30 }")
    recipe = harness.loop_copy(folder, ["good"], change=lambda text: text.replace("- { use: scenes, count: 30, closed: 0 }", source)
                               .replace("iterations: 3", "iterations: 1").replace("gate: { count: 40 }", "gate: { count: 6 }"))
    images = os.path.join(top, "good-run", "export", "images")
    names = sorted(os.listdir(images))[:5]
    rows = [{"q": "describe the image", "image": name} for name in names] + [{"q": "describe the image of your dreams"}]
    rows += [{"q": "describe the image anew", "image": names[0]}, {"q": "describe the image of your dreams"}]
    rows += [{"q": f"describe the image number {i}"} for i in range(8)]
    for name in names:
        with open(os.path.join(images, name), "rb") as source_file, open(os.path.join(folder, name), "wb") as file:
            file.write(source_file.read())
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    run_dir = os.path.join(top, "disjoint-run")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 0 and re.search(r"gate:questions +6 in +6 kept", result.stdout), "the gate takes the first rows",
              result.stdout + result.stderr)
    tap.check(re.search(r" questions +16 in +8 kept +8 dropped", result.stdout) and "8  the gate holds out its image or question"
              in result.stdout, "and no iteration trains on these, their images or their words", result.stdout)
    exported = {row["id"] for name in ("questions", "pairs", "judgments", "traces") for row in records(run_dir, name)}
    tap.check(exported and not any(name.startswith("g.") for name in exported), "nor does an export hold them", exported)
    too_much = harness.run(recipe, os.path.join(top, "disjoint-all"), *setting("repeat.gate.count", 500))
    tap.check(too_much.returncode == 4 and "gate: questions: the gate takes all 16 records that the sources have" in too_much.stderr
              and "repeat.gate.count" in too_much.stderr and "gate: respond" not in too_much.stderr,
              "a gate that takes all is refused with a remedy, before anything is asked", too_much.stderr)
    most = harness.run(recipe, os.path.join(top, "disjoint-most"), *setting("repeat.gate.count", 9))
    tap.check(most.returncode == 0 and "the gate holds out 9 of 16 records, more than the 7 left to train on; let it hold out less by "
              "repeat.gate.count" in most.stderr and "more than the" not in result.stderr, "one that takes most is warned of", most.stderr)
    one = harness.run(recipe, os.path.join(top, "disjoint-one"), *setting("iteration.questions", "[{use: jsonl, path: %s/data.jsonl, "
                      "prompt_field: q}, {use: scenes, closed: 0, count: 30}]" % folder), *setting("repeat.gate.count", 20))
    tap.check(one.returncode == 0 and "of the sources 1 have no more records than the gate takes of each (20)" in one.stderr,
              "and one that takes a source whole", one.stderr)
    # The answer to these is a color, which the rewrite changes or not: so the gate makes pairs of some only.
    with open(os.path.join(folder, "colors.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": f"what color is number {i}"}) + "\n" for i in range(16))
    rest = harness.run(recipe, os.path.join(top, "disjoint-rest"), *setting("iteration.questions", "[{use: jsonl, path: %s/colors.jsonl, "
                       "prompt_field: q}]" % folder), *setting("repeat.gate.count", 16), *setting("iteration.open_ended.inject.0.tries", 1))
    told = re.search(r"iteration 1: questions: the gate holds out (\d+) of 16 records, and the (\d+) left are those it could make no pair of",
                     rest.stderr)
    tap.check(rest.returncode == 4 and told and int(told[1]) + int(told[2]) == 16, "what the gate could make no pair of is no set to train on",
              rest.stderr)
    own = harness.run(recipe, os.path.join(top, "disjoint-own"), *setting("repeat.gate.questions", "[{use: scenes, closed: 0, count: 7}]"),
                      *setting("repeat.gate.count", 50))
    tap.check(own.returncode == 0 and re.search(r"gate:questions +7 in +7 kept", own.stdout) and "holds out its" not in own.stdout,
              "sources of its own take nothing away", own.stdout + own.stderr)


def test_changed_gate(tap, top):
    """A gate that comes to a run, changes its set, and goes again."""
    folder, run_dir = os.path.join(top, "later"), os.path.join(top, "later-run")

    def once(text):
        return text.replace("iterations: 3", "iterations: 1")

    recipe = harness.loop_copy(folder, ["good"], change=lambda text: variant(once(text)))
    without = harness.run(recipe, run_dir)
    plain = harness.export_bytes(run_dir)
    tap.check(without.returncode == 0 and "gate.jsonl" not in plain and "gate" not in without.stdout, "a run without a gate knows nothing of one",
              without.stdout)
    harness.loop_copy(folder, ["good"], change=once)
    added = harness.run(recipe, run_dir)
    tap.check("the recipe changed (repeat.gate); these stages run again: iteration 1: questions" in added.stderr
              and outcomes(run_dir) == ["promoted"], "one that comes is told", added.stderr)
    more = harness.run(recipe, run_dir, *setting("repeat.gate.count", 50))
    tap.check("repeat.gate.count" in more.stderr and "gate: questions" in more.stderr and gates(run_dir)[0]["pairs"] == 50, "another set is another gate",
              more.stderr)
    harness.loop_copy(folder, ["good"], change=lambda text: variant(once(text)))
    gone = harness.run(recipe, run_dir)
    tap.check("repeat.gate (removed)" in gone.stderr and harness.export_bytes(run_dir) == plain, "and one that goes leaves nothing behind",
              gone.stderr)


def test_lost_judge(tap, top):
    """The judge that stands must be there; a candidate that was refused need not."""
    recipe, run_dir = os.path.join(top, "good", "loop.yaml"), os.path.join(top, "good-run")
    models = os.path.join(run_dir, "models")
    os.rename(os.path.join(models, "iteration-3"), os.path.join(top, "refused"))
    fine = harness.run(recipe, run_dir)
    tap.check(fine.returncode == 0 and "nothing to do" in fine.stderr, "a refused candidate that is gone is not missed", fine.stderr)
    os.rename(os.path.join(models, "iteration-2"), os.path.join(top, "aside"))
    lost = harness.run(recipe, run_dir)
    tap.check(lost.returncode == 4 and f"iteration 2: train: '{models}/iteration-2': the model that it made is missing" in lost.stderr,
              "the judge is", lost.stderr)
    os.rename(os.path.join(top, "aside"), os.path.join(models, "iteration-2"))


def test_export(tap, top):
    """A kill behind the last stage leaves the export of the recipe before: whole, but not this run's."""
    run_dir, export = os.path.join(top, "good-run"), os.path.join(top, "good-run", "export")
    expected = harness.export_bytes(run_dir)
    shutil.rmtree(export)
    shutil.copytree(os.path.join(top, "bad-run", "export"), export)
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        ledger.execute("DELETE FROM meta WHERE key = 'exported'")
    result = harness.run(os.path.join(top, "good", "loop.yaml"), run_dir)
    tap.check("nothing to do" in result.stderr and harness.export_bytes(run_dir) == expected, "the same command again exports anew", result.stderr)


def test_check(tap, top):
    recipe = os.path.join(top, "good", "loop.yaml")
    told = vjrun("check", recipe, "--plugin-path", harness.PLUGINS, *setting("repeat.pairs", "reuse"), *setting("iteration.labels", "shuffled-pairs"),
                 *setting("repeat.gate.alpha", 0.1), *setting("repeat.gate.questions", "[{use: scenes, count: 9}]"))
    for text in ("3 iterations, pairs: reuse", "by an exact test at 0.1", "at most 40 questions of each source below", "at most 9", "shuffled-pairs: an ABLATION"):
        tap.check(text in told.stdout, f"check tells '{text}'", told.stdout + told.stderr)
    slip = vjrun("check", recipe, "--plugin-path", harness.PLUGINS, *setting("repeat.gate.questions", "[{use: jsonl, path: gone.jsonl, prompt_field: q}]"))
    tap.check(slip.returncode == 4 and "gone.jsonl" in slip.stderr, "and tries the gate's sources", slip.stderr)


def variant(text):
    return text.replace(", gate: { count: 40 }", "")


def test_reuse(tap, top):
    recipe = harness.loop_copy(os.path.join(top, "reuse"), ["good", "same", "same"], change=variant)
    run_dir = os.path.join(top, "reuse-run")
    result = harness.run(recipe, run_dir, *setting("repeat.pairs", "reuse"))
    tap.check(result.returncode == 0 and stages(run_dir, 2)[:2] == ["reuse", "judge"], "pairs are judged again", result.stdout + result.stderr)
    pairs = records(run_dir, "pairs")
    first = [(row["chosen"], row["rejected"]) for row in pairs if row["iteration"] == 1]
    third = [(row["chosen"], row["rejected"]) for row in pairs if row["iteration"] == 3]
    tap.check(len(first) > 10 and first == third, "the same in each iteration", (first, third))
    judged = [row for row in records(run_dir, "judgments") if row["iteration"] == 2]
    tap.check(judged and all(row["right"] for row in judged), "by the newer judge", judged[:2])
    explained = vjrun("explain", judged[0]["id"], run_dir).stdout
    tap.check(judged[0]["parents"][0][3:] in explained and "(question, made by questions, iteration 1)" in explained,
              "explain leads back to the first iteration's question", explained)
    trl = vjrun("export", run_dir, "--format", "trl", "--out", os.path.join(top, "reuse-trl"))
    preference = harness.lines(os.path.join(top, "reuse-trl", "preference.jsonl"))
    tap.check(trl.returncode == 0 and len(preference) == len(first), "a preference set has each pair once", len(preference))
    fresh = harness.run(recipe, run_dir)
    tap.check("repeat.pairs (removed)" in fresh.stderr and "iteration 1: " not in fresh.stderr.split("run again:")[1].split(";")[0],
              "back to fresh pairs, the first iteration stays", fresh.stderr)
    other = os.path.join(top, "reuse-fresh")
    harness.run(recipe, other)
    tap.check(harness.export_bytes(other) == harness.export_bytes(run_dir), "and the result is that of a fresh run")


def test_traces(tap, top):
    recipe = harness.loop_copy(os.path.join(top, "traces"), ["good", "same", "same"], change=variant)
    run_dir = os.path.join(top, "traces-run")
    harness.run(recipe, run_dir)
    latest = [lessons(run_dir, number) for number in (1, 2, 3)]
    result = harness.run(recipe, run_dir, *setting("repeat.traces", "all"), *setting("repeat.train_from", "base"))
    tap.check("repeat.traces" in result.stderr and "iteration 1: train" not in result.stderr and "iteration 2: judge" not in result.stderr
              and "iteration 2: train" in result.stderr, "other traces: training runs again from the second iteration on", result.stderr)
    tap.check(sorted(lessons(run_dir, 2)) == sorted(latest[0] + latest[1]), "which sees the traces of the iterations before")
    tap.check(lessons(run_dir, 2) != latest[0] + latest[1], "in an order of its own")
    lineage = json.load(open(os.path.join(run_dir, "models", "iteration-3", "vj-lineage.json"), encoding="utf-8"))
    tap.check(lineage["parent"]["model"] == "models.judge" and lineage["iterations"] == [1, 3] and lineage["traces"] == len(lessons(run_dir, 3)),
              "and starts from the base", lineage)


def test_generator(tap, top):
    """With `generator: judge` the judge of the iteration before answers the questions; other models stay."""
    def change(text):
        return variant(text).replace("iterations: 3", "iterations: 2, generator: judge")
    recipe = harness.loop_copy(os.path.join(top, "generator"), ["poet"], change=change)
    run_dir = os.path.join(top, "generator-run")
    result = harness.run(recipe, run_dir)
    chosen = {row["iteration"]: row["chosen"] for row in records(run_dir, "pairs")}
    tap.check(result.returncode == 0 and "small" in chosen[1] and "roses" not in chosen[1] and "roses" in chosen[2], "the judge generates",
              (chosen, result.stderr))
    fixed = harness.run(recipe, run_dir, *setting("repeat.generator", "fixed"))
    tap.check("repeat.generator (removed)" in fixed.stderr and "roses" not in str(records(run_dir, "pairs")), "fixed, the base does", fixed.stderr)
    elsewhere = harness.loop_copy(os.path.join(top, "generator-base"), [])
    apart = harness.run(recipe, os.path.join(top, "generator-apart"), *setting("models.base.path", os.path.dirname(elsewhere)))
    tap.check(apart.returncode == 3 and "nothing would follow the judge" in apart.stderr, "a generator that follows nothing is a slip", apart.stderr)


def labels(run_dir):
    """(pair, order, sample) -> (right, agrees with the construction), and all else that a judgment says."""
    rows, rest = {}, []
    for row in records(run_dir, "judgments"):
        key = (row["parents"][0], row["chosen_is_a"], row["sample"])
        agrees = row["verdict"] == ("A" if row["chosen_is_a"] else "B")
        rows[key] = (row.pop("right"), agrees)
        rest.append(row)
    return rows, rest


def test_controls(tap, top):
    def change(text):
        return variant(text).replace("iterations: 3", "iterations: 1")
    recipe = harness.loop_copy(os.path.join(top, "controls"), [], change=change)
    truth_dir = os.path.join(top, "controls-truth")
    harness.run(recipe, truth_dir)
    truth, rest = labels(truth_dir)
    tap.check(truth and all(right == agrees for right, agrees in truth.values()), "by construction, right is what agrees with it")
    for name, group in (("shuffled-presentations", lambda key: key[:2]), ("shuffled-pairs", lambda key: key[:1])):
        run_dir = os.path.join(top, name)
        result = harness.run(recipe, run_dir, *setting("iteration.labels", name))
        shuffled, other = labels(run_dir)
        tap.check(other == rest and len(rest) > 20, f"{name} changes nothing that a judge says", result.stderr)
        coins = {}
        for key, (right, agrees) in shuffled.items():
            coins.setdefault(group(key), set()).add(right == agrees)
        tap.check(all(len(coin) == 1 for coin in coins.values()), "one coin decides for all samples that share it", coins)
        heads = sum(coin == {True} for coin in coins.values())
        tap.check(0.25 < heads / len(coins) < 0.75, "it falls either way", (heads, len(coins)))
        orders = {}
        for key, (right, agrees) in shuffled.items():
            orders.setdefault(key[0], set()).add(right == agrees)
        mixed = sum(len(coin) == 2 for coin in orders.values())
        tap.check((mixed > 0) == (name == "shuffled-presentations"), "orders of a pair share it or do not", mixed)
        tap.check(result.stdout.startswith(f"ABLATION: iteration.labels is {name}") and "ABLATION" in result.stderr, "the report says so first",
                  result.stdout)
        kept = {row["id"] for row in records(run_dir, "traces")}
        tap.check(kept == {row["id"] for row in records(run_dir, "judgments") if row["right"]}, "filters see the coin's label")
    back = harness.run(recipe, os.path.join(top, "shuffled-pairs"))
    tap.check("iteration.labels (removed)" in back.stderr and "ABLATION" not in back.stdout, "back to construction, the judging runs again", back.stderr)
    tap.check(harness.export_bytes(os.path.join(top, "shuffled-pairs")) == harness.export_bytes(truth_dir), "to the same end")


def test_lineage(tap, top):
    run_dir = os.path.join(top, "bad-run")
    case = vjrun("explain", "e3.0.000001", run_dir)
    for text in ("models/iteration-", "iteration 2: train", "from models.judge", "kept traces of iteration 2", "gate"):
        tap.check(text in case.stdout, f"a case leads to the training behind its judge: '{text}'", case.stdout + case.stderr)
    trace = re.search(r"^ +(q2\.0\.\d+\.p\.[ab]\d)", case.stdout, re.M)
    tap.check(trace is not None and re.search(r"image [0-9a-f]{12}", case.stdout), "and to traces, their questions and pixels", case.stdout)
    stage = vjrun("explain", "iteration 3: evaluate:scene-pairs", run_dir)
    tap.check("accuracy" in stage.stdout and "iteration 2: train" in stage.stdout, "so does a score", stage.stdout + stage.stderr)
    last = vjrun("explain", "evaluate:scene-pairs", run_dir)
    tap.check(last.stdout == stage.stdout, "whose last is meant when no iteration is named", last.stdout)
    before = vjrun("explain", "before: evaluate:scene-pairs", run_dir)
    tap.check("models.judge" in before.stdout and "train" not in before.stdout, "a score of the base has no training behind it", before.stdout)
    wrong = vjrun("explain", "evaluate:nothing", run_dir)
    tap.check(wrong.returncode == 2 and "scene-pairs" in wrong.stderr, "a score that is not there is a usage error", wrong.stderr)
    trace_life = vjrun("explain", trace.group(1), run_dir)
    tap.check("judged by    models.judge" in trace_life.stdout, "a trace names the judge that wrote it", trace_life.stdout)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    test_promotion(tap, top)
    recipe, run_dir, patient = test_rollback(tap, top)
    test_lineage(tap, top)
    test_changed_outcome(tap, top, recipe, run_dir, patient)
    test_stop(tap, top)
    test_floors(tap, top)
    test_silent(tap, top)
    test_better(tap, top)
    test_shared(tap, top)
    test_drift(tap, top)
    test_no_candidate(tap, top)
    test_disjoint(tap, top)
    test_changed_gate(tap, top)
    test_check(tap, top)
    test_lost_judge(tap, top)
    test_export(tap, top)
    test_reuse(tap, top)
    test_traces(tap, top)
    test_generator(tap, top)
    test_controls(tap, top)
    keep.cleanup()
    tap.done()


main()
