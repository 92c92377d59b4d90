#!/usr/bin/env python3
"""Measures models/vj-tiny by recipes/vj-tiny-measure.yaml and writes the figures into its README.md, between the
lines that mark them. Usage: vj-tiny-figures.py [VJRUN]     (default: vjrun of the PATH; about a minute)"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(TOP, "models", "vj-tiny", "README.md")
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


def measure(vjrun):
    with tempfile.TemporaryDirectory() as folder:
        recipe = os.path.join(TOP, "recipes", "vj-tiny-measure.yaml")
        out = subprocess.run([vjrun, recipe, "--run-dir", os.path.join(folder, "run")], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    return re.sub(r"\n\nrun .*", "\n", out, flags=re.S).strip("\n")


def main():
    figures = measure(sys.argv[1] if len(sys.argv) > 1 else "vjrun")
    with open(README, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(README, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}```\n{figures}\n```\n{END}{after}")


if __name__ == "__main__":
    main()
