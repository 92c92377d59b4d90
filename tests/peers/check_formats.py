#!/usr/bin/env python3
"""Holds vjrun to transformers on random mllama directories: sizes, layouts, chats (make_format_vectors.py --random).

  make tests/engine/test-formats            # in the build tree
  check_formats.py BUILDDIR [--models N] [--seed S]

Each model: five chats (text alone, one, two and three images), prompt ids, all logits of 64 greedy steps within 1e-4 of
the largest, the 64 tokens and the text. Prints what the test program says; exits 1 when anything differs.
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
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        subprocess.run([
            sys.executable, HERE / "make_format_vectors.py", where, "--random",
            str(args.models), "--seed",
            str(args.seed)
        ],
                       check=True,
                       stderr=subprocess.DEVNULL)
        env = dict(os.environ, VJ_FORMAT_VECTORS=where, VJ_SRCDIR=str(HERE.parent.parent), VJ_BUILDDIR=str(args.build))
        return subprocess.run([args.build / "tests/engine/test-formats"], env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
