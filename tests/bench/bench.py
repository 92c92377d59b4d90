#!/usr/bin/env python3
"""How fast vjrun is, as ratios to what this machine can do, measured in the same run; `make bench` starts it.

  bench.py [--quick] [--rows NAME,...] [--rounds N] [--threads N] [--models DIR] [--json FILE]

doc/performance.md says what the rows are and how to read the table. Needs a finished build (VJ_BUILDDIR, else the
working folder) and Python's standard library. tests/peers/bench_peers.py adds the other side."""
import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from statistics import median

import bench_cases
from bench_rows import BUILD, ROWS, SIZES, Maker, open_ours, program
from bench_sides import Worker, measure, openmp

LIMITS = {"f32": "GFLOP/s", "f32_large": "GFLOP/s", "bf16": "GFLOP/s", "bf16_large": "GFLOP/s", "read": "GB/s"}
RATES = {"prefill": (1e9, "GFLOP/s"), "decode": (1e9, "GB/s"), "draws": (1, "tokens/s"), "judge": (1, "pairs/s"),
         "train": (1e9, "GFLOP/s"), "start": (1, "starts/s")}
PROCESSOR = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16"}


# -- one row -------------------------------------------------------------------


def against(row, ours, limits, threads):
    """{limit: (median, best, by processor time)}: our rate over the limit's; medians of both sides, the best run of
    both, and medians of both by processor time. The limit of the bar comes first."""
    names = [row.limit, row.limit + "_large", "f32", "f32_large"] if row.limit == "bf16" else [row.limit]
    found = {}
    for name in names:
        if name not in limits[0]:
            continue
        wall, known = [row.work(s) / s["seconds"] for s in ours], [limit[name] for limit in limits]
        cpu, known_cpu = [threads * row.work(s) / s["cpu"] for s in ours], [limit[name + "_cpu"] for limit in limits]
        found[name] = median(wall) / median(known), max(wall) / max(known), median(cpu) / median(known_cpu)
    return found


def run_row(row, limits, options):
    """What the table and --json show of one row."""
    side = open_ours(row, options)
    try:
        before = os.getloadavg()[0]
        taken = measure({"limits": limits, "ours": side}, options.rounds)
    finally:
        side.close()
    ours = taken["ours"]
    return {"row": row.name, "engine": side.summary, "seconds": [s["seconds"] for s in ours],
            "cpu": [s["cpu"] for s in ours], "work": row.work(ours[-1]), "peak_kib": ours[-1]["peak_kib"],
            "load": [before, os.getloadavg()[0]],
            "limits": taken["limits"], "ratios": against(row, ours, taken["limits"], options.threads)}


# -- the table -------------------------------------------------------------------


def heading():
    return (f"{'row':<8} {'median s':>9} {'min s':>9} {'max s':>9} {'rate':>18} {'MiB':>7}  "
            "of the machine: median / best / by processor time")


def line(row, found):
    seconds, (scale, unit) = found["seconds"], RATES[row.name]
    parts = [" / ".join(f"{part * 100:.0f}" for part in three) + f" % of {name}"
             for name, three in found["ratios"].items()]
    if row.limit == "seconds":
        parts = [f"{median(seconds) * 1000:.0f} ms; bar {row.bar * 1000:.0f} ms"]
    elif row.limit is None:
        parts = ["against a peer alone"]
    else:
        parts.append(f"bar {row.bar * 100:.0f} %")
    rate = f"{found['work'] / median(seconds) / scale:.1f} {unit}"
    return (f"{row.name:<8} {median(seconds):>9.3f} {min(seconds):>9.3f} {max(seconds):>9.3f} {rate:>18} "
            f"{found['peak_kib'] / 1024:>7.0f}  " + "; ".join(parts))


def limits_line(limits):
    parts = []
    for name, unit in LIMITS.items():
        known = [limit[name] / 1e9 for limit in limits if name in limit]
        if known:
            least, most, library = min(known), max(known), limits[-1][name + "_by"]
            parts.append(f"{name} {median(known):.0f} ({least:.0f} to {most:.0f}) {unit} by {library}")
    return "limits: " + "; ".join(parts)


def machine():
    """The machine by what its processor can do."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        text = ""
    name, flags = (re.search(rf"^{key}\s*: (.*)$", text, re.M) for key in ("model name", "flags"))
    can = [label for flag, label in PROCESSOR.items() if flags and flag in flags.group(1).split()]
    processors = f"{len(os.sched_getaffinity(0))} processors"
    return ", ".join([name.group(1) if name else platform.machine(), processors, *can])


# -- a run ---------------------------------------------------------------------------


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected 1 or more")
    return number


def writable(path):
    """Found out before the rows are measured, not after."""
    try:
        with open(path, "a", encoding="utf-8"):
            return path
    except OSError as error:
        raise argparse.ArgumentTypeError(f"'{path}' cannot be written: {error.strerror}") from error


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    processors, shapes = len(os.sched_getaffinity(0)), sorted(bench_cases.SHAPES)
    parser.add_argument("--quick", action="store_true", help="tiny models, one round: does the bench work at all?")
    parser.add_argument("--rows", type=lambda text: text.split(","), default=list(ROWS), help="of " + ",".join(ROWS))
    parser.add_argument("--rounds", type=positive, help="repetitions that count (default 5)")
    parser.add_argument("--threads", type=positive, default=processors, help="threads of every side (default: all)")
    parser.add_argument("--models", help="where random models are kept (default: bench-models of the build; 4 GiB)")
    parser.add_argument("--large", choices=shapes, help="the model of prefill, decode and draws")
    parser.add_argument("--small", choices=shapes, help="the model of train")
    parser.add_argument("--ours", type=str.split, default=[], help="options for our side, e.g. '--compute openblas'")
    parser.add_argument("--json", type=writable, help="write all figures to this file")
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row '{unknown[0]}'; there are {', '.join(ROWS)}")
    options.rounds = options.rounds or SIZES["quick" if options.quick else "full"]["rounds"]
    options.models = options.models or os.path.join(BUILD, "bench-models")
    try:
        os.makedirs(options.models, exist_ok=True)
    except OSError as error:
        parser.error(f"--models: '{options.models}' cannot be made: {error.strerror}")
    return options


def open_limits(options):
    small = ["--buffer-mib", 8, "--sizes", "64,128"] if options.quick else []
    return Worker([program("bench-limits"), "--threads", options.threads, *small], **openmp(options.threads))


def run(options, columns, measure_row):
    """The whole table: `measure_row` (row, limits) prints its lines and returns what --json keeps. The exit code."""
    result = {"machine": machine(), "threads": options.threads, "rounds": options.rounds, "rows": []}
    load = os.getloadavg()[0]
    print(f"machine: {result['machine']}; {options.threads} threads; load {load:.2f}; {options.rounds} rounds")
    print(columns, flush=True)
    scratch, limits = tempfile.mkdtemp(prefix="vjrun-bench-"), None
    try:
        limits, maker = open_limits(options), Maker(options, scratch)
        for name in options.rows:
            result["rows"] += measure_row(maker.row(name), limits)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if limits is not None:
            limits.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print(limits_line([limit for found in result["rows"] for limit in found["limits"]]))
    print(f"load at the end: {os.getloadavg()[0]:.2f}")
    if options.json:
        bench_cases.write_json(result, options.json)
    return 0


def main():
    options = arguments(__doc__)

    def measure_row(row, limits):
        found = run_row(row, limits, options)
        print(line(row, found), flush=True)
        return [found]

    return run(options, heading(), measure_row)


if __name__ == "__main__":
    sys.exit(main())
