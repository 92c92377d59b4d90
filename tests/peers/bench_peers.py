#!/usr/bin/env python3
"""vjrun beside PyTorch and transformers: the same checkpoints, prompts, pictures and threads, taking turns in one run.

  bench_peers.py --build BUILDDIR [--rows NAME,...] [--rounds N] [--quick] [--json FILE] [and what tests/bench/bench.py takes]

Run it with a Python that has the packages of README.md here. Of the ways to set the other side up (VARIANTS) the
fastest in a short trial is measured; all trials are shown. Nothing in `make check` runs this."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
if "--build" in sys.argv[:-1]:  # before bench.py looks for the build
    at = sys.argv.index("--build")
    os.environ["VJ_BUILDDIR"] = os.path.abspath(sys.argv[at + 1])
    del sys.argv[at:at + 2]
sys.path.insert(0, str(HERE.parent / "bench"))

import bench  # noqa: E402
import bench_cases  # noqa: E402

DTYPES = [["--dtype", "bf16"], ["--dtype", "f32"]]
CACHES = [["--cache", "dynamic"], ["--cache", "static"]]
LOOP_PROMPTS = 16  # of the judge row, for the plain loop: its speed per pair does not depend on how many there are


def both(first, second):
    return [one + other for one in first for other in second]


# row: [(what the other side is called, bar, its ways)]
VARIANTS = {
    "prefill": [("transformers", 1.3, DTYPES)],
    "decode": [("transformers", 2, both(DTYPES, CACHES))],
    "draws": [("num_return_sequences", 4, DTYPES)],
    "judge": [("plain loop", 20, both(DTYPES, [["--limit", LOOP_PROMPTS], ["--limit", LOOP_PROMPTS, "--threads", 1]])),
              ("batched", 5, both(DTYPES, [["--batch", 32], ["--batch", 128], ["--batch", 128, "--threads", 1]]))],
    "train": [("PyTorch", 1.3, DTYPES)],
    "start": [("transformers", 1, DTYPES)],
}
MEMORY_BAR = 0.7
# Options of our worker that the other one shares.
SHARED = ("--tokens", "--draws", "--temperature")


def open_peer(row, variant, options):
    """The other side of `row`, set up as `variant` says."""
    ours = row.command if isinstance(row.command, list) else []
    which = ours[1] if ours else "start"
    shared = [part for i, part in enumerate(ours) if part in SHARED or (i > 0 and ours[i - 1] in SHARED)]
    command = [sys.executable, HERE / "bench_torch.py", which, row.model, row.cases, "--threads", options.threads, *shared, *variant]
    threads = variant[variant.index("--threads") + 1] if "--threads" in variant else options.threads
    environment = {**bench.openmp(threads), "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if which == "start":
        return bench.Start(command, row.command.files[:-1], **environment)
    return bench.Worker(command, **environment)


def share(variant, row):
    """The part of the row's work that this variant does."""
    if "--limit" not in variant:
        return 1
    with open(row.cases, encoding="utf-8") as file:
        total = sum(1 for _ in file)
    return min(variant[variant.index("--limit") + 1], total) / total


def choose(row, name, variants, options):
    """The fastest of the variants, each tried twice after a warm-up."""
    best = None
    for variant in variants:
        peer = open_peer(row, variant, options)
        try:
            samples = bench.measure({"peer": peer}, 1 if options.quick else 2)["peer"]
        finally:
            peer.close()
        seconds = min(sample["seconds"] for sample in samples) / share(variant, row)
        print(f"  {row.name}: {name} {' '.join(map(str, variant))}: {seconds:.3f} s, {samples[-1]['peak_kib'] / 1024:.0f} MiB", flush=True)
        if best is None or seconds < best[0]:
            best = seconds, variant
    return best[1]


def check_same(row, part, ours, theirs):
    """Both sides read the same number of tokens, or they do not do the same work."""
    if part == 1 and ours["prompt"] != theirs["prompt"]:
        raise RuntimeError(f"{row.name}: {ours['prompt']} tokens read here and {theirs['prompt']} there: not the same prompts")


def compare(row, name, bar, variants, limits, options):
    variant = choose(row, name, variants, options)
    sides = {"limits": limits, "ours": row.open(options)}
    try:
        sides["theirs"] = open_peer(row, variant, options)
        taken = bench.measure(sides, options.rounds)
    finally:
        for side in ("ours", "theirs"):
            if side in sides:
                sides[side].close()
    part = share(variant, row)
    check_same(row, part, taken["ours"][-1], taken["theirs"][-1])
    mine = {clock: [sample[clock] for sample in taken["ours"]] for clock in ("seconds", "cpu")}
    others = {clock: [sample[clock] / part for sample in taken["theirs"]] for clock in ("seconds", "cpu")}
    peaks = [taken[side][-1]["peak_kib"] for side in ("ours", "theirs")]
    found = {"row": row.name, "peer": name, "variant": variant, "bar": bar, "ours": taken["ours"], "theirs": taken["theirs"],
             "limits": taken["limits"], "ratio": statistics.median(others["seconds"]) / statistics.median(mine["seconds"]),
             "best_ratio": min(others["seconds"]) / min(mine["seconds"]), "cpu_ratio": statistics.median(others["cpu"]) / statistics.median(mine["cpu"]),
             "memory_ratio": peaks[0] / peaks[1], "load": os.getloadavg()[0]}
    print(f"{row.name:<8} {name:<21} {statistics.median(mine['seconds']):>9.3f} {statistics.median(others['seconds']):>9.3f} {found['ratio']:>7.2f} "
          f"{found['best_ratio']:>7.2f} {found['cpu_ratio']:>7.2f} {bar:>6}  {peaks[0] / 1024:>7.0f} {peaks[1] / 1024:>7.0f} {found['memory_ratio']:>6.2f} "
          f"{MEMORY_BAR:>5}   tokens {taken['ours'][-1]['reply']} and {taken['theirs'][-1]['reply'] / part:.0f}", flush=True)
    return found


def main():
    options = bench.arguments(__doc__)
    scratch = tempfile.mkdtemp(prefix="vjrun-bench-")
    result = {"machine": bench.machine(), "threads": options.threads, "rounds": options.rounds, "rows": []}
    limits = None
    try:
        limits = bench.open_limits(options)
        rows = bench.Bench(options, scratch)
        print(f"machine: {result['machine']}; {options.threads} threads; load {os.getloadavg()[0]:.2f}; {options.rounds} rounds")
        print(f"{'row':<8} {'against':<21} {'ours s':>9} {'theirs s':>9} {'ratio':>7} {'best':>7} {'by cpu':>7} {'bar':>6}  {'ours MiB':>7} {'theirs':>7} {'ratio':>6} {'bar':>5}")
        for name in options.rows:
            row = rows.row(name)
            for peer, bar, variants in VARIANTS[name]:
                result["rows"].append(compare(row, peer, bar, variants, limits, options))
        print(bench.limits_text([limit for found in result["rows"] for limit in found["limits"]]))
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
