#!/usr/bin/env python3
"""Holds an export (vjrun export --format jsonl) to schemas/record.schema.json by somebody else's validator.

usage: check_records.py EXPORT-DIR     needs PyPI's jsonschema
"""
import json
import os
import sys

from jsonschema import Draft202012Validator

top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
with open(os.path.join(top, "schemas", "record.schema.json"), encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
lines = faults = 0
for name in sorted(os.listdir(sys.argv[1])):
    if not name.endswith(".jsonl"):
        continue
    with open(os.path.join(sys.argv[1], name), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            lines += 1
            for error in validator.iter_errors(json.loads(line)):
                faults += 1
                print(f"{name}:{number}: {error.message}")
print(f"{lines} records, {faults} faults")
sys.exit(1 if faults or not lines else 0)
