"""Checks that the root module passes every variable to the module pipeline, and that no output of a module is lost on the way up.

usage: terraform-proxies.py TERRAFORM_FOLDER

Terraform drops the attributes of an object that a module's type does not have. So an attribute that the root's type lacks would have no
effect, without an error. Requires the Python package `hcl2`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from terraform_modules import blocks, expression, object_attributes


def lost_outputs(folder: Path, call: str, module: Path) -> Iterator[str]:
    """Yields the problems with outputs of a called module: each must be the whole value of an output of the caller."""
    values = {expression(attributes["value"]) for _, attributes in blocks(folder, "output")}
    for name, _ in blocks(module, "output"):
        if f"module.{call}.{name}" not in values:
            yield f"{folder}/outputs.tf must have an output with the value module.{call}.{name}"


def lost_variables(root: Path, pipeline: Path) -> Iterator[str]:
    """Yields the problems with the pipeline's variables: the root must have each of them, with its type, and pass it on."""
    of_root, call = dict(blocks(root, "variable")), dict(blocks(root, "module"))["pipeline"]
    for name, attributes in blocks(pipeline, "variable"):
        # A local value of the variable's name is the variable with defaults that only the root has.
        if expression(call.get(name)) not in (f"var.{name}", f"local.{name}"):
            yield f"{root}/main.tf must pass {name} = var.{name} to the module pipeline"
        own = of_root.get(name)
        if own is None:
            yield f"{root}/variables.tf must have the variable {name}"
            continue
        if attribute_types(own["type"]) != attribute_types(attributes["type"]):
            yield f"{root}/variables.tf: {name} must have the type {attribute_types(attributes['type'])} as in {pipeline}"
        if own["description"] != attributes["description"].splitlines()[0]:
            yield f"{root}/variables.tf: {name} must have the first line of its description in {pipeline}"


def attribute_types(variable_type: str) -> object:
    """Returns the types of an object's attributes, or another type as it is. They are equal if only defaults differ."""
    attributes = object_attributes(variable_type)
    return expression(variable_type) if attributes is None else {name: attribute_types(kind) for name, (kind, _) in attributes.items()}


def main(root: Path) -> None:
    pipeline = root / "modules/pipeline"
    problems = list(lost_variables(root, pipeline)) + list(lost_outputs(root, "pipeline", pipeline))
    calls = dict(blocks(pipeline, "module"))
    for call, attributes in calls.items():
        problems += lost_outputs(pipeline, call, pipeline / attributes["source"])
    if problems or len(calls) < 5:
        sys.exit("\n".join(problems) or f"{pipeline} calls only {', '.join(calls)}")
    print("the root passes on every variable and output of the module pipeline")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
