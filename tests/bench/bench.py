#!/usr/bin/env python3
"""How fast vjrun is, as ratios to what this machine can do, measured in the same run; `make bench` starts it.

  bench.py [--quick] [--rows NAME,...] [--rounds N] [--threads N] [--models DIR] [--json FILE]

doc/performance.md says what the rows are and how to read the table. Needs a finished build (VJ_BUILDDIR, else the
working folder) and Python's standard library. tests/peers/bench_peers.py adds the other side."""
import argparse
import json
import os
import platform
import re
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import bench_cases
import bench_work

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VJ_SRCDIR") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("VJ_BUILDDIR") or os.getcwd()
TINY = os.path.join(SOURCE, "models", "vj-tiny")

# What is asked of a model: text_tokens beside the image, tokens generated, draws, pairs, examples.
SIZES = {"full": {"large": "1b", "small": "100m", "text": 512, "decode": 16, "question": 64, "reply": 32, "draws": 16, "pairs": 64,
                  "judged": 48, "examples": 8, "lesson": 128, "rounds": 5},
         "quick": {"large": "tiny", "small": "tiny", "text": 16, "decode": 4, "question": 8, "reply": 4, "draws": 4, "pairs": 2,
                   "judged": 4, "examples": 2, "lesson": 16, "rounds": 1}}


def program(name):
    return os.path.join(BUILD, "tests", "bench", name)


# -- the sides of a measurement ----------------------------------------------------


class Worker:
    """A program that does one repetition for each line it is given; see bench-kit.h."""

    def __init__(self, command, **environment):
        self.command = [str(part) for part in command]
        self.errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=dict(os.environ, **environment))
        self.summary = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.wait()}: {self.errors.read().strip()[-2000:]}")
        return json.loads(line)

    def once(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()


class Start:
    """A command from its start to its first output, its files out of the page cache where the kernel lets go of them."""

    def __init__(self, command, files, **environment):
        self.command, self.files = [str(part) for part in command], files
        self.environment = dict(os.environ, **environment)
        self.summary = os.path.basename(self.command[0])

    def forget(self):
        for path in self.files:
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)

    def once(self):
        self.forget()
        with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as errors:
            begin = time.monotonic()
            process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=errors, env=self.environment)
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                selector.select()
            seconds = time.monotonic() - begin
            process.stdout.read()
            process.stdout.close()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                raise RuntimeError(f"{' '.join(self.command)} ended with {process.returncode}: {errors.read().strip()[-2000:]}")
        return {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "prompt": 0, "reply": 1, "peak_kib": used.ru_maxrss}

    def close(self):
        pass


def measure(sides, rounds):
    """{name: samples}: after one repetition of each that does not count, all sides take turns."""
    taken = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            sample = side.once()
            if number > 0:
                taken[name].append(sample)
    return taken


# -- rows ----------------------------------------------------------------------------


class Row:
    """One line of the table: what is run, and its work in the unit of a limit."""

    def __init__(self, name, limit, bar, command, model, cases, work):
        self.name, self.limit, self.bar, self.command, self.model, self.cases, self.work = name, limit, bar, command, model, cases, work
        self.threads = 1

    def open(self, options):
        self.threads = options.threads
        if self.name == "start":
            return self.command
        return Worker([*self.command, "--threads", options.threads, *options.ours], VJ_BUILDDIR=BUILD)


class Bench:
    """The rows over models and cases, both made when first asked for. `scratch` holds the cases."""

    ROWS = ("prefill", "decode", "draws", "judge", "train", "start")

    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.size = SIZES["quick" if options.quick else "full"]

    def folder(self, name):
        where = os.path.join(self.scratch, name)
        os.makedirs(where, exist_ok=True)
        return where

    def model(self, which):
        name = getattr(self.options, which) or self.size[which]
        return name, bench_cases.make_model(self.options.models, name, TINY, program("bench-weights"))

    def row(self, name):
        return getattr(self, "row_" + name)()

    def row_prefill(self):
        (shape_name, model), folder, text = self.model("large"), self.folder("prefill"), self.size["text"]
        cases, shape = bench_cases.make_prompt(folder, shape_name, text), bench_work.Shape(model)
        tiles = bench_cases.SHAPES[shape_name]["image"][1]
        flops = bench_work.prefill_flops(shape, text + 2, text + 1, tiles)
        return Row("prefill", "bf16", 0.75, [program("bench-generate"), "prefill", model, cases], model, cases, lambda sample: flops)

    def row_decode(self):
        (shape_name, model), folder, text, count = self.model("large"), self.folder("decode"), self.size["text"], self.size["decode"]
        cases, shape = bench_cases.make_prompt(folder, shape_name, text), bench_work.Shape(model)
        tiles = bench_cases.SHAPES[shape_name]["image"][1]
        read = sum(bench_work.decode_bytes(shape, text + 3 + i, tiles) for i in range(count))
        return Row("decode", "read", 0.80, [program("bench-generate"), "decode", model, cases, "--tokens", count], model, cases,
                   lambda sample: read)

    def row_draws(self):
        (shape_name, model), folder = self.model("large"), self.folder("draws")
        cases = bench_cases.make_question(folder, shape_name, self.size["question"])
        command = [program("bench-generate"), "replies", model, cases, "--draws", self.size["draws"], "--tokens", self.size["reply"],
                   "--temperature", 1]
        return Row("draws", None, None, command, model, cases, lambda sample: self.size["draws"])

    def row_judge(self):
        cases = bench_cases.make_pairs(self.folder("judge"), self.size["pairs"])
        command = [program("bench-generate"), "replies", TINY, cases, "--tokens", self.size["judged"]]
        return Row("judge", None, None, command, TINY, cases, lambda sample: self.size["pairs"])

    def row_train(self):
        (shape_name, model), folder, count = self.model("small"), self.folder("train"), self.size["examples"]
        cases, shape = bench_cases.make_lessons(folder, shape_name, count, self.size["lesson"]), bench_work.Shape(model)
        tiles = bench_cases.SHAPES[shape_name]["image"][1]

        def work(sample):
            rows = sample["prompt"] // count
            return count * bench_work.train_flops(shape, rows, rows, tiles, sample["reply"] // count)

        return Row("train", "bf16", 0.65, [program("bench-train"), "train", model, cases], model, cases, work)

    def row_start(self):
        cases = bench_cases.make_pairs(self.folder("start"), 1)
        vjrun = os.path.join(BUILD, "vjrun")
        command = [vjrun, "judge", TINY, "--recipe", os.path.join(SOURCE, "recipes", "quickstart.yaml"), "--set",
                   "iteration.judge.max_tokens=1", "--image", os.path.join(self.folder("start"), "image-0.png"), "--question",
                   "describe the image", "--answer-a", "one shape ; north small red circle", "--answer-b", "one shape ; north small blue circle"]
        files = [os.path.join(TINY, name) for name in sorted(os.listdir(TINY))] + [vjrun]
        return Row("start", "seconds", 0.150, Start(command, files), TINY, cases, lambda sample: 1)


# -- the table -------------------------------------------------------------------------


def against(row, ours, limits):
    """{limit: (median, best, by processor time)}: our rate over the limit's; medians of both sides, the best run of
    both, and medians of both by processor time. The limit of the bar comes first."""
    if row.limit in (None, "seconds"):
        return {}
    names = [row.limit, row.limit + "_large", "f32", "f32_large"] if row.limit == "bf16" else [row.limit]
    found = {}
    for name in names:
        if name not in limits[0]:
            continue
        mine, known = [row.work(sample) / sample["seconds"] for sample in ours], [limit[name] for limit in limits]
        by_cpu = [row.threads * row.work(sample) / sample["cpu"] for sample in ours], [limit[name + "_cpu"] for limit in limits]
        found[name] = statistics.median(mine) / statistics.median(known), max(mine) / max(known), statistics.median(by_cpu[0]) / statistics.median(by_cpu[1])
    return found


def run_row(row, options, limits):
    """What the table and --json show of one row."""
    side = row.open(options)
    try:
        before = os.getloadavg()[0]
        taken = measure({"limits": limits, "ours": side}, options.rounds)
    finally:
        side.close()
    seconds = [sample["seconds"] for sample in taken["ours"]]
    found = {"row": row.name, "engine": side.summary, "seconds": seconds, "cpu": [sample["cpu"] for sample in taken["ours"]],
             "work": row.work(taken["ours"][-1]), "reply_tokens": taken["ours"][-1]["reply"], "peak_kib": taken["ours"][-1]["peak_kib"],
             "limits": taken["limits"], "load": [before, os.getloadavg()[0]]}
    found["ratios"] = against(row, taken["ours"], taken["limits"])
    return found


def rate_text(row, found):
    """The median in the unit a reader thinks in."""
    median = statistics.median(found["seconds"])
    return {"prefill": f"{found['work'] / median / 1e9:.0f} GFLOP/s", "train": f"{found['work'] / median / 1e9:.0f} GFLOP/s",
            "decode": f"{found['work'] / median / 1e9:.1f} GB/s", "draws": f"{found['reply_tokens'] / median:.1f} tokens/s",
            "judge": f"{found['work'] / median:.1f} pairs/s", "start": f"{median * 1000:.0f} ms"}[row.name]


def ratio_text(row, found):
    if row.limit == "seconds":
        return f"{statistics.median(found['seconds']) / row.bar:.2f} of {row.bar * 1000:.0f} ms"
    parts = [" / ".join(f"{part * 100:.0f}" for part in found["ratios"][name]) + f" % of {name}" for name in found["ratios"]]
    return "; ".join(parts) + f"; bar {row.bar * 100:.0f} %" if parts else "against a peer alone"


def print_row(row, found):
    seconds = found["seconds"]
    print(f"{row.name:<8} {statistics.median(seconds):>9.3f} {min(seconds):>9.3f} {max(seconds):>9.3f}  {rate_text(row, found):<16} "
          f"{found['peak_kib'] / 1024:>7.0f}  {ratio_text(row, found)}", flush=True)


def limits_text(limits):
    parts = []
    for name, scale, unit in (("f32", 1e9, "GFLOP/s"), ("f32_large", 1e9, "GFLOP/s"), ("bf16", 1e9, "GFLOP/s"), ("bf16_large", 1e9, "GFLOP/s"),
                              ("read", 1e9, "GB/s")):
        known = [limit[name] / scale for limit in limits if name in limit]
        if known:
            parts.append(f"{name} {statistics.median(known):.0f} ({min(known):.0f} to {max(known):.0f}) {unit} by {limits[-1][name + '_by']}")
    return "limits: " + "; ".join(parts)


def machine():
    """The machine by what its processor can do."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return platform.machine()
    flags = set(re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.M).group(1).split()) if "flags" in text or "Features" in text else set()
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16", "asimd": "NEON", "sve": "SVE"}
    name = re.search(r"^model name\s*: (.*)$", text, re.M)
    return f"{name.group(1) if name else platform.machine()}, {len(os.sched_getaffinity(0))} processors, " + ", ".join(
        label for flag, label in known.items() if flag in flags)


# -- command line --------------------------------------------------------------------------


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny models, one round: does the bench work at all?")
    parser.add_argument("--rows", type=lambda text: text.split(","), default=list(Bench.ROWS), help="of " + ",".join(Bench.ROWS))
    parser.add_argument("--rounds", type=int, help="repetitions that count (default 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of every side (default: all)")
    parser.add_argument("--models", help="where random models are kept (default: bench-models of the build; may take 4 GiB)")
    parser.add_argument("--large", choices=sorted(bench_cases.SHAPES), help="the model of prefill, decode and draws")
    parser.add_argument("--small", choices=sorted(bench_cases.SHAPES), help="the model of train")
    parser.add_argument("--ours", type=str.split, default=[], help="more options for our side, e.g. '--compute openblas'")
    parser.add_argument("--json", help="write all figures to this file")
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in Bench.ROWS]
    if unknown:
        parser.error(f"no row '{unknown[0]}'; there are {', '.join(Bench.ROWS)}")
    options.rounds = options.rounds or SIZES["quick" if options.quick else "full"]["rounds"]
    options.models = options.models or os.path.join(BUILD, "bench-models")
    os.makedirs(options.models, exist_ok=True)
    return options


def openmp(threads):
    """Few spins at a barrier: a thread that lost its processor to someone else must not hold the other up for long."""
    return {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000")}


def open_limits(options):
    small = ["--buffer-mib", 8, "--sizes", "64,128"] if options.quick else []
    return Worker([program("bench-limits"), "--threads", options.threads, *small], **openmp(options.threads))


def main():
    options = arguments(__doc__)
    scratch = tempfile.mkdtemp(prefix="vjrun-bench-")
    result = {"machine": machine(), "threads": options.threads, "rounds": options.rounds, "rows": []}
    limits = None
    try:
        limits = open_limits(options)
        bench = Bench(options, scratch)
        print(f"machine: {result['machine']}; {options.threads} threads; load {os.getloadavg()[0]:.2f}; {options.rounds} rounds")
        print(f"{'row':<8} {'median s':>9} {'min s':>9} {'max s':>9}  {'rate':<16} {'MiB':>7}  of the machine: median / best / by processor time")
        for name in options.rows:
            row = bench.row(name)
            found = run_row(row, options, limits)
            result["rows"].append(found)
            print_row(row, found)
        print(limits_text([limit for found in result["rows"] for limit in found["limits"]]))
        print(f"load at the end: {os.getloadavg()[0]:.2f}")
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if limits is not None:
            limits.close()
        shutil.rmtree(scratch, ignore_errors=True)
    if options.json:
        bench_cases.write_json(result, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
