#!/usr/bin/env python3
"""The arrows of doc/architecture.md: which folder of core/ may include which. Prints TAP.

A floor may include itself, the floors named here, and core/vj (installed headers).
"""
import os
import re
import sys

ALLOWED = {
    "vj": set(),
    "base": set(),
    "record": {"base", "image"},
    "image": {"base"},
    "tensor": {"base"},
    "recipe": {"base"},
    "plugin": {"base", "image", "recipe"},
    "store": {"base", "record", "image"},
    "compute": {"base", "tensor"},
    "engine": {"base", "tensor", "compute"},
    "pipeline": {"base", "record", "image", "recipe", "plugin", "store", "report"},
    "report": {"base", "record", "store"},
    "cli": {"base", "record", "image", "recipe", "plugin", "store", "pipeline", "report", "engine", "compute"},
}
# Role plugins see the ABI alone; two roles are adapters over the engine, one over the op table.
PLUGIN_HEADERS = {"default": {"plugin.h"}, "backends": {"plugin.h", "engine.h"},
                  "trainers": {"plugin.h", "engine.h"}, "compute": {"plugin.h", "compute.h"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([a-z]+)/[^"]+"|<vj/([^>]+)>)')


def sources(top):
    for folder, _, names in os.walk(top):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".inc", ".cu")):
                yield os.path.join(folder, name)


def includes(path):
    """(line number, folder included, header of vj/ included): one of the two is None."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1), match.group(2)


def faults_of_core(top):
    root = os.path.join(top, "core")
    for path in sources(root):
        floor = os.path.relpath(path, root).split(os.sep)[0]
        for number, target, _ in includes(path):
            if target and target not in {"vj", floor} | ALLOWED.get(floor, set()):
                yield f"{os.path.relpath(path, top)}:{number}: {floor} must not include {target}"


def faults_of_plugins(top):
    root = os.path.join(top, "plugins")
    for path in sources(root):
        folder = os.path.relpath(path, root).split(os.sep)[0]
        allowed = PLUGIN_HEADERS.get(folder, PLUGIN_HEADERS["default"]) | {"chat.h", "error.h"}
        for number, target, header in includes(path):
            if target and target not in ("plugins", "scene", "text"):
                yield f"{os.path.relpath(path, top)}:{number}: a plugin must not include {target}/"
            elif header and header not in allowed:
                yield f"{os.path.relpath(path, top)}:{number}: plugins/{folder} must not include vj/{header}"


def report(number, name, faults):
    for fault in faults:
        print(f"# {fault}")
    print(f"{'not ok' if faults else 'ok'} {number} - {name}")
    return bool(faults)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.environ.get("VJ_SRCDIR") or os.path.dirname(os.path.dirname(here))
    print("1..3")
    bad = report(1, "core/: lower floors never include upper ones", list(faults_of_core(top)))
    bad |= report(2, "plugins/: only the headers of their role", list(faults_of_plugins(top)))
    unknown = sorted(set(os.listdir(os.path.join(top, "core"))) - set(ALLOWED) - {"local.mk"})
    bad |= report(3, "core/: every folder is a floor with a rule", unknown)
    sys.exit(bad)


main()
