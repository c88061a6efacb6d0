"""Reads the variables, outputs and module calls of a Terraform module. Requires the Python package `hcl2`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import hcl2


def blocks(folder: Path, kind: str) -> Iterator[tuple[str, dict]]:
    """Yields the name and attributes of each block of a kind, in order of file name and line."""
    for path in sorted(folder.glob("*.tf")):
        for block in hcl2.loads(path.read_text()).get(kind, []):
            for name, attributes in block.items():
                # The parser wraps each attribute's value in a list.
                yield name, {attribute: value[0] for attribute, value in attributes.items() if isinstance(value, list)}


def expression(value: object) -> str:
    """Returns an expression without the `${..}` in which the parser wraps it."""
    return str(value).removeprefix("${").removesuffix("}")


def object_attributes(variable_type: str) -> dict[str, tuple[str, str | None]] | None:
    """Returns the type and default of each attribute of an object type, or None for another type. The default is an expression: `null`
    if an optional attribute has none. It is None if the attribute is required."""
    written = re.fullmatch(r"object\((\{.*\})\)", expression(variable_type), re.DOTALL)
    return {name: _attribute(expression(value)) for name, value in ast.literal_eval(written[1]).items()} if written else None


def _attribute(value: str) -> tuple[str, str | None]:
    optional = re.fullmatch(r"optional\((object\(\{.*\}\)|\w+(?:\([^()]*\))?)(?:,(.*))?\)", value, re.DOTALL)
    return (optional[1], optional[2] or "null") if optional else (value, None)
