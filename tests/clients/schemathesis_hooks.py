"""What runs of schemathesis leave out."""

import schemathesis

# They choose among the fields of an answer, which then lacks what its schema requires.
SELECTING = ("fields", "exclude_fields", "minimal")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for path in raw_schema["paths"].values():
        for operation in path.values():
            kept = [p for p in operation["parameters"] if p["name"] not in SELECTING]
            operation["parameters"] = kept
