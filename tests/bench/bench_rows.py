"""The rows of the bench: what is asked of which model, and how much work that is. Standard library only."""
import collections
import os

import bench_cases
import bench_work
from bench_sides import Start, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VJ_SRCDIR") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("VJ_BUILDDIR") or os.getcwd()
TINY = os.path.join(SOURCE, "models", "vj-tiny")
ROWS = ("prefill", "decode", "draws", "judge", "train", "start")

# large, small: models; text, question, lesson: words beside an image; decode, reply, judged: tokens generated.
SIZES = {
    "full": {"large": "1b", "small": "100m", "text": 512, "decode": 16, "question": 64, "reply": 32, "draws": 16,
             "pairs": 64, "judged": 48, "examples": 8, "lesson": 128, "rounds": 5},
    "quick": {"large": "tiny", "small": "tiny", "text": 16, "decode": 4, "question": 8, "reply": 4, "draws": 4,
              "pairs": 2, "judged": 4, "examples": 2, "lesson": 16, "rounds": 1},
}

# One line of the table. limit: what the machine is asked for ("bf16", "read"), "seconds", or None; bar: the share of it
# to reach, or the seconds; work(sample): in the unit of the limit; command: of a worker, or of `vjrun judge`.
Row = collections.namedtuple("Row", "name limit bar model cases command work")


def program(name):
    return os.path.join(BUILD, "tests", "bench", name)


def open_ours(row, options):
    if row.name == "start":
        return open_start(row, row.command)
    return Worker([*row.command, "--threads", options.threads, *options.ours], VJ_BUILDDIR=BUILD)


def open_start(row, command, **environment):
    """A cold start: the model's files and vjrun itself have to be read from disk."""
    files = [os.path.join(row.model, name) for name in sorted(os.listdir(row.model))] + [os.path.join(BUILD, "vjrun")]
    return Start(command, files, **environment)


class Maker:
    """Makes rows, and the models and cases they need when first asked for. `scratch` holds the cases."""

    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.size = SIZES["quick" if options.quick else "full"]

    def row(self, name):
        self.folder = os.path.join(self.scratch, name)
        os.makedirs(self.folder, exist_ok=True)
        return getattr(self, name)()

    def model(self, which):
        """Its name, its folder, its sizes, the tiles of its pictures."""
        name = getattr(self.options, which) or self.size[which]
        folder = bench_cases.make_model(self.options.models, name, TINY, program("bench-weights"))
        return name, folder, bench_work.Shape(folder), bench_cases.SHAPES[name]["image"][1]

    def prefill(self):
        name, model, shape, tiles = self.model("large")
        text = self.size["text"]
        cases = bench_cases.make_prompt(self.folder, name, text)
        flops = bench_work.prefill_flops(shape, text + 2, text + 1, tiles)
        command = [program("bench-generate"), "prefill", model, cases]
        return Row("prefill", "bf16", 0.75, model, cases, command, lambda sample: flops)

    def decode(self):
        name, model, shape, tiles = self.model("large")
        text, count = self.size["text"], self.size["decode"]
        cases = bench_cases.make_prompt(self.folder, name, text)
        read = sum(bench_work.decode_bytes(shape, text + 3 + i, tiles) for i in range(count))
        command = [program("bench-generate"), "decode", model, cases, "--tokens", count]
        return Row("decode", "read", 0.80, model, cases, command, lambda sample: read)

    def draws(self):
        name, model, _, _ = self.model("large")
        cases = bench_cases.make_question(self.folder, name, self.size["question"])
        command = [program("bench-generate"), "replies", model, cases, "--draws", self.size["draws"],
                   "--tokens", self.size["reply"], "--temperature", 1]
        return Row("draws", None, None, model, cases, command, lambda sample: sample["reply"])

    def judge(self):
        cases = bench_cases.make_pairs(self.folder, self.size["pairs"])
        command = [program("bench-generate"), "replies", TINY, cases, "--tokens", self.size["judged"]]
        return Row("judge", None, None, TINY, cases, command, lambda sample: self.size["pairs"])

    def train(self):
        name, model, shape, tiles = self.model("small")
        count = self.size["examples"]
        cases = bench_cases.make_lessons(self.folder, name, count, self.size["lesson"])

        def work(sample):
            rows = sample["prompt"] // count - 1  # the last token predicts nothing
            # The image's token follows the start of the text and the user's header.
            return count * bench_work.train_flops(shape, rows, rows - 5, tiles, sample["reply"] // count)

        command = [program("bench-train"), "train", model, cases]
        return Row("train", "bf16", 0.65, model, cases, command, work)

    def start(self):
        cases = bench_cases.make_pairs(self.folder, 1)
        recipe = os.path.join(SOURCE, "recipes", "quickstart.yaml")
        command = [os.path.join(BUILD, "vjrun"), "judge", TINY, "--recipe", recipe,
                   "--set", "iteration.judge.max_tokens=1",
                   "--image", os.path.join(self.folder, "image-0.png"),
                   "--question", "describe the image", "--answer-a", "one shape ; north small red circle",
                   "--answer-b", "one shape ; north small blue circle"]
        return Row("start", "seconds", 0.150, TINY, cases, command, lambda sample: 1)
