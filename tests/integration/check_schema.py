# SPDX-License-Identifier: MIT
#
# check_schema.py: each line of standard input is what the schemas say that this
# command prints, and nothing else: a field that is in no schema is an error, and
# so is a whole number that a program with 53 bits for it would round.
#
#     check_schema.py TOP WORD...      the words of the command line
#
# Exit status 1 and what is wrong; 77: no jsonschema here (python3-jsonschema).
import json
import sys

PROGRAMS = {
    "drover": "agent/cli/drover.schema.json",
    "drover-replica": "sync/replica/drover-replica.schema.json",
    "drover-kv": "store/kv/drover-kv.schema.json",
}

try:
    import jsonschema
except ImportError:
    print("SKIP: no jsonschema for python3")
    sys.exit(77)


def closed(schema):
    """The same, without room for other fields."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {k: closed(v) for k, v in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") != "string":
        schema.setdefault("additionalProperties", False)
    return schema


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            yield from numbers(v)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def command_of(commands, words):
    words = [w for w in words if not w.startswith("-")]
    for n in range(len(words)):
        for length in (2, 1):
            name = " ".join(words[n : n + length])
            if name in commands:
                return name
    return None


def load(top, program):
    with open(top + "/" + PROGRAMS[program], encoding="utf-8") as f:
        document = json.load(f)
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def faults(value, document, name):
    failed = set(value) == {"schema", "error"}
    schema = document["commands"].get(name)
    if failed or schema is None:
        schema = document["$defs"]["failure"]
    schema = closed({**schema, "$defs": document["$defs"]})
    return [
        "%s: %s: %s" % (name, error.json_path, error.message[:300])
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value)
    ]


def main(top, *words):
    names = [w.rsplit("/", 1)[-1] for w in words]
    program = next((n for n in names if n in PROGRAMS), None)
    choice = []
    for each in [program] if program else PROGRAMS:
        document = load(top, each)
        name = command_of(document["commands"], words)
        # A script's own function says little: then any command will do.
        some = [name] if name or program else document["commands"]
        choice += [(document, n) for n in some]
    bad = 0
    for line in sys.stdin:
        value = json.loads(line)
        found = [faults(value, document, n) for document, n in choice]
        if all(found):
            bad += 1
            print("\n".join(min(found, key=len)))
        for n in numbers(value):
            if abs(n) > 2**53:
                bad += 1
                print("%d is no number for everybody" % n)
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
