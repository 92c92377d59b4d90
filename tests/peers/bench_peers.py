#!/usr/bin/env python3
"""vjrun beside PyTorch and transformers: the same checkpoints, prompts, pictures and threads, taking turns in one run.

  bench_peers.py --build BUILDDIR [--theirs DTYPE] [--rows NAME,...] [--rounds N] [--quick] [--json FILE]
                 [what bench.py takes]

Run it with a Python that has the packages of README.md here. Of the ways to set the other side up (VARIANTS) the
fastest in a short trial is measured; all trials are shown. `--theirs f32` tries only those in f32: where the processor
does not multiply bf16, PyTorch takes minutes for what takes seconds. Nothing in `make check` runs this."""
import os
import pathlib
import sys
from statistics import median

HERE = pathlib.Path(__file__).resolve().parent


def take_option(name):
    """The value of an option that bench.py does not know; None without it."""
    if name not in sys.argv[:-1]:
        return None
    at = sys.argv.index(name)
    value = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    return value


BUILD, THEIRS = take_option("--build"), take_option("--theirs")
if BUILD is not None:  # before bench.py looks for the build
    os.environ["VJ_BUILDDIR"] = os.path.abspath(BUILD)
sys.path.insert(0, str(HERE.parent / "bench"))

import bench  # noqa: E402
from bench_rows import open_ours, open_start  # noqa: E402
from bench_sides import Worker, measure, openmp  # noqa: E402

DTYPES = [["--dtype", dtype] for dtype in ("bf16", "f32") if THEIRS in (None, dtype)]
if not DTYPES:
    sys.exit(f"bench_peers.py: --theirs: '{THEIRS}': it is bf16 or f32")
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
    which = "start" if row.name == "start" else row.command[1]
    shared = [part for i, part in enumerate(row.command) if part in SHARED or row.command[i - 1] in SHARED]
    command = [sys.executable, HERE / "bench_torch.py", which, row.model, row.cases, "--threads", options.threads,
               *shared, *variant]
    threads = variant[variant.index("--threads") + 1] if "--threads" in variant else options.threads
    environment = {**openmp(threads), "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
    return open_start(row, command, **environment) if which == "start" else Worker(command, **environment)


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
            samples = measure({"peer": peer}, 1 if options.quick else 2)["peer"]
        finally:
            peer.close()
        seconds = min(sample["seconds"] for sample in samples) / share(variant, row)
        way, memory = " ".join(map(str, variant)), samples[-1]["peak_kib"] / 1024
        print(f"  {row.name}: {name} {way}: {seconds:.3f} s, {memory:.0f} MiB", flush=True)
        if best is None or seconds < best[0]:
            best = seconds, variant
    return best[1]


def check_same(row, part, ours, theirs):
    """Both sides read the same number of tokens, or they do not do the same work."""
    if part == 1 and ours["prompt"] != theirs["prompt"]:
        raise RuntimeError(f"{row.name}: not the same prompts: {ours['prompt']} tokens here, {theirs['prompt']} there")


def line(row, found):
    ours, theirs = found["ours"], found["theirs"]
    return (f"{row.name:<8} {found['peer']:<21} {median(ours['seconds']):>9.3f} {median(theirs['seconds']):>9.3f} "
            f"{found['ratio']:>7.2f} {found['best_ratio']:>7.2f} {found['cpu_ratio']:>7.2f} {found['bar']:>6}  "
            f"{ours['peak_kib'] / 1024:>8.0f} {theirs['peak_kib'] / 1024:>7.0f} {found['memory_ratio']:>6.2f} "
            f"{MEMORY_BAR:>5}  {ours['reply']:.0f} and {theirs['reply']:.0f}")


def summary(samples, part):
    """Times and tokens of the whole row, of which the samples did `part`."""
    last = samples[-1]
    return {"seconds": [s["seconds"] / part for s in samples], "cpu": [s["cpu"] / part for s in samples],
            "reply": last["reply"] / part, "peak_kib": last["peak_kib"]}


def compare(row, name, bar, variants, limits, options):
    variant = choose(row, name, variants, options)
    sides = {"limits": limits, "ours": open_ours(row, options)}
    try:
        sides["theirs"] = open_peer(row, variant, options)
        taken = measure(sides, options.rounds)
    finally:
        for side in ("ours", "theirs"):
            if side in sides:
                sides[side].close()
    part = share(variant, row)
    check_same(row, part, taken["ours"][-1], taken["theirs"][-1])
    ours, theirs = summary(taken["ours"], 1), summary(taken["theirs"], part)
    found = {"row": row.name, "peer": name, "variant": variant, "bar": bar, "ours": ours, "theirs": theirs,
             "limits": taken["limits"], "load": os.getloadavg()[0],
             "ratio": median(theirs["seconds"]) / median(ours["seconds"]),
             "best_ratio": min(theirs["seconds"]) / min(ours["seconds"]),
             "cpu_ratio": median(theirs["cpu"]) / median(ours["cpu"]),
             "memory_ratio": ours["peak_kib"] / theirs["peak_kib"]}
    print(line(row, found), flush=True)
    return found


def main():
    options = bench.arguments(__doc__)
    columns = (f"{'row':<8} {'against':<21} {'ours s':>9} {'theirs s':>9} {'ratio':>7} {'best':>7} {'by cpu':>7} "
               f"{'bar':>6}  {'ours MiB':>8} {'theirs':>7} {'ratio':>6} {'bar':>5}  tokens made")

    def measure_row(row, limits):
        return [compare(row, *peer, limits, options) for peer in VARIANTS[row.name]]

    return bench.run(options, columns, measure_row)


if __name__ == "__main__":
    sys.exit(main())
