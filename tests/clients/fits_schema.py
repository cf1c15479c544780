"""SCHEMA FILE...: every file fits the JSON Schema; the same files with a misspelled or mistyped member do not."""

import json
import sys

import jsonschema
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
kind = jsonschema.validators.validator_for(schema)
kind.check_schema(schema)
validator = kind(schema)
faults = []
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    faults += [f"{path}: {error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    for wrong in ({"resorces": {}}, {"api": 7}, {"server": {"htp": "127.0.0.1:1"}}, {"resources": []}):
        if validator.is_valid({**document, **wrong}):
            faults.append(f"{path}: {wrong} is accepted")
if faults:
    sys.exit("\n".join(faults))
