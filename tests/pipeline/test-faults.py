#!/usr/bin/env python3
"""What can go wrong around a run: each ends with its documented exit code and is mended by the same command.
Prints TAP."""
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

SLOW = ("--set", "models.base.delay=20", "--set", "models.judge.delay=20")


def started(process):
    """Reads stderr up to the line that says that the run has its directory."""
    for line in process.stderr:
        if "running in" in line:
            return True
    return False


def test_second_run(tap, top, recipe):
    run_dir = os.path.join(top, "busy")
    first = harness.start(recipe, run_dir, *SLOW)
    tap.check(started(first), "a slow run starts")
    second = harness.run(recipe, run_dir)
    harness.kill(first)
    tap.check(second.returncode == 7, "a second run on the same directory ends with exit 7", second.stderr)
    third = harness.run(recipe, run_dir)
    tap.check(third.returncode == 0, "after a kill no stale lock is in the way", third.stderr)


def test_signals(tap, top, recipe):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        run_dir = os.path.join(top, f"signal-{code}")
        process = harness.start(recipe, run_dir, *SLOW)
        tap.check(started(process), "a slow run starts")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        tap.check(process.returncode == code, f"{number.name} ends with exit {code}", err)
        tap.check(f"to go on: vjrun run {recipe}" in err, "and the message tells the command that goes on", err)
        tap.check(harness.run(recipe, run_dir).returncode == 0, "which does")


def test_quiet_signal(tap, top, recipe):
    """With -q as well the resume command is told. The backend's log is a pipe, whose first line says that work goes on."""
    run_dir, pipe = os.path.join(top, "quiet"), os.path.join(top, "asked")
    os.mkfifo(pipe)
    process = harness.start(recipe, run_dir, *SLOW, "-q", "--set", f"models.base.log={pipe}")
    with open(pipe, encoding="utf-8") as asked:
        asked.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    tap.check(process.returncode == 130 and f"to go on: vjrun run {recipe}" in err, "with -q the resume command is told too", err)


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_disk_full(tap, top, recipe, expected):
    run_dir = os.path.join(top, "full")
    full = harness.run(recipe, run_dir, preexec_fn=limit_file_size, restore_signals=False)
    tap.check(full.returncode == 6, "a write that fails ends with exit 6", full.stderr)
    tap.check(run_dir in full.stderr and "; " in full.stderr, "and the message names the place and a remedy", full.stderr)
    after = harness.run(recipe, run_dir)
    tap.check(after.returncode == 0 and harness.export_bytes(run_dir) == expected, "with space again the run goes on to the same end",
              after.stderr)


def test_model(tap, top, recipe):
    run_dir = os.path.join(top, "model")
    missing = harness.run(recipe, run_dir, "--set", "models.base.path=/nonexistent/model")
    tap.check(missing.returncode == 4 and "/nonexistent/model" in missing.stderr, "a missing model ends with exit 4", missing.stderr)
    file = harness.run(recipe, run_dir, "--set", f"models.base.path={os.path.join(top, 'recipe', 'replies.json')}")
    tap.check(file.returncode == 4 and "replies.json': it is a file, but a model is a directory" in file.stderr, "so does a file in its place",
              file.stderr)


def change_model(folder):
    with open(os.path.join(folder, "replies.json"), "a", encoding="utf-8") as file:
        file.write("\n")


def test_changed_model(tap, top):
    """The trainer fails, so that every reply is there and only training is left to open the model."""
    failing = ("--set", "iteration.train.fail=true")
    folder, refused = os.path.join(top, "changes"), "models.judge: '{}': it is not the model this run began with"
    recipe, run_dir = harness.recipe_copy(folder), os.path.join(top, "changes-run")
    first = harness.run(recipe, run_dir, *failing)
    change_model(folder)
    changed = harness.run(recipe, run_dir)
    tap.check(first.returncode == 9 and changed.returncode == 4 and refused.format(folder) in changed.stderr,
              "a model that changes under a run is not trained", first.stderr + changed.stderr)
    tap.check(not os.path.exists(os.path.join(run_dir, "models", "iteration-1")), "and no new one is made of it")
    shutil.copyfile(os.path.join(harness.CANNED, "replies.json"), os.path.join(folder, "replies.json"))
    back = harness.run(recipe, run_dir)
    tap.check(back.returncode == 0, "with the old one put back the run goes on", back.stderr)

    # A directory beside the run's, whose name begins with that of the run's.
    folder, run_dir = os.path.join(top, "near-run-model"), os.path.join(top, "near-run")
    recipe = harness.recipe_copy(folder)
    harness.run(recipe, run_dir, *failing)
    change_model(folder)
    near = harness.run(recipe, run_dir)
    tap.check(near.returncode == 4 and refused.format(folder) in near.stderr, "wherever it lies", near.stderr)


def test_two_identities(tap, top):
    """Options that count for the identity: two models of one directory, and one whose option changes under a run."""
    folder, run_dir, own = os.path.join(top, "kinds"), os.path.join(top, "kinds-run"), ("--set", "models.judge.kind=other")
    recipe = harness.recipe_copy(folder)
    two = harness.run(recipe, run_dir, *own)
    tap.check(two.returncode == 0, "two models of one directory live together", two.stderr)
    one = harness.run(recipe, run_dir)
    tap.check(one.returncode == 0 and "the recipe changed (models.judge" in one.stderr and "iteration 1: judge" in one.stderr
              and "iteration 1: respond" not in one.stderr, "a changed option is told, and its stages run again", one.stderr)


def test_backend(tap, top, recipe, expected):
    run_dir = os.path.join(top, "backend")
    broken = harness.run(recipe, run_dir, "--set", "models.base.fail_after=100", "--set", "models.judge.fail_after=100")
    tap.check(broken.returncode == 5, "a backend that breaks down ends with exit 5", broken.stderr)
    after = harness.run(recipe, run_dir)
    tap.check(after.returncode == 0 and harness.export_bytes(run_dir) == expected, "and the same command goes on", after.stderr)


def test_crash(tap, top, recipe, expected):
    """A plugin that takes the process with it is named; the run goes on all the same. A sanitizer has its own exit code."""
    run_dir = os.path.join(top, "crash")
    for how, word in (("segv", "(SIGSEGV)"), ("stack", "(SIGSEGV)"), ("abort", "(SIGABRT)"), ("exit", "exit() was called"),
                      ("bus", "(SIGBUS)"), ("trap", "(SIGTRAP)"), *4 * [("many", "(SIGSEGV)")]):  # threads do not always meet
        dead = harness.run(recipe, run_dir, "--set", f"models.base.die={how}", "--set", f"models.judge.die={how}",
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        tap.check(dead.returncode == 8 if how == "exit" else dead.returncode != 0, f"a plugin's {how} ends the run", dead.returncode)
        tap.check(f"{word} in the verb 'poll' of the backend plugin 'canned'" in dead.stderr, "and the plugin and its verb are named", dead.stderr)
        tap.check(dead.stderr.count("error: vjrun crashed") == (0 if how == "exit" else 1), "once", dead.stderr)
        tap.check(("cut a file short" in dead.stderr) == (how == "bus"), "a file that shrank is thought of for SIGBUS alone", dead.stderr)
    after = harness.run(recipe, run_dir)
    tap.check(after.returncode == 0 and harness.export_bytes(run_dir) == expected, "which costs nothing that was done", after.stderr)


def test_odd_plugin(tap, top):
    """What a verb gives back is held to its contract, and a plugin that breaks it is named."""
    run_dir = os.path.join(top, "odd")
    for how, code, words in (("silent", 8, "filter 'odd': its verb 'keep' failed and gave no reason"),
                             ("value", 8, "filter 'odd': its verb 'keep' gave back 77, which it must not"), ("both", 4, "words without an error")):
        recipe = harness.recipe_copy(os.path.join(top, "odd-recipe"), change=lambda text: text.replace("{ use: dedup }", f"{{ use: odd, how: {how} }}"))
        result = harness.run(recipe, run_dir)
        tap.check(result.returncode == code and words in result.stderr, f"a plugin's slip: {how}", result.stderr)


def test_trainer(tap, top, recipe):
    run_dir = os.path.join(top, "trainer")
    broken = harness.run(recipe, run_dir, "--set", "iteration.train.fail=true")
    tap.check(broken.returncode == 9, "a loss that is not finite ends with exit 9", broken.stderr)
    after = harness.run(recipe, run_dir)
    tap.check(after.returncode == 0 and "iteration.train" in after.stderr, "with the recipe mended, training alone runs again",
              after.stderr)


def with_source(source):
    return lambda text: text.replace("{ use: scenes, count: 40 }", source).replace("iterations: 2", "iterations: 1")


def quarantine(run_dir):
    return [json.loads(line) for line in harness.lines(os.path.join(run_dir, "export", "quarantine.jsonl"))]


def test_bad_records(tap, top):
    folder = os.path.join(top, "records")
    recipe = harness.recipe_copy(folder, change=with_source(
        "{ use: jsonl, path: data.jsonl, prompt_field: q, image_field: image, id_field: id, form: closed }"))
    images = os.path.join(top, "reference", "export", "images")
    names = sorted(os.listdir(images))[:6]
    rows = []
    for i, name in enumerate(names):
        shutil.copyfile(os.path.join(images, name), os.path.join(folder, name))
        rows.append({"id": f"r{i}", "q": "how many shapes ?", "image": name})
    with open(os.path.join(folder, names[2]), "r+b") as file:
        file.truncate(60)
    rows += [{"id": "r9", "q": "gone", "image": "no-such-file.png"}, {"id": "r1", "q": "twice", "image": names[0]},
             {"id": "r8", "q": "\u001b[31mred", "image": "../../../etc/passwd"}]
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.write("{broken\n")
    run_dir = os.path.join(top, "records-run")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 1, "bad records end with exit 1", result.stderr + result.stdout)
    tap.check("10 in       5 kept      5 dropped" in result.stdout, "each is counted", result.stdout)
    tap.check("    2  an image file cannot be read" in result.stdout and "data.jsonl" not in result.stdout,
              "by its cause, without the record's own words", result.stdout)
    listed = quarantine(run_dir)
    tap.check(sorted(row["place"] for row in listed) == [f"data.jsonl:{n}" for n in (10, 3, 7, 8, 9)], "the export lists each with its place",
              listed)
    found = {row["place"]: (row["id"], row["reason"], row["detail"]) for row in listed}
    tap.check(found["data.jsonl:8"] == ("q1.0.!000007", "its id is that of an earlier record",
                                        "id 'r1' is already that of data.jsonl:2; give each record its own"),
              "with its id, its reason and its own words", found)
    told = subprocess.run([harness.VJRUN, "explain", "q1.0.!000007", run_dir], capture_output=True, text=True, check=False)
    tap.check("data.jsonl:8" in told.stdout and "already that of" in told.stdout, "which explain tells as well", told.stdout + told.stderr)
    tap.check("\x1b" not in result.stdout + result.stderr, "nothing foreign reaches the terminal raw")
    again = harness.run(recipe, run_dir)
    tap.check(again.returncode == 1 and again.stdout == result.stdout, "the same command says the same again", again.stdout)


def test_nothing_usable(tap, top):
    """Sources that yield nothing usable leave nothing behind: the same command goes on once the data is mended."""
    folder = os.path.join(top, "unusable")
    recipe = harness.recipe_copy(folder, change=with_source("{ use: jsonl, path: data.jsonl, prompt_field: q, form: closed }"))
    run_dir, path = os.path.join(top, "unusable-run"), os.path.join(folder, "data.jsonl")
    for content, words in (("", "holds no records"), ("{}\n" * 250, "250 records, none of them usable; the first: data.jsonl:1: no field 'q'")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        result = harness.run(recipe, run_dir)
        tap.check(result.returncode == 4 and words in result.stderr, f"{words[-16:]}: exit 4", result.stderr)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": "how many shapes ?" if i else None}) + "\n" for i in range(3))
    mended = harness.run(recipe, run_dir)
    tap.check(mended.returncode == 1 and "3 in       2 kept      1 dropped" in mended.stdout, "mended, it runs", mended.stderr + mended.stdout)
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")
    late = harness.run(recipe, run_dir, "--set", "repeat.iterations=2")
    tap.check(late.returncode == 4 and "the data set changed since" in late.stderr, "from then on it must stay as it is", late.stderr)


def test_no_answer(tap, top):
    folder = os.path.join(top, "no-answer")
    recipe = harness.recipe_copy(folder)
    with open(os.path.join(folder, "replies.json"), encoding="utf-8") as file:
        replies = json.load(file)
    replies["rules"].insert(0, {"when": "how many", "error": "the picture is too dark"})
    with open(os.path.join(folder, "replies.json"), "w", encoding="utf-8") as file:
        json.dump(replies, file)
    run_dir = os.path.join(top, "no-answer-run")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 1 and re.search(r"\d  no answer$", result.stdout, re.M),
              "a draw that is never answered drops its record", result.stdout + result.stderr)
    words = {(row["stage"], row["reason"], row["detail"]) for row in quarantine(run_dir)}
    tap.check(("sample", "no answer", "the picture is too dark") in words, "and the export keeps the backend's words", words)


def test_changed_recipe(tap, top, expected):
    folder = os.path.join(top, "changed")
    log = os.path.join(top, "changed-log")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}")
    recipe = harness.recipe_copy(folder)
    run_dir = os.path.join(top, "changed-run")
    harness.run(recipe, run_dir, *sets)
    tap.check(harness.export_bytes(run_dir) == expected, "where a run lies changes nothing")
    harness.recipe_copy(folder, change=lambda text: text.replace("    - { use: dedup }\n", ""))
    second = harness.run(recipe, run_dir, *sets)
    tap.check(second.returncode == 0, "a changed recipe goes on", second.stderr)
    tap.check(re.search(r"the recipe changed \(.*\); these stages run again: iteration 1: filter:", second.stderr),
              "and says what changed and which stages run again", second.stderr)
    changed = re.search(r"the recipe changed \((.*?)\);", second.stderr).group(1).replace(" (removed)", "").split(", ")
    tap.check(len(changed) == len(set(changed)), "each change once", changed)
    tap.check("iteration 1: judge:" not in second.stderr, "stages before the change do not run again", second.stderr)
    fresh = os.path.join(top, "changed-fresh")
    harness.run(recipe, fresh)
    tap.check(harness.export_bytes(run_dir) == harness.export_bytes(fresh), "the result is that of a fresh run of the new recipe")


def test_free_change(tap, top):
    """A change behind the last request asks nothing at all. The trainer fails, so that no new model asks."""
    folder, log, run_dir = os.path.join(top, "free"), os.path.join(top, "free-log"), os.path.join(top, "free-run")
    sets = ("--set", f"models.base.log={log}", "--set", f"models.judge.log={log}", "--set", "iteration.train.fail=true")
    recipe = harness.recipe_copy(folder)
    first = harness.run(recipe, run_dir, *sets)
    asked = len(harness.lines(log))
    harness.recipe_copy(folder, change=lambda text: text.replace("    - { use: verdict }\n", ""))
    second = harness.run(recipe, run_dir, *sets)
    tap.check(first.returncode == second.returncode == 9 and "stages run again: iteration 1: filter:dedup" in second.stderr,
              "a filter is taken out of a run", first.stderr + second.stderr)
    tap.check(asked > 0 and len(harness.lines(log)) == asked, "which sends no request")


def test_books(tap, top, recipe):
    run_dir = os.path.join(top, "books")
    harness.run(recipe, run_dir)
    with sqlite3.connect(os.path.join(run_dir, "ledger.sqlite")) as ledger:
        ledger.execute("UPDATE stages SET n_in = n_in + 1 WHERE iteration = 2 AND name = 'judge'")
    result = harness.run(recipe, run_dir)
    tap.check(result.returncode == 70 and "judge" in result.stderr, "books that do not balance end with exit 70", result.stderr)


def test_lost_model(tap, top, recipe, expected):
    """What a run has trained and somebody removed is missing: neither nothing to do nor the old judge in its place."""
    run_dir = os.path.join(top, "lost")
    harness.run(recipe, run_dir)
    models = os.path.join(run_dir, "models")
    shutil.rmtree(os.path.join(models, "iteration-1"))
    state = os.path.join(models, "training-2")
    os.mkdir(state)
    with open(os.path.join(state, "state"), "w", encoding="utf-8") as file:
        file.write("as a kill between the end of the stage and the removal leaves it")
    fine = harness.run(recipe, run_dir)
    tap.check(fine.returncode == 0 and "nothing to do" in fine.stderr, "a finished run needs its last model alone", fine.stderr)
    tap.check(not os.path.exists(state), "and what training left behind is cleared away")
    os.rename(os.path.join(models, "iteration-2"), os.path.join(top, "aside"))
    lost = harness.run(recipe, run_dir)
    tap.check(lost.returncode == 4 and f"iteration 2: train: '{models}/iteration-2': the model that it made is missing" in lost.stderr,
              "a result that is gone ends with exit 4 and is named", lost.stderr)
    more = harness.run(recipe, run_dir, "--set", "repeat.iterations=3")
    tap.check(more.returncode == 4 and "iteration-2': the model that it made is missing" in more.stderr, "also when the run is to go on", more.stderr)
    os.rename(os.path.join(top, "aside"), os.path.join(models, "iteration-2"))
    back = harness.run(recipe, run_dir)
    tap.check(back.returncode == 0 and harness.export_bytes(run_dir) == expected, "put back, all is as it was", back.stderr)


def test_other_recipe(tap, top, recipe):
    run_dir = os.path.join(top, "reference")
    before = harness.file_bytes(run_dir)
    other = harness.run(recipe, run_dir, "--set", "name=other")
    tap.check(other.returncode == 2 and f"holds the run of recipe 'canned' ({recipe}), not of 'other'" in other.stderr,
              "another recipe's run directory is refused", other.stderr)
    slip = harness.run(recipe, run_dir, "--set", "iteration.closed_form.sample.threshold=99")
    tap.check(slip.returncode == 3 and "99 votes cannot be reached" in slip.stderr, "so is a change that could not run", slip.stderr)
    after = harness.file_bytes(run_dir)
    same = {name for name in before if not name.startswith("ledger") and before[name] == after.get(name)}
    tap.check(len(same) >= len(before) - 3 and "0 dropped" in subprocess.run(
        [harness.VJRUN, "status", run_dir], capture_output=True, text=True, check=False).stdout, "and nothing of it is undone")


def test_full_output(tap, top, recipe):
    """Everything is done, but the summary did not arrive."""
    run_dir = os.path.join(top, "reference")
    commands = [harness.command(recipe, run_dir), [harness.VJRUN, "status", run_dir], [harness.VJRUN, "explain", "q1.0.000000", run_dir],
                [harness.VJRUN, "export", run_dir]]
    for command in commands:
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        tap.check(result.returncode == 6 and "standard output" in result.stderr, f"{command[1]} on a full output ends with exit 6",
                  result.stderr)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    recipe = harness.recipe_copy(os.path.join(top, "recipe"))
    harness.run(recipe, os.path.join(top, "reference"))
    expected = harness.export_bytes(os.path.join(top, "reference"))
    tap.check(len(expected) > 5, "the reference run exports")
    test_full_output(tap, top, recipe)
    test_lost_model(tap, top, recipe, expected)
    test_other_recipe(tap, top, recipe)
    test_second_run(tap, top, recipe)
    test_signals(tap, top, recipe)
    test_quiet_signal(tap, top, recipe)
    test_disk_full(tap, top, recipe, expected)
    test_model(tap, top, recipe)
    test_changed_model(tap, top)
    test_two_identities(tap, top)
    test_backend(tap, top, recipe, expected)
    test_crash(tap, top, recipe, expected)
    test_odd_plugin(tap, top)
    test_trainer(tap, top, recipe)
    test_bad_records(tap, top)
    test_nothing_usable(tap, top)
    test_no_answer(tap, top)
    test_changed_recipe(tap, top, expected)
    test_free_change(tap, top)
    test_books(tap, top, recipe)
    keep.cleanup()
    tap.done()


main()
