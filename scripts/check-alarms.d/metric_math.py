"""CloudWatch's metric math, as far as the alarms use it.

The rules are those of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html. A series has one value for
each period, and None where data is missing.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

Series = list[float | None]
Value = float | Series

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|(==|!=|<=|>=|&&|\|\||[-+*/<>(),]))")
WORDS = {"&&": "AND", "||": "OR"}
# From the loosest to the tightest.
PRECEDENCE = [{"OR"}, {"AND"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/"}]
OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "AND": lambda left, right: float(left != 0 and right != 0),
    "OR": lambda left, right: float(left != 0 or right != 0),
}


@dataclass(frozen=True)
class Number:
    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True)
class Name:
    """The id of a metric, or the keyword REPEAT."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Binary:
    operator: str
    left: "Expression"
    right: "Expression"

    def __str__(self) -> str:
        return f"({self.left} {self.operator} {self.right})"


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple["Expression", ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


Expression = Number | Name | Binary | Call


def parse(text: str) -> Expression:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise ValueError(f"cannot parse `{text}` at `{text[at:]}`")
        number, word, symbol = found.groups()
        tokens.append(float(number) if number else WORDS.get(symbol, symbol) or word)
        at = found.end()
    parser = Parser(tokens)
    expression = parser.binary(0)
    if parser.tokens:
        raise ValueError(f"cannot parse `{text}`: unexpected `{parser.tokens[0]}`")
    return expression


@dataclass
class Parser:
    tokens: list

    def accept(self, *expected: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in expected else None

    def expect(self, expected: str) -> None:
        if not self.accept(expected):
            raise ValueError(f"expected `{expected}` before {self.tokens}")

    def binary(self, level: int) -> Expression:
        if level == len(PRECEDENCE):
            return self.primary()
        left = self.binary(level + 1)
        while found := self.accept(*PRECEDENCE[level]):
            left = Binary(found, left, self.binary(level + 1))
        return left

    def primary(self) -> Expression:
        if self.accept("("):
            inner = self.binary(0)
            self.expect(")")
            return inner
        token = self.tokens.pop(0)
        if isinstance(token, float):
            return Number(token)
        if not self.accept("("):
            return Name(token)
        arguments = [self.binary(0)]
        while self.accept(","):
            arguments.append(self.binary(0))
        self.expect(")")
        return Call(token, tuple(arguments))


def evaluate(expression: Expression, metrics: dict[str, Series], fills_empty: bool) -> Value:
    """Returns the values of an expression. `fills_empty` is the answer to a question that the documentation leaves open: True if FILL
    adds values to a series that has no data at all."""
    match expression:
        case Number(value):
            return value
        case Name(name):
            return metrics[name]
        case Binary(name, left, right):
            return combine(name, evaluate(left, metrics, fills_empty), evaluate(right, metrics, fills_empty))
        case Call("FILL", (inner, filler)):
            series = evaluate(inner, metrics, fills_empty)
            if not fills_empty and all(value is None for value in series):
                return series
            if filler == Name("REPEAT"):
                return repeat(series)
            return [evaluate(filler, metrics, fills_empty) if value is None else value for value in series]
        case Call("DIFF", (inner,)):
            return differences(evaluate(inner, metrics, fills_empty))
        case Call("IF", arguments):
            return choose(*(evaluate(argument, metrics, fills_empty) for argument in arguments))
    raise ValueError(f"metric_math.py does not support `{expression}` yet: add it with its rule from the documentation")


def combine(name: str, left: Value, right: Value) -> Value:
    """Applies an operator. If only one of two series has a value, the missing one is 0 ("Missing values in a time series are treated as
    0"; the same for comparisons). A division by zero drops the data point."""
    def one(a: float | None, b: float | None) -> float | None:
        if name == "/" and not b:
            return None
        return OPERATORS[name](a or 0.0, b or 0.0)

    if isinstance(left, float) and isinstance(right, float):
        return OPERATORS[name](left, right)
    if isinstance(left, float):
        return [None if value is None else one(left, value) for value in right]
    if isinstance(right, float):
        return [None if value is None else one(value, right) for value in left]
    return [None if a is None and b is None else one(a, b) for a, b in zip(left, right, strict=True)]


def repeat(series: Series) -> Series:
    """Fills each gap with the value before it. A gap at the beginning stays."""
    filled, last = [], None
    for value in series:
        last = last if value is None else value
        filled.append(last)
    return filled


def differences(series: Series) -> Series:
    """Returns the difference between each value and the preceding value of the series. The first value has none."""
    result, last = [], None
    for value in series:
        result.append(None if value is None or last is None else value - last)
        last = last if value is None else value
    return result


def choose(condition: Series, if_true: Value, if_false: Value | None = None) -> Series:
    """IF: drops the data point if the condition is missing, or if it is false and `if_false` has no value. A missing value of `if_true`
    is 0."""
    def at(value: Value | None, index: int) -> float | None:
        return value[index] if isinstance(value, list) else value

    return [
        None if truth is None else at(if_false, index) if truth == 0 else at(if_true, index) or 0.0
        for index, truth in enumerate(condition)
    ]


def mutants(expression: Expression) -> Iterator[Expression]:
    """Yields copies of an expression with one error each."""
    match expression:
        case Number(value):
            yield Number(value + 1)
            if value == 1:
                yield Number(0.0)
        case Binary(name, left, right):
            yield left
            yield right
            for other in {">": ("<", ">="), "+": ("-",), "*": ("+",)}.get(name, ()):
                yield replace(expression, operator=other)
            yield from (replace(expression, left=mutant) for mutant in mutants(left))
            yield from (replace(expression, right=mutant) for mutant in mutants(right))
        case Call(name, arguments):
            if name in ("FILL", "DIFF"):
                yield arguments[0]
            if name == "FILL":
                for filler in {Number(0.0), Number(1.0), Name("REPEAT")} - {arguments[1]}:
                    yield Call(name, (arguments[0], filler))
            for index, argument in enumerate(arguments):
                yield from (Call(name, (*arguments[:index], mutant, *arguments[index + 1:])) for mutant in mutants(argument))


def is_series(expression: Expression) -> bool:
    """True if the result is a series. The result of an alarm's expression must be one, and so must the condition of an IF."""
    match expression:
        case Number():
            return False
        case Name(name):
            return name != "REPEAT"
        case Binary(_, left, right):
            return is_series(left) or is_series(right)
        case Call("IF", (condition, *branches)):
            return is_series(condition) and all(is_series(branch) for branch in branches if isinstance(branch, Call))
        case Call(_, (first, *_)):
            return is_series(first)
    return False
