"""Writes tables of each Terraform module's variables and outputs into its README, between two markers.

usage: terraform-tables.py [--check] MODULE_FOLDER...

With --check, writes nothing and exits with 1 if a README does not match its module. Requires the Python package `hcl2`.
"""

import json
import re
import sys
from pathlib import Path

import hcl2

BEGIN, END = "<!-- tables: scripts/terraform-tables.py -->\n", "<!-- end of tables -->"


def blocks(folder, kind):
    """Yields the name and attributes of each block of a kind, in order of file name and line."""
    for path in sorted(folder.glob("*.tf")):
        for block in hcl2.loads(path.read_text()).get(kind, []):
            for name, attributes in block.items():
                # The parser wraps each attribute's value in a list.
                yield name, {attribute: value[0] for attribute, value in attributes.items() if isinstance(value, list)}


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
    default = str(default).removeprefix("${").removesuffix("}")
    return f"`{default}`" if default != "" else "(empty)"


def tables(folder):
    lines = ["| variable | type | default | description |", "| --- | --- | --- | --- |"]
    for name, attributes in blocks(folder, "variable"):
        kind = attributes["type"].removeprefix("${").removesuffix("}")
        lines.append(f"| `{name}` | {kind} | {default_of(attributes)} | {attributes['description']} |")
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
