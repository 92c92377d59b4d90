#!/usr/bin/env python3
"""What a training is shown, on canned replies: replay of the model's own answers, the gold filter and its absence, shares
of samples that agree. Prints TAP."""
import collections
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

TRAIN = "train: { use: canned, model: judge }"
# Few draws, so that on many questions all of them agree.
DRAWS = ("n: 8, threshold: 3", "n: 3, threshold: 2")


def recipe_with(folder, *changes, name="recipe.yaml"):
    def change(text):
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        return text
    return harness.recipe_copy(folder, name, change)


def examples(run_dir, iteration=1):
    """(what the user is shown, the images, the answer) of each example, in order."""
    found = []
    for line in harness.lines(os.path.join(run_dir, "models", f"iteration-{iteration}", "lessons.jsonl")):
        *shown, answer = json.loads(line)
        found.append(("\n".join(m["content"] for m in shown), [i for m in shown for i in m["images"]], answer["content"]))
    return found


def rows(run_dir, query):
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        return ledger.execute(query).fetchall()


def records(run_dir, iteration, stage):
    found = {}
    for name, fate, reason, body in rows(run_dir, f"SELECT id, fate, reason, body FROM records WHERE iteration = {iteration} "
                                                  f"AND stage = '{stage}'"):
        found[name] = json.loads(body) | {"fate": fate, "reason": reason}
    return found


def settled_on(run_dir, iteration):
    """question -> (prompt, answer) where more than half of its three draws gave the same, read from the ledger alone."""
    found = {}
    questions = records(run_dir, iteration, "questions")
    draws = collections.defaultdict(list)
    for name, text in rows(run_dir, "SELECT record, text FROM replies WHERE stage = 'sample'"):
        draws[name].append(text.strip())
    for name, question in questions.items():
        most = collections.Counter(draws.get(name, [])).most_common(1)
        if most and most[0][1] >= 2:
            found[name] = (question["prompt"], most[0][0])
    return found


def asked(log):
    return len(harness.lines(log))


def test_replay(tap, top):
    log = os.path.join(top, "asked")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
    plain = recipe_with(os.path.join(top, "plain"), DRAWS, ("use: rewrite", "use: rewrite, check_kind: false"))
    first = harness.run(plain, os.path.join(top, "plain-run"), *sets)
    without = asked(log)
    tap.check(first.returncode == 0 and "own answers" not in first.stdout, "a run without replay says nothing of it", first.stderr)

    log = os.path.join(top, "asked-again")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
    recipe = recipe_with(os.path.join(top, "replay"), DRAWS, ("use: rewrite", "use: rewrite, check_kind: false"),
                         (TRAIN, TRAIN[:-1] + ", replay: 1, replay_rewrites: 0.25 }"))
    run_dir = os.path.join(top, "replay-run")
    result = harness.run(recipe, run_dir, *sets)
    tap.check(result.returncode == 0, "a run with replay ends well", result.stderr)
    tap.check(asked(log) == without, "replay asks no model", f"{asked(log)} draws, {without} without")

    shown = examples(run_dir)
    traces = [e for e in shown if "JUDGE" in e[0]]
    other = [e for e in shown if "JUDGE" not in e[0]]
    opens = [e for e in other if e[0] == "describe the image"]
    rewrites = [e for e in other if e[0].startswith("REWRITE")]
    closed = [e for e in other if e not in opens and e not in rewrites]
    n = len(traces)
    tap.check(sorted(traces) == sorted(examples(os.path.join(top, "plain-run"))), "the traces are those of the run without")
    tap.check(n > 3 and len(other) == n, "as many own answers as traces", f"{n} traces, {len(other)} others")
    tap.check(abs(len(closed) - n / 2) <= 1 and abs(len(rewrites) - n / 4) <= 1, "in the shares asked for",
              f"{len(opens)} open, {len(closed)} closed, {len(rewrites)} rewrites")
    tap.check(f"iteration 1 was trained on {n} traces and, of the model's own answers, {len(opens)} to open questions, "
              f"{len(closed)} to closed ones and {len(rewrites)} rewrites" in result.stdout, "the summary counts them", result.stdout)
    tap.check(shown != traces + other and shown != sorted(shown), "traces and replay are mixed")

    responses = {r["text"] for r in records(run_dir, 1, "respond").values()}
    tap.check(opens and all(answer in responses for _, _, answer in opens), "open questions have the model's responses", opens)
    settled = settled_on(run_dir, 1)
    tap.check(closed and all((prompt, answer) in settled.values() for prompt, _, answer in closed),
              "closed questions have what most draws say", closed)
    pairs = [p for p in records(run_dir, 1, "inject").values() if p["plugin"] == "rewrite"]
    tap.check(rewrites and all(any(prompt == "REWRITE " + p["chosen"] and answer == p["rejected"] for p in pairs)
                               for prompt, _, answer in rewrites), "rewrites have the reply that was accepted", rewrites)
    tap.check(all(len(images) == 1 for _, images, _ in other), "each with its image")

    again = os.path.join(top, "again-run")
    harness.run(recipe, again, *sets)
    tap.check(examples(again) == shown and examples(again, 2) == examples(run_dir, 2), "the same run again shows the same")
    return recipe, run_dir, sets


def test_agreed(tap, top):
    """More is wanted than there is: all that there is comes, also where all draws agree, and it is said."""
    recipe = recipe_with(os.path.join(top, "much"), DRAWS, (TRAIN, TRAIN[:-1] + ", replay: 100, replay_closed: 1 }"))
    run_dir = os.path.join(top, "much-run")
    result = harness.run(recipe, run_dir)
    closed = [(prompt, answer) for prompt, _, answer in examples(run_dir) if "JUDGE" not in prompt]
    tap.check(sorted(closed) == sorted(settled_on(run_dir, 1).values()), "every question that draws settled is there once", closed)
    agreed = {name for name, q in records(run_dir, 1, "questions").items() if q["reason"] == "all draws agree"}
    tap.check(agreed and agreed <= settled_on(run_dir, 1).keys(), "questions on which all draws agree among them", agreed)
    tap.check("replay wants" in result.stderr and "'closed'" in result.stderr, "that there are too few is told", result.stderr)


def test_changes(tap, top, recipe, run_dir, sets):
    """Another replay is another training, and nothing else; none is the run as it was before there was any."""
    result = harness.run(recipe, run_dir, *sets, "--set", "iteration.train.replay=0.5")
    again = [line for line in result.stderr.splitlines() if "run again" in line]
    tap.check(result.returncode == 0 and again and "iteration 1: train" in again[0] and "iteration 1: judge" not in again[0],
              "a changed replay trains again, and does not judge again", result.stderr)
    others = [e for e in examples(run_dir) if "JUDGE" not in e[0]]
    n = len(examples(run_dir)) - len(others)
    tap.check(abs(len(others) - n / 2) <= 0.5, "with the new number", f"{len(others)} beside {n}")
    harness.run(recipe, run_dir, *sets, "--set", "iteration.train.replay=0")
    plain = os.path.join(top, "plain-run")
    tap.check(examples(run_dir) == examples(plain) and examples(run_dir, 2) == examples(plain, 2),
              "replay 0 is the training without, in its order")


def test_reused(tap, top):
    """Pairs that are judged again were answered in the first iteration, by the model of that time: so is their replay."""
    counts = []
    for replay in ("", ", replay: 0.25, replay_closed: 0, replay_rewrites: 0.5"):
        folder = os.path.join(top, f"reused{len(counts)}")
        log = os.path.join(folder, "asked")
        recipe = harness.loop_copy(folder, ["good", "bad"], change=lambda text: text.replace(
            "becomes: becomes }", "becomes: becomes" + replay + " }").replace(
            "repeat: { iterations: 3, gate: { count: 40 } }",
            "repeat: { iterations: 2, pairs: reuse, train_from: base }").replace("respond: { model: base", "respond: { model: judge"))
        result = harness.run(recipe, os.path.join(folder, "run"), "--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
        tap.check(result.returncode == 0, f"a run that reuses pairs ends well: '{replay}'", result.stderr)
        counts.append(asked(log))
    tap.check(counts[0] == counts[1], "replay of reused pairs asks no model", counts)
    shown = examples(os.path.join(folder, "run"), 2)
    others = [e for e in shown if "JUDGE" not in e[0]]
    tap.check(len(others) == (len(shown) - len(others)) // 4 > 3 and any(e[0].startswith("REWRITE") for e in others),
              "and is as much as is asked for", f"{len(others)} of {len(shown)}")


JSONL = """- { use: jsonl, path: with.jsonl, prompt_field: q, gold_field: g, id_field: id, form: closed }
    - { use: jsonl, path: without.jsonl, prompt_field: q, id_field: id, form: closed }"""


def closed_recipe(folder, gold, filtering):
    """40 closed questions about numbers, every fifth without gold; the draws' majorities are the canned backend's."""
    os.makedirs(folder, exist_ok=True)
    for name, mine in (("with", lambda i: i % 5), ("without", lambda i: not i % 5)):
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as file:
            for i in filter(mine, range(40)):
                file.write(json.dumps({"id": f"n{i}", "q": f"how many things are in case {i}", "g": gold(i)}) + "\n")
    return recipe_with(folder, ("- { use: scenes, count: 40 }", JSONL), ("repeat: { iterations: 2 }", ""),
                       ("closed_form:\n", f"closed_form:\n    gold: {filtering}\n" if filtering else "closed_form:\n"))


def test_no_gold(tap, top):
    """The gold filter of questions that have none: the run ends before it asks anything."""
    folder = os.path.join(top, "nogold")
    recipe = closed_recipe(folder, str, "filter")
    log = os.path.join(folder, "asked")
    sets = ("--set", f"models.base.log={log}", "--set", f"iteration.questions.0={{ use: jsonl, path: {folder}/without.jsonl, prompt_field: q, form: closed }}",
            "--set", "evaluate=[]")
    result = harness.run(recipe, os.path.join(folder, "run"), *sets)
    tap.check(result.returncode == 4 and "none of the 16 closed questions has one; name the field that holds it, or remove gold: filter"
              in result.stderr and not os.path.exists(log), "gold that no question has is refused before anything is asked", result.stderr)


def pairs_of(run_dir):
    return records(run_dir, 1, "sample")


def exported(run_dir):
    """Export and model, but for the list of questions, which shows their gold."""
    return {name: data for name, data in (harness.export_bytes(run_dir)
                                          | harness.file_bytes(os.path.join(run_dir, "models"))).items()
            if name not in ("questions.jsonl", "vj-manifest.json")}


def test_gold(tap, top):
    """Gold "two" for even questions, "nine" for odd ones. Most draws say "two"."""
    def gold(i):
        return "Two." if i % 2 == 0 else "nine"
    ignoring = closed_recipe(os.path.join(top, "g0"), gold, None)
    other = closed_recipe(os.path.join(top, "g1"), lambda i: f"gold {i * 7 % 13}", "ignore")
    filtering = closed_recipe(os.path.join(top, "g2"), gold, "filter")
    runs = [os.path.join(top, f"g{i}-run") for i in range(3)]
    results = [harness.run(recipe, run_dir) for recipe, run_dir in zip((ignoring, other, filtering), runs)]
    tap.check(all(r.returncode == 0 for r in results), "runs with gold end well", "\n".join(r.stderr for r in results))
    tap.check(exported(runs[0]) == exported(runs[1]) and len(pairs_of(runs[0])) > 20,
              "by default no gold, whatever it says, changes what is made and trained")
    tap.check(not any(word in r.stdout + r.stderr for r in results[:2] for word in ("GOLD", "gold")), "nor is it spoken of",
              results[0].stdout)

    kept, before = pairs_of(runs[2]), pairs_of(runs[0])
    number = {name: int(pair["parents"][0].rsplit("n", 1)[1]) for name, pair in before.items()}
    right = {name for name, i in number.items() if i % 5 and gold(i) == "Two." and before[name]["chosen"] == "two"}
    tap.check(kept.keys() == right and 3 < len(kept) < len(before), "the filter keeps exactly the pairs whose chosen answer is gold",
              f"{len(kept)} of {len(before)}")
    reasons = collections.Counter(reason for (reason,) in rows(runs[2], "SELECT reason FROM records WHERE fate_stage = 'sample'"))
    tap.check(reasons["gold filter: the chosen answer is not the gold one"] > 3
              and reasons["gold filter: the question has no gold answer"] > 3, "and says why it drops the others", reasons)
    tap.check("GOLD WAS USED" in results[2].stdout and "gold answers decide" in results[2].stderr, "loudly", results[2].stdout)
    status = harness.subprocess.run([harness.VJRUN, "status", "--log", "json", runs[2]], capture_output=True, text=True, check=False)
    tap.check(status.returncode == 0 and json.loads(status.stdout)["gold"] is True, "to machines too", status.stdout + status.stderr)

    back = harness.run(filtering, runs[2], "--set", "iteration.closed_form.gold=ignore")
    tap.check(back.returncode == 0 and exported(runs[2]) == exported(runs[0]) and "GOLD" not in back.stdout,
              "taken back, it leaves no trace", back.stderr)


def test_agreement(tap, top):
    """Both orders' shares count the samples that `verdict` dropped before."""
    filters = "    - { use: verdict }\n"
    folder = os.path.join(top, "agree")
    recipe = recipe_with(folder, (filters, filters + "    - { use: both-orders, keep: all, min_agreement: 0.75 }\n"),
                         ("samples: 2", "samples: 4"), ("    - { use: balance }\n", ""))
    run_dir = os.path.join(top, "agree-run")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 0, "a run that asks for agreement ends well", result.stderr)
    right = collections.Counter()
    judgments = records(run_dir, 1, "judge")
    for judgment in judgments.values():
        right[judgment["parents"][0], judgment["chosen_is_a"]] += judgment["right"] and judgment["verdict"] != "unparsed"
    agreed = {pair for pair, _ in right if min(right[pair, True], right[pair, False]) >= 3}
    kept = {j["parents"][0] for j in judgments.values() if j["fate"] == 1}
    few = {j["parents"][0] for j in judgments.values() if j["reason"] == "too few samples agree with the label"}
    tap.check(kept <= agreed and not few & agreed and few, "only pairs on which three of four samples agree in both orders stay",
              f"kept {kept}, agreed {agreed}, too few {few}")


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    replayed = test_replay(tap, top)
    test_agreed(tap, top)
    test_changes(tap, top, *replayed)
    test_reused(tap, top)
    test_gold(tap, top)
    test_no_gold(tap, top)
    test_agreement(tap, top)
    keep.cleanup()
    tap.done()


main()
