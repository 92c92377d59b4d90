#!/usr/bin/env python3
"""schemas/recipe.schema.json and doc/plugins/ are what the option tables say now. Prints TAP.

A plugin that this build left out (its library is missing) may stand in the committed files; one that has no
source any more may not. Remedy for all: make regenerate.
"""
import json
import os
import subprocess
import sys
import tempfile

SRC, BUILD = os.environ["VJ_SRCDIR"], os.environ["VJ_BUILDDIR"]
VJRUN = os.path.join(BUILD, "vjrun")
FOLDERS = {"source": "sources", "injector": "injectors", "sampler": "samplers", "judge": "judges", "filter": "filters",
           "trainer": "trainers", "evaluator": "evaluators", "backend": "backends", "compute": "compute"}


def has_source(role, name):
    return os.path.exists(os.path.join(SRC, "plugins", FOLDERS[role], name + ".c"))


def rows(readme):
    return [line for line in readme.splitlines() if line.startswith("| ") and "](" in line]


def page_faults():
    with tempfile.TemporaryDirectory() as now:
        subprocess.run([VJRUN, "describe", "--pages", now], check=True)
        committed = os.path.join(SRC, "doc", "plugins")
        old = set(os.listdir(committed)) - {"README.md"}
        new = set(os.listdir(now)) - {"README.md"}
        for base in sorted(new):
            path = os.path.join(committed, base)
            if base not in old or open(path, encoding="utf-8").read() != open(os.path.join(now, base), encoding="utf-8").read():
                yield f"doc/plugins/{base} is stale"
        for base in sorted(old - new):
            role, _, name = base[:-3].partition("-")
            if role not in FOLDERS or not has_source(role, name):
                yield f"doc/plugins/{base} is of no plugin"
        listed = rows(open(os.path.join(committed, "README.md"), encoding="utf-8").read())
        for row in rows(open(os.path.join(now, "README.md"), encoding="utf-8").read()):
            if row not in listed:
                yield f"doc/plugins/README.md lacks: {row}"


def without_absent(schema, built):
    """The schema as it would be with the built plugins alone."""
    defs = schema["$defs"]
    for key in [k for k in defs if "." in k and k not in built]:
        if not has_source(*key.split(".", 1)):
            raise ValueError(f"schemas/recipe.schema.json: {key} is of no plugin")
        role, name = key.split(".", 1)
        del defs[key]
        entry = defs[role]
        entry["properties"]["use"]["enum"].remove(name)
        entry["allOf"] = [rule for rule in entry["allOf"] if rule["if"]["properties"]["use"]["const"] != name]
        if not entry["allOf"]:
            del entry["allOf"]
    return schema


def schema_faults():
    new = json.loads(subprocess.run([VJRUN, "describe", "--schema"], check=True, stdout=subprocess.PIPE).stdout)
    with open(os.path.join(SRC, "schemas", "recipe.schema.json"), encoding="utf-8") as file:
        old = json.load(file)
    try:
        old = without_absent(old, set(new["$defs"]))
    except ValueError as fault:
        yield str(fault)
        return
    for key in sorted(set(new["$defs"]) | set(old["$defs"])):
        if new["$defs"].get(key) != old["$defs"].get(key):
            yield f"schemas/recipe.schema.json: {key} is stale"
    new.pop("$defs"), old.pop("$defs")
    if new != old:
        yield "schemas/recipe.schema.json: the sections are stale"


def main():
    code = 0
    checks = [("doc/plugins says what the option tables say", page_faults),
              ("schemas/recipe.schema.json says what the option tables say", schema_faults)]
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        try:
            faults = list(check())
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            faults = [str(error)]
        print(("not ok" if faults else "ok"), number, "-", name)
        for fault in faults:
            print("#", fault)
        if faults:
            print("# remedy: make regenerate, then commit")
            code = 1
    return code


sys.exit(main())
