"""An alarm, and CloudWatch's rules for its state.

The rules are those of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html.
"""

from dataclasses import dataclass

import metric_math
from metric_math import Expression, Series

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

# The values that a metric received in one period; None if it received none.
Samples = list[float] | None

STATISTICS = {
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
OPERATORS = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
MISSING_DATA = ("notBreaching", "breaching", "ignore", "missing")


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    dimensions: dict[str, str]
    statistic: str
    period_seconds: int


@dataclass(frozen=True)
class Alarm:
    """An alarm of the plan. An alarm on one metric has the expression `metric`."""

    name: str
    description: str
    metrics: dict[str, Metric]
    expression: Expression
    operator: str
    threshold: float
    periods: int
    datapoints: int
    missing_data: str


@dataclass(frozen=True)
class Model:
    """Answers to what AWS does not document. A truth table must hold for all of them."""

    # CloudWatch retrieves more data points than the alarm has evaluation periods, "in case some are missing". AWS does not say how many
    # more. Its examples have 2.
    more_points: int = 2
    # True if FILL adds values to a series that has none at all.
    fills_empty: bool = True
    # True if alarms on DynamoDB's metrics keep their state when data is missing, whatever their setting. The API reference of
    # PutMetricAlarm says so, and the user guide says that the setting counts.
    dynamodb_ignores: bool = False


MODELS = [
    Model(more_points, fills_empty, dynamodb_ignores)
    for more_points in (1, 2, 5)
    for fills_empty, dynamodb_ignores in ((True, False), (False, False), (True, True))
]


def states(alarm: Alarm, samples: dict[str, list[Samples]], model: Model) -> list[str]:
    """Returns the alarm's state at the end of each period. A new alarm has INSUFFICIENT_DATA. There is no data before the first
    period."""
    series = {
        id: [None if values is None else float(STATISTICS[alarm.metrics[id].statistic](values)) for values in column]
        for id, column in samples.items()
    }
    dynamodb = any(metric.namespace == "AWS/DynamoDB" for metric in alarm.metrics.values())
    missing_data = "ignore" if dynamodb and model.dynamodb_ignores else alarm.missing_data
    width = alarm.periods + model.more_points
    state, result = INSUFFICIENT_DATA, []
    for end in range(1, len(next(iter(series.values()))) + 1):
        window = {id: ([None] * width + values[:end])[-width:] for id, values in series.items()}
        points = metric_math.evaluate(alarm.expression, window, model.fills_empty)
        breaching = [None if point is None else OPERATORS[alarm.operator](point, alarm.threshold) for point in points]
        state = judge(breaching, alarm.periods, alarm.datapoints, missing_data, state)
        result.append(state)
    return result


def judge(points: list[bool | None], periods: int, datapoints: int, missing_data: str, state: str) -> str:
    """Returns the state for the data points of the evaluation range: True if a point breaches, None if it is missing."""
    real = [point for point in points if point is not None]
    # "If .. the total number of existing data points .. is equal to or more than the alarm's Evaluation Periods, CloudWatch evaluates
    # the alarm state based on the most recent real data points .. the value you set for how to treat missing data is .. ignored."
    if len(real) >= periods:
        return ALARM if sum(real[-periods:]) >= datapoints else OK
    # "CloudWatch fills in the missing data points with the result you specified .. all real data points in the evaluation range are
    # included in the evaluation."
    if sum(real) >= datapoints:
        return ALARM
    if missing_data == "breaching":
        return ALARM if sum(real) + periods - len(real) >= datapoints else OK
    if missing_data == "notBreaching":
        return OK
    if not real:
        return state if missing_data == "ignore" else INSUFFICIENT_DATA
    if not all(real):
        return OK
    # All real points breach, and there are too few of them. "Retain current state" is the last row of both of AWS's tables. "Alarms
    # are designed to always go into ALARM state when the oldest available breaching datapoint .. is at least as old as the value of
    # Datapoints to Alarm, and all other more recent data points are breaching or missing."
    if missing_data == "ignore":
        return state
    oldest = len(points) - points.index(True)
    return ALARM if oldest >= datapoints else OK


def self_test() -> None:
    """Checks `judge` against the two tables of alarms-and-missing-data.html, and `metric_math` against the examples of
    using-metric-math.html."""
    read = {"0": False, "X": True, "-": None}
    tables = {
        3: {"0 - X - X": "OOOO", "0 - - - -": "OOOO", "- - - - -": "IRAO", "0 X X - X": "AAAA", "- - X - -": "ARAO"},
        2: {"0 - X - X": "AAAA", "0 0 X 0 X": "AAAA", "0 - X - -": "OOAO", "- - - - 0": "OOAO", "- - - X -": "ARAO"},
    }
    letters = {"O": OK, "A": ALARM, "I": INSUFFICIENT_DATA, "R": "the state before"}
    for datapoints, rows in tables.items():
        for row, expected in rows.items():
            for missing_data, letter in zip(("missing", "ignore", "breaching", "notBreaching"), expected, strict=True):
                got = judge([read[cell] for cell in row.split()], 3, datapoints, missing_data, "the state before")
                assert got == letters[letter], f"{datapoints} of 3, {row}, {missing_data}: {got}"

    def value(text: str, **metrics: Series) -> metric_math.Value:
        return metric_math.evaluate(metric_math.parse(text), metrics, True)

    metric1, metric2 = [30.0, 20.0, 0.0, 0.0], [20.0, None, 20.0, None]
    assert value("metric1 < metric2", metric1=metric1, metric2=metric2) == [0, 0, 1, 0]
    assert value("metric1 >= 30", metric1=metric1) == [1, 0, 0, 0]
    assert value("metric1 > 15 AND metric2 > 15", metric1=metric1, metric2=metric2) == [1, 0, 0, 0]
    condition, other = [1.0, 1.0, 0.0, 0.0, None], [0.0, 0.0, 20.0, None, 20.0]
    assert value("IF(m1, m2, m3)", m1=condition, m2=[30.0, None, 0.0, 0.0, 30.0], m3=other) == [30, 0, 20, None, None]
    assert value("IF(m1, 5, m3)", m1=condition, m3=other) == [5, 5, 20, None, None]
    assert value("IF(m1, m2, 5)", m1=condition, m2=[30.0, None, 0.0, 0.0, 30.0]) == [30, 0, 5, 5, None]
    assert value("FILL(m1, REPEAT)", m1=[None, 1.0, None, 2.0, None]) == [None, 1, 1, 2, 2]
    assert value("DIFF(FILL(m1, 0))", m1=[None, 3.0, 5.0]) == [None, 3, 2]
