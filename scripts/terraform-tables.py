"""Writes tables of each Terraform module's variables and outputs into its README, between two markers.

usage: terraform-tables.py [--check] MODULE_FOLDER...

With --check, writes nothing and exits with 1 if a README does not match its module. Requires the Python package `hcl2`.
"""

import json
import re
import sys
from pathlib import Path

from terraform_modules import blocks, expression, object_attributes

BEGIN, END = "<!-- tables: scripts/terraform-tables.py -->\n", "<!-- end of tables -->"


def default_of(attributes):
    if "default" not in attributes:
        return "(required)"
    default = attributes["default"]
    if isinstance(default, dict):
        return ", ".join(f"`{key}`" for key in default) or "none"
    # Terraform writes these values as JSON does, and Python does not.
    if default is None or isinstance(default, (bool, list)):
        return f"`{json.dumps(default)}`"
    # The parser returns a negative number as an expression, `${-1}`.
    return shown(expression(default))


def shown(default):
    # The parser returns a Boolean value in an expression as Python writes it.
    default = {"True": "true", "False": "false"}.get(default, default)
    return f"`{default}`" if default != "" else "(empty)"


def attribute_rows(name, attributes):
    """Yields a row for each attribute of an object. The variable's description has a line for each, "- `name`: description"."""
    described = dict(re.findall(r"^- `(\w+)`: (.+)$", attributes["description"], re.MULTILINE))
    object_type = object_attributes(attributes["type"])
    # A module that passes the object on refers to the other module's descriptions.
    if not described:
        return
    if described.keys() != object_type.keys():
        sys.exit(f"the description of {name} must have a line for each of its attributes: {', '.join(object_type)}")
    for attribute, (kind, default) in object_type.items():
        default = "(required)" if default is None else shown(default.strip('"'))
        kind = "object" if kind.startswith("object(") else kind
        yield f"| `{name}.{attribute}` | {kind} | {default} | {described[attribute]} |"


def tables(folder):
    lines = ["| variable | type | default | description |", "| --- | --- | --- | --- |"]
    for name, attributes in blocks(folder, "variable"):
        is_object = object_attributes(attributes["type"]) is not None
        kind = "object" if is_object else expression(attributes["type"])
        default = "`{}`" if is_object and "default" in attributes else default_of(attributes)
        lines.append(f"| `{name}` | {kind} | {default} | {attributes['description'].splitlines()[0]} |")
        lines += attribute_rows(name, attributes) if is_object else []
    lines += ["", "| output | description |", "| --- | --- |"]
    for name, attributes in blocks(folder, "output"):
        lines.append(f"| `{name}` | {attributes['description']} |")
    return "\n".join(lines) + "\n"


def main(arguments):
    check = arguments[:1] == ["--check"]
    stale = []
    for folder in map(Path, arguments[check:]):
        readme = folder / "README.md"
        text = readme.read_text()
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            sys.exit(f"{readme} must have exactly one line {BEGIN.strip()} and one line {END}")
        new = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: BEGIN + tables(folder) + END, text, flags=re.S)
        if new != text and check:
            stale.append(str(readme))
        elif new != text:
            readme.write_text(new)
    if stale:
        sys.exit(f"{', '.join(stale)}: the tables do not match the module; run scripts/check-terraform --write-tables")


if __name__ == "__main__":
    main(sys.argv[1:])
