"""Renders and validates what deploys Millrace; prints it as JSON.

manifests.py render OVERLAY             a list of documents, rendered by kubectl
manifests.py validate SCHEMAS OVERLAY   the same, held against schemas
manifests.py validate SCHEMAS -         the same of YAML from standard input
manifests.py compose FILE               the file, its merges carried out, held against its schema

Kinds of Kubernetes itself are held against the schemas of its oldest and its newest version that we support,
all others against those in SCHEMAS. A kind that has none is refused.
"""

import importlib.resources
import json
import pathlib
import subprocess
import sys

from ruamel.yaml import YAML

VERSIONS = ["1.30", "1.37"]


def main(what, *arguments):
    documents, faults = {"render": render, "validate": validate, "compose": compose}[what](*arguments)
    for fault in faults:
        print(fault, file=sys.stderr)
    json.dump(documents, sys.stdout)
    return 1 if faults else 0


def render(overlay):
    kubectl = pathlib.Path(sys.executable).with_name("kubectl")
    command = [kubectl, "kustomize", overlay]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return documents_of(text), []


def validate(schemas, overlay):
    documents = documents_of(sys.stdin.read()) if overlay == "-" else render(overlay)[0]
    schemas = pathlib.Path(schemas)
    return documents, [fault for document in documents for fault in faults_of(document, schemas)]


def documents_of(text):
    return [document for document in YAML(typ="safe").load_all(text) if document]


def faults_of(document, schemas):
    import kubernetes_validate

    kind, version = document["kind"], document["apiVersion"]
    name = f"{kind} {document['metadata']['name']}"
    schema = schemas / f"{kind.lower()}-{version.replace('/', '-')}.json"
    if schema.exists():
        yield from differences(document, json.loads(schema.read_text()), name)
        return
    for kubernetes_version in VERSIONS:
        try:
            kubernetes_validate.validate(document, kubernetes_version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}, Kubernetes {kubernetes_version}: {place(error)}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{name}: no schema for {kind} of {version}"
            return


def compose(file):
    document = YAML(typ="safe").load(pathlib.Path(file))
    schema = "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(importlib.resources.files("check_jsonschema").joinpath(schema).read_text())
    return document, list(differences(document, schema, file))


def differences(document, schema, name):
    import jsonschema

    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    for error in validator(schema).iter_errors(document):
        yield f"{name}: {place(error)}: {error.message}"


def place(error):
    return ".".join(str(step) for step in error.absolute_path)


sys.exit(main(*sys.argv[1:]))
