#!/usr/bin/env python3
"""Pairs: each injector yields some, each pair tells where its answers differ and which image the worse one was said of, and
a run that was killed makes the same ones. Then the embedded model: how many rewrites of each kind it yields. Prints TAP."""
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

INJECTORS = ("rewrite", "swap-words", "modified-instruction", "degraded-image")
SCENE_WORDS = {
    "attribute": set("small large red green blue yellow purple orange circle square triangle".split()),
    "count": set("one two three four shape shapes".split()),
    "position": set("northwest north northeast west center east southwest south southeast".split()),
}
NATIVE = """
recipe: 1
name: kinds
seed: 3
models:
  base: {{ use: native, path: {model} }}
  judge: {{ use: canned, path: . }}
iteration:
  questions:
    - {{ use: scenes, count: 240, closed: 0 }}
  open_ended:
    respond: {{ model: base, temperature: 0.6, top_k: 50, top_p: 0.9, max_tokens: 64 }}
    inject:
      - use: rewrite
        model: base
        kinds: [attribute, count, position, number, relation, object-added, object-dropped, text]
        instruction: "rewrite {{kind}} : {{response}}"
        images: false
        max_changed: 2
        temperature: 0.8
        max_tokens: 64
        tries: 1
        weight: 3
      - {{ use: degraded-image, model: base, max_tokens: 64, weight: 1 }}
  judge: {{ use: pairwise, model: judge, prompt: "JUDGE {{question}} {{answer_a}} {{answer_b}}" }}
  filters: [ {{ use: verdict }} ]
  train: {{ use: canned, model: judge }}
"""


def apply(chosen, changes):
    """`chosen` with its changes made: code points, in order, each where it says."""
    made, at = "", 0
    for change in changes:
        made += chosen[at:change["chosen"]]
        if len(made) != change["rejected"] or chosen[change["chosen"]:][:len(change["before"])] != change["before"]:
            return None
        made += change["after"]
        at = change["chosen"] + len(change["before"])
    return made + chosen[at:]


def pairs_of(run_dir):
    return [json.loads(line) for line in harness.lines(os.path.join(run_dir, "export", "pairs.jsonl"))]


def test_pairs(tap, run_dir, pairs):
    by_plugin = Counter(pair["plugin"] for pair in pairs)
    tap.check(all(by_plugin[name] for name in INJECTORS), "each injector makes pairs", by_plugin)
    wrong = [pair for pair in pairs if apply(pair["chosen"], pair["changes"]) != pair["rejected"]]
    tap.check(not wrong, "the changes that a pair tells turn its chosen answer into its rejected one", wrong)
    tap.check(any(change["chosen"] != len(pair["chosen"][:change["chosen"]].encode()) for pair in pairs for change in pair["changes"]),
              "offsets are characters, not bytes", pairs[:3])
    kinds = Counter(pair["how"] for pair in pairs if pair["plugin"] == "rewrite")
    tap.check(set(kinds) == {"count", "attribute", "object-dropped"}, "rewrites are of the kinds asked for", kinds)
    for kind, before, after in (("count", "two", "three"), ("attribute", "red", "blue"), ("object-dropped", ", a lamp", "")):
        told = {(change["before"], change["after"]) for pair in pairs if pair["how"] == kind for change in pair["changes"]}
        tap.check(told == {(before, after)}, f"a {kind} is told where it is", told)
    asked = {pair["change"] for pair in pairs if pair["plugin"] == "modified-instruction"}
    tap.check(asked == {"answers instead: how many lamps are there ?", "answers instead: what else ?"}, "the other question is told", asked)
    funnel = subprocess.run([harness.VJRUN, "status", run_dir], capture_output=True, text=True, timeout=60, check=False).stdout
    tap.check("the rewrite" in funnel, "what was refused has its reason in the funnel", funnel)


def test_degraded(tap, run_dir, pairs):
    """The canned model says of which image it speaks."""
    images = os.listdir(os.path.join(run_dir, "export", "images"))
    degraded = [pair for pair in pairs if pair["plugin"] == "degraded-image"]
    seen = [pair for pair in degraded if pair["degraded"][0][:8] in pair["rejected"] and pair["degraded"][0][:8] not in pair["chosen"]]
    tap.check(degraded and seen == degraded, "a worse answer was said of the image that its pair names", degraded)
    tap.check(all(f"{digest}.png" in images for pair in degraded for digest in pair["degraded"]), "which is exported", images)
    tap.check({pair["how"] for pair in degraded} == {"degraded-noise", "degraded-blur", "degraded-mask", "degraded-blank"},
              "in each of the ways", {pair["how"] for pair in degraded})
    tap.check(not any("degraded" in pair for pair in pairs if pair["plugin"] != "degraded-image"), "and no other pair names one")
    told = subprocess.run([harness.VJRUN, "explain", degraded[0]["id"], run_dir], capture_output=True, text=True, timeout=60, check=False).stdout
    change = degraded[0]["changes"][0]
    tap.check(f"degraded     {degraded[0]['degraded'][0]}" in told and f"at {change['chosen']}: {change['before']} -> {change['after']}" in told,
              "vjrun explain tells both", told)


def test_kills(tap, recipe, top, expected, duration):
    rng = random.Random(4)
    same = killed = 0
    for n in range(6):
        run_dir = os.path.join(top, f"killed-{n}")
        process = harness.start(recipe, run_dir, "--set", "models.base.order=shuffled")
        time.sleep(rng.uniform(0.02, duration))  # a random moment; no outcome depends on which
        killed += process.poll() is None
        harness.kill(process)
        harness.run(recipe, run_dir, "--set", "models.base.order=shuffled")
        same += harness.export_bytes(run_dir) == expected
    tap.check(same == 6 and killed, "after a kill at any moment the same command makes the same pairs and images", f"{same} of 6, {killed} killed")


def test_odd_injector(tap, recipe, top):
    """What an injector says is held to its contract, and one that breaks it is named."""
    with open(recipe, encoding="utf-8") as file:
        text = file.read()
    head, tail = text.split("    inject:\n")[0], text[text.index("  judge:"):]

    def with_injector(entry):
        path = os.path.join(os.path.dirname(recipe), "odd.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{head}    inject: [ {entry} ]\n{tail}")
        return path

    for how, words in (("spans", "tells changes that do not turn the response into its text"), ("utf8", "gives a text that is not UTF-8"),
                       ("beyond", "tells changes that do not turn"), ("no-text", "gives no text or no kind"),
                       ("no-kind", "gives no text or no kind"), ("image", "gives an image that is none")):
        result = harness.run(with_injector(f"{{ use: odd, how: {how} }}"), os.path.join(top, f"odd-{how}"))
        tap.check(result.returncode == 8 and "injector 'odd'" in result.stderr and words in result.stderr, f"an injector's slip: {how}",
                  result.stderr)
    result = harness.run(with_injector("{ use: older }"), os.path.join(top, "older"))
    told = {json.dumps(pair["changes"]) for pair in pairs_of(os.path.join(top, "older"))}
    tap.check(result.returncode == 0 and told == {'[{"after": "Not so: ", "before": "", "chosen": 0, "rejected": 0}]'},
              "for an injector of an older ABI the changes are found", result.stderr + str(told))


def test_native(tap, top):
    folder = os.path.join(top, "native")
    os.makedirs(folder)
    shutil.copyfile(os.path.join(harness.CANNED, "pairs.json"), os.path.join(folder, "replies.json"))
    recipe = os.path.join(folder, "kinds.yaml")
    with open(recipe, "w", encoding="utf-8") as file:
        file.write(NATIVE.format(model=os.path.join(harness.SOURCE, "models", "vj-tiny")))
    run_dir = os.path.join(folder, "run")
    result = harness.run(recipe, run_dir)
    if not tap.check(result.returncode == 0, "the embedded model makes pairs", result.stderr):
        return
    pairs = pairs_of(run_dir)
    kinds = Counter(pair["how"] for pair in pairs)
    print(f"# embedded model, first tries: {dict(sorted(kinds.items()))}")
    for line in result.stdout.splitlines():
        if "inject" in line or "the rewrite" in line or "other answer" in line:
            print(f"# {line.strip()}")
    wrong = [pair for pair in pairs if apply(pair["chosen"], pair["changes"]) != pair["rejected"]]
    tap.check(not wrong, "and each tells where its answers differ", wrong)
    for kind, words in SCENE_WORDS.items():
        of_kind = [pair for pair in pairs if pair["how"] == kind]
        odd = [pair for pair in of_kind for change in pair["changes"] if not set((change["before"] + " " + change["after"]).split()) <= words]
        tap.check(len(of_kind) >= 3 and not odd, f"it rewrites {kind}, and what is kept as such is", odd or kinds)


def main():
    tap = harness.Tap()
    keep, top = harness.scratch()
    folder = os.path.join(top, "recipe")
    os.makedirs(folder)
    recipe = os.path.join(folder, "pairs.yaml")
    shutil.copyfile(os.path.join(harness.CANNED, "pairs.yaml"), recipe)
    shutil.copyfile(os.path.join(harness.CANNED, "pairs.json"), os.path.join(folder, "replies.json"))
    started = time.monotonic()
    run_dir = os.path.join(top, "run")
    result = harness.run(recipe, run_dir)
    duration = time.monotonic() - started
    if tap.check(result.returncode == 0, "a run with every injector ends well", result.stderr):
        pairs = pairs_of(run_dir)
        test_pairs(tap, run_dir, pairs)
        test_degraded(tap, run_dir, pairs)
        test_odd_injector(tap, recipe, top)
        test_kills(tap, recipe, top, harness.export_bytes(run_dir), duration)
    test_native(tap, top)
    keep.cleanup()
    tap.done()


main()
