#!/usr/bin/env python3
"""models/vj-tiny sees, answers, rewrites and judges as its README says, measured by recipes/vj-tiny-measure.yaml
on fewer scenes than there. The floors are what the model is for; it stands well above them."""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.environ.get("VJ_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VJ_BUILDDIR") or TOP
SCENES, PAIRS = 400, 150

# metric: floor, ceiling
BOUNDS = {
    "attributes": (0.95, 1),
    "closed": (0.85, 1),
    "rewrite: within all tries": (0.60, 1),
    "unparsed": (0, 0.05),
    "accuracy": (0.55, 0.95),  # above chance, with room to learn
}


def measure():
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [os.path.join(BUILD, "vjrun"), os.path.join(TOP, "recipes", "vj-tiny-measure.yaml"),
             "--run-dir", os.path.join(folder, "run"),
             "--set", f"evaluate.0.count={SCENES}", "--set", f"evaluate.1.count={PAIRS}"],
            capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"Bail out! vjrun ended with {run.returncode}: {run.stderr.strip()[-500:]}")
        sys.exit(1)
    return {name: float(value) for name, value in re.findall(r"^ +(\S.*?) {2,}(\d\.\d+)\b", run.stdout, re.M)}


def main():
    if not os.path.exists(os.path.join(TOP, "models", "vj-tiny", "model.safetensors")):
        print("1..0 # SKIP models/vj-tiny has no weights yet: vjrun recipes/vj-tiny.yaml makes them")
        return 0
    print(f"1..{len(BOUNDS)}")
    found, bad = measure(), 0
    for number, (name, (low, high)) in enumerate(BOUNDS.items(), 1):
        value = found.get(name, -1.0)
        good = low <= value <= high
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: {value:.3f} in [{low}, {high}]")
    return bad > 0


sys.exit(main())
