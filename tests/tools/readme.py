#!/usr/bin/env python3
"""README.md and the pages it leads to keep their word: links lead somewhere, commands and recipes exist. Prints TAP."""
import glob
import os
import re
import subprocess
import sys
import tempfile

TOP = os.environ["VJ_SRCDIR"]
VJRUN = os.path.join(os.environ["VJ_BUILDDIR"], "vjrun")
PAGES = ["README.md", "HACKING.md", "SECURITY.md", "doc/architecture.md", "doc/plugin-writing.md", "doc/results.md", "models/vj-tiny/README.md"]


def read(page):
    with open(os.path.join(TOP, page), encoding="utf-8") as file:
        return file.read()


def dead_links():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", read(page)):
            if not os.path.exists(os.path.join(TOP, os.path.dirname(page), target)):
                yield f"{page}: {target} is not there"


def left_out():
    """Every page goes into the tarball."""
    makefiles = "".join(read(os.path.relpath(path, TOP)) for path in glob.glob(os.path.join(TOP, "**", "*.mk"), recursive=True)) + read("Makefile.am")
    pages = [os.path.relpath(path, TOP) for path in glob.glob(os.path.join(TOP, "doc", "**", "*.md"), recursive=True)]
    for page in sorted(pages):
        if page not in makefiles and not page.startswith("doc/plugins/"):  # those are listed by the plugins that they are of
            yield f"{page} is in no EXTRA_DIST"


def unknown_commands():
    """Each `vjrun WORD` at the start of a line of README's blocks that is no recipe is a subcommand."""
    words = set(re.findall(r"^vjrun ([a-z]+)\b(?!\.)", read("README.md"), re.M))
    if len(words) < 5:
        yield f"only {sorted(words)} found: the README no longer shows the commands as this test reads them"
    for word in sorted(words):
        if subprocess.run([VJRUN, word, "--help"], capture_output=True).returncode != 0:
            yield f"README.md: vjrun {word} is no command"


def words_of(yaml):
    """Keys and values in their order, whatever the layout, but for comments and prompts."""
    text = "\n".join(re.sub(r"(^| )#.*", "", line) for line in yaml.splitlines())
    text = re.sub(r"\b(instruction|prompt): \"[^\"]*\"", "", text)
    return [word for word in re.split(r"[\s{}\[\],]+|- ", text) if word]


def other_excerpt():
    """What README.md shows of the quickstart's recipe is what that says."""
    shown = [block for block in re.findall(r"```yaml\n(.*?)```", read("README.md"), re.S) if block.startswith("iteration:")]
    recipe = read("recipes/quickstart.yaml")
    if len(shown) != 1:
        yield f"README.md: {len(shown)} excerpts begin with 'iteration:', expected the quickstart's alone"
        return
    ours, theirs = words_of(shown[0]), words_of(recipe[recipe.index("\niteration:"):])
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    if ours != theirs:
        yield f"README.md: the quickstart's excerpt says '{' '.join(ours[at:at + 5])}' where the recipe says '{' '.join(theirs[at:at + 5])}'"


def stand_ins(folder):
    """What recipes/paper.yaml asks of its user: a model, prompts, images."""
    prompts = os.path.join(folder, "prompts.json")
    with open(prompts, "w", encoding="utf-8") as file:
        file.write('[{"conversations": [{"from": "human", "value": "What is two and two?"}, {"from": "gpt", "value": "4"}]}]')
    return os.environ | {"VJ_LLAMA": os.path.join(TOP, "models", "vj-tiny"), "VJ_PROMPTS": prompts, "VJ_IMAGES": folder}


def bad_recipes():
    with tempfile.TemporaryDirectory() as folder:
        yield from refused_recipes(stand_ins(folder))


def refused_recipes(environment):
    named = {r for page in PAGES for r in re.findall(r"\brecipes/[\w-]+\.yaml", read(page))}
    named |= {os.path.relpath(path, TOP) for folder in ("", "ablations") for path in glob.glob(os.path.join(TOP, "recipes", folder, "*.yaml"))}
    for recipe in sorted(named):
        done = subprocess.run([VJRUN, "check", os.path.join(TOP, recipe)], capture_output=True, text=True,
                              env=environment)
        # Data that is no part of the checkout (../shared) may be away: then that, and nothing else, is told.
        faults = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        away = done.returncode == 4 and all("/shared/data/" in line and "cannot open the data set" in line for line in faults)
        if done.returncode != 0 and not away:
            yield f"{recipe}: vjrun check ends with {done.returncode}: {done.stderr.strip()}"


def main():
    bad = False
    checks = [("links lead somewhere", dead_links), ("pages are distributed", left_out), ("commands exist", unknown_commands), ("recipes are valid", bad_recipes),
              ("the excerpt is the quickstart's", other_excerpt)]
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        faults = list(check())
        for fault in faults:
            print("# " + fault.replace("\n", "\n# "))
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        bad |= bool(faults)
    sys.exit(bad)


main()
