"""What the tests of whole runs share: a run directory, the program, TAP lines. Standard library only."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE = os.path.realpath(os.environ.get("VJ_SRCDIR") or os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("VJ_BUILDDIR") or os.getcwd()
VJRUN = os.path.join(BUILD, "vjrun")
CANNED = os.path.join(SOURCE, "tests", "pipeline", "canned")
PLUGINS = os.path.join(BUILD, "tests", "plugins")


class Tap:
    """Counts checks; `done` prints the plan and ends the program."""

    def __init__(self):
        self.number = self.bad = 0

    def check(self, good, name, detail=""):
        self.number += 1
        self.bad += not good
        if not good:
            for line in str(detail).splitlines()[-30:]:
                print(f"# {line}")
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        return good

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}", flush=True)

    def done(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.bad else 0)


def scratch():
    """A directory that goes away with the program."""
    # A kill does not lose what the kernel holds, so a disk in memory tests the same, sooner.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.TemporaryDirectory(prefix="vjrun-test-", dir=memory)
    return folder, folder.name


def recipe_copy(folder, name="recipe.yaml", change=lambda text: text):
    """The canned recipe, its replies beside it, in `folder`; the recipe's path."""
    os.makedirs(folder, exist_ok=True)
    shutil.copyfile(os.path.join(CANNED, "replies.json"), os.path.join(folder, "replies.json"))
    with open(os.path.join(CANNED, "recipe.yaml"), encoding="utf-8") as file:
        text = change(file.read())
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


JUDGES = {  # how a judge of the loop answers; the worse answer is the one with the word tiny
    "good": [{"when": "JUDGE", "match": "\nA: [^\n]*tiny", "reply": "so [[B]]"}, {"when": "JUDGE", "reply": "so [[A]]"}],
    "same": [{"when": "JUDGE", "match": "\nA: [^\n]*tiny", "reply": "and so [[B]]"}, {"when": "JUDGE", "reply": "and so [[A]]"}],
    "bad": [{"when": "JUDGE", "match": "\nA: [^\n]*tiny", "reply": "so [[A]]"}, {"when": "JUDGE", "reply": "so [[B]]"}],
    "mute": [{"when": "JUDGE", "reply": "no idea"}],
    "silent": [{"when": "JUDGE", "error": "the prompt is too long"}],
    "letter": [{"when": "JUDGE", "reply": "always [[A]]"}],
    "slip": [{"when": ["JUDGE", "green"], "match": "\nA: [^\n]*tiny", "reply": "so [[A]]"}, {"when": ["JUDGE", "green"], "reply": "so [[B]]"},
             {"when": "JUDGE", "match": "\nA: [^\n]*tiny", "reply": "so [[B]]"}, {"when": "JUDGE", "reply": "so [[A]]"}],
    "slide": [{"when": ["JUDGE", "green"], "match": "\nA: [^\n]*tiny", "reply": "so [[A]]"}, {"when": ["JUDGE", "green"], "reply": "so [[B]]"},
              {"when": ["JUDGE", "red"], "match": "\nA: [^\n]*tiny", "reply": "so [[A]]"}, {"when": ["JUDGE", "red"], "reply": "so [[B]]"},
              {"when": "JUDGE", "match": "\nA: [^\n]*tiny", "reply": "so [[B]]"}, {"when": "JUDGE", "reply": "so [[A]]"}],
    "poet": [{"when": "describe the image", "reply": "a small garden of roses"}],
}


def loop_copy(folder, judges, base=None, change=lambda text: text):
    """loop.yaml in `folder`, with the judges that its iterations train, by name; the recipe's path."""
    os.makedirs(os.path.join(folder, "becomes"), exist_ok=True)
    with open(os.path.join(CANNED, "loop.json"), encoding="utf-8") as file:
        rules = json.load(file)["rules"]

    def write(name, judge):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump({"rules": JUDGES.get(judge, []) + rules}, file)

    write("replies.json", base)
    for number, judge in enumerate(judges, 1):
        write(os.path.join("becomes", f"iteration-{number}.json"), judge)
    with open(os.path.join(CANNED, "loop.yaml"), encoding="utf-8") as file:
        text = change(file.read())
    path = os.path.join(folder, "loop.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def command(recipe, run_dir, *more):
    return [VJRUN, "run", recipe, "--plugin-path", PLUGINS, "--run-dir", run_dir, *more]


def run(recipe, run_dir, *more, **options):
    """Runs to the end: .returncode, .stdout, .stderr."""
    return subprocess.run(command(recipe, run_dir, *more), capture_output=True, text=True, timeout=1800, check=False, **options)


def start(recipe, run_dir, *more, **options):
    return subprocess.Popen(command(recipe, run_dir, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def file_bytes(top):
    """name -> bytes of every file below `top`."""
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.relpath(os.path.join(folder, name), top)] = file.read()
    return found


def export_bytes(run_dir):
    return file_bytes(os.path.join(run_dir, "export"))


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
