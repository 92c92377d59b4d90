#!/usr/bin/env python3
"""Holds vjrun's greedy replies against transformers' generate on random checkpoints with images.

  check_generate.py BUILDDIR [--models N] [--cases N]

For each seed make_generate_vectors.py makes a model directory and what transformers says; the
test program of the build then says the same or fails. Nothing in `make check` runs this.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--cases", type=int, default=20)
    args = parser.parse_args()
    tokenizers = HERE.parent / "vectors" / "tokenizer"
    failed = 0
    for seed in range(1, args.models + 1):
        with tempfile.TemporaryDirectory() as where:
            subprocess.run([sys.executable, HERE / "make_generate_vectors.py", tokenizers / ("plain" if seed % 2 else "ignore-merges") / "tokenizer.json",
                            where, "--seed", str(seed), "--cases", str(args.cases)], check=True, stderr=subprocess.DEVNULL)
            env = dict(os.environ, VJ_ENGINE_VECTORS=where, VJ_SRCDIR=str(HERE.parent.parent), VJ_BUILDDIR=str(args.build))
            result = subprocess.run([args.build / "tests/engine/test-engine", "-p", "/engine/greedy-equals-transformers"], env=env,
                                    capture_output=True, text=True)
            failed += result.returncode != 0
            print(f"seed {seed}: {args.cases} cases: {'equal' if result.returncode == 0 else 'DIFFERENT'}")
            if result.returncode:
                print(result.stdout, result.stderr)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
