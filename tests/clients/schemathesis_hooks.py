"""What runs of schemathesis leave out, and which part of the calls a run is about."""

import os
from collections import defaultdict

import schemathesis

# They choose among the fields of an answer, which then lacks what its schema requires.
SELECTING = ("fields", "exclude_fields", "minimal")
# The account that the run is made with would be called otherwise; a stream does not end.
LEFT_OUT = ("login_update", "tasks_events")


def resource(path):
    """`repositories/file/file` of `/pulp/api/v3/repositories/file/file/{pk}/`."""
    names = path.split("/pulp/api/", 1)[-1].split("{", 1)[0].strip("/")
    return "/".join(names.split("/")[:4])


def part_of(paths, part, parts):
    """The paths of some resources, so that all parts have about as many calls."""
    calls = defaultdict(int)
    for path, operations in paths.items():
        calls[resource(path)] += len(operations)
    shares = [0] * parts
    mine = set()
    for name in sorted(calls, key=lambda name: (-calls[name], name)):
        lightest = shares.index(min(shares))
        shares[lightest] += calls[name]
        if lightest == part:
            mine.add(name)
    return [path for path in paths if resource(path) in mine]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    part, parts = (int(number) for number in os.environ["MILLRACE_TEST_PART"].split("/"))
    kept = part_of(raw_schema["paths"], part, parts)
    raw_schema["paths"] = {path: raw_schema["paths"][path] for path in kept}
    for path in raw_schema["paths"].values():
        for method in [m for m, operation in path.items() if operation["operationId"] in LEFT_OUT]:
            del path[method]
        for operation in path.values():
            kept = [p for p in operation["parameters"] if p["name"] not in SELECTING]
            operation["parameters"] = kept
