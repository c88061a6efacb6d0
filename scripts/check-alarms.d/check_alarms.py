"""The checks of the alarms: see scripts/check-alarms."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import alarm as rules
import metric_math
from alarm import MISSING_DATA, MODELS, OPERATORS, STATISTICS, Alarm, Metric, Samples, states
from truth_tables import TRUTH_TABLES, Row

CHECKOUT = Path(__file__).resolve().parents[2]
TEST = "tests/alarms.tftest.hcl"
# The runs of the test: a stack with the default settings, and one that also has the alarms on packs.
RUNS = ("stack_with_default_alarms", "stack_with_packs")
LETTERS = {"o": rules.OK, "A": rules.ALARM, "-": rules.INSUFFICIENT_DATA}
PERIOD_SECONDS = 300
# CloudWatch rejects a longer description.
DESCRIPTION_CHARACTERS = 1024
# Random series that a mutant must pass to count as equivalent to its alarm.
TRIALS = 500


def main() -> int:
    rules.self_test()
    default, planned = (planned_resources()[run] for run in RUNS)
    alarms, by_default = alarms_of(planned), alarms_of(default)
    problems = [f"{name}: the alarm has no truth table" for name in alarms.keys() - TRUTH_TABLES.keys()]
    problems += [f"{name}: there is no such alarm" for name in TRUTH_TABLES.keys() - alarms.keys()]
    noticed = equivalent = 0
    for name, table in TRUTH_TABLES.items():
        if name not in alarms:
            continue
        alarm = alarms[name]
        wrong = disagreement(alarm, table)
        problems += [f"{name}: {text}" for text in [wrong, *runbook_problems(alarm)] if text]
        for error, mutant in [] if wrong else mutants(alarm):
            if disagreement(mutant, table):
                noticed += 1
            elif difference := first_difference(alarm, mutant):
                problems.append(f"{name}: no row of the truth table notices if {error}. A row that would notice it: {difference}")
            else:
                equivalent += 1
    metrics = number_of_metrics(alarms)
    problems += outdated_counts(by_default, alarms)
    problems += mappings_without_metrics(alarms, planned)
    for problem in problems:
        print(f"check-alarms: {problem}", file=sys.stderr)
    if problems:
        return 1
    rows = sum(map(len, TRUTH_TABLES.values()))
    print(f"{len(alarms)} alarms on {metrics} metrics agree with the {rows} rows of their truth tables.")
    print(f"The tables notice {noticed} errors in the alarms. Another {equivalent} make no difference, such as Sum for Maximum above 0.")
    return 0


def planned_resources() -> dict[str, list[dict]]:
    """Runs the Terraform test that applies the whole configuration with mocks, and returns the resources in the state of each run."""
    command = ["terraform", "-chdir=terraform", "test", f"-filter={TEST}", "-json", "-verbose"]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    found = {message["@testrun"]: message["test_state"] for message in messages if message["type"] == "test_state"}
    if done.returncode != 0 or found.keys() != set(RUNS):
        errors = [message["diagnostic"]["summary"] for message in messages if message["type"] == "diagnostic"]
        sys.exit(f"check-alarms: `{' '.join(command)}` exited with {done.returncode}: {errors}")
    return {run: list(resources(state["root_module"])) for run, state in found.items()}


def resources(module: dict) -> Iterator[dict]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def alarms_of(planned: list[dict]) -> dict[str, Alarm]:
    return {
        resource["index"]: alarm_of(resource["index"], resource["values"])
        for resource in planned if resource["type"] == "aws_cloudwatch_metric_alarm"
    }


def number_of_metrics(alarms: dict[str, Alarm]) -> int:
    return sum(len(alarm.metrics) for alarm in alarms.values())


def alarm_of(name: str, values: dict) -> Alarm:
    metrics, expression = {}, "metric"
    if values["metric_name"]:
        metrics["metric"] = metric_of(values, values["statistic"])
    for query in values["metric_query"]:
        if query["return_data"]:
            expression = query["expression"]
        for metric in query["metric"]:
            metrics[query["id"]] = metric_of(metric, metric["stat"])
    return Alarm(
        name=name,
        description=values["alarm_description"],
        metrics=metrics,
        expression=metric_math.parse(expression),
        operator=values["comparison_operator"],
        threshold=values["threshold"],
        periods=values["evaluation_periods"],
        datapoints=values["datapoints_to_alarm"] or values["evaluation_periods"],
        missing_data=values["treat_missing_data"],
    )


def metric_of(values: dict, statistic: str) -> Metric:
    return Metric(values["namespace"], values["metric_name"], values["dimensions"], statistic, values["period"])


def samples_of(alarm: Alarm, row: Row) -> dict[str, list[Samples]]:
    if row.values.keys() - alarm.metrics.keys():
        raise SystemExit(f"check-alarms: {alarm.name} has the metrics {sorted(alarm.metrics)}, and a row has {sorted(row.values)}")
    length = len(row.states.split())
    samples = {}
    for id in alarm.metrics:
        cells = row.values.get(id, " ".join("-" * length)).split()
        if len(cells) != length:
            raise SystemExit(f"check-alarms: {alarm.name}: `{row.title}` has {length} states and {len(cells)} cells of {id}")
        samples[id] = [None if cell == "-" else [float(value) for value in cell.split(",")] for cell in cells]
    return samples


def disagreement(alarm: Alarm, table: list[Row]) -> str | None:
    """Returns the first row that disagrees with the alarm."""
    if any(metric.period_seconds != PERIOD_SECONDS for metric in alarm.metrics.values()):
        return f"the columns of the truth tables are periods of {PERIOD_SECONDS} seconds, and the alarm's are not"
    for row in table:
        samples = samples_of(alarm, row)
        for model in MODELS:
            got = states(alarm, samples, model)
            if any(letter != "." and LETTERS[letter] != state for letter, state in zip(row.states.split(), got, strict=True)):
                return f"`{row.title}`: {row.values} must give {row.states}, and gives {' '.join(got)} with {model}"
    return None


def mutants(alarm: Alarm) -> Iterator[tuple[str, Alarm]]:
    """Yields copies of the alarm with one error each, and says what the error is."""
    for operator in OPERATORS.keys() - {alarm.operator}:
        yield f"the operator is {operator}", replace(alarm, operator=operator)
    for treatment in set(MISSING_DATA) - {alarm.missing_data}:
        yield f"missing data is {treatment}", replace(alarm, missing_data=treatment)
    for threshold in (alarm.threshold - 1, alarm.threshold + 1):
        yield f"the threshold is {threshold:g}", replace(alarm, threshold=threshold)
    for periods in (alarm.periods - 1, alarm.periods + 1):
        if periods:
            yield f"it evaluates {periods} periods", replace(alarm, periods=periods, datapoints=periods)
    if alarm.datapoints > 1:
        yield "one data point less is enough", replace(alarm, datapoints=alarm.datapoints - 1)
    for id, metric in alarm.metrics.items():
        for statistic in STATISTICS.keys() - {metric.statistic}:
            metrics = alarm.metrics | {id: replace(metric, statistic=statistic)}
            yield f"the statistic of {metric.name} is {statistic}", replace(alarm, metrics=metrics)
        yield f"the period of {metric.name} is 600 s", replace(alarm, metrics=alarm.metrics | {id: replace(metric, period_seconds=600)})
    for expression in metric_math.mutants(alarm.expression):
        if metric_math.is_series(expression):
            yield f"the expression is {expression}", replace(alarm, expression=expression)


def first_difference(alarm: Alarm, mutant: Alarm) -> str | None:
    """Looks for random values for which the mutant's state differs from the alarm's. Returns None if there are none: the mutant is
    equivalent, as Sum instead of Maximum is if the threshold is 0 and no value is negative."""
    # The same values in each run.
    chance = random.Random(f"{alarm} {mutant}")
    limit = int(alarm.threshold)
    values = [0, 0, 1, 1, 2, 5, limit, limit + 1, limit // 2]
    for _ in range(TRIALS):
        samples = {
            id: [None if chance.random() < 0.4 else chance.choices(values, k=chance.randint(1, 3)) for _ in range(10)]
            for id in alarm.metrics
        }
        model = chance.choice(MODELS)
        right, wrong = states(alarm, samples, model), states(mutant, samples, model)
        if right != wrong:
            return f"{samples} is {right}, and the mutant says {wrong}"
    return None


def runbook_problems(alarm: Alarm) -> list[str]:
    """Checks that the description names a section of the runbook, and that the runbook's table of alarms links the alarm to it."""
    runbook = (CHECKOUT / "docs/runbook.md").read_text()
    problems = []
    if len(alarm.description) > DESCRIPTION_CHARACTERS:
        problems.append(f"the description has {len(alarm.description)} characters, and CloudWatch allows {DESCRIPTION_CHARACTERS}")
    named = re.search(r'docs/runbook\.md, "(.+?)"\.$', alarm.description)
    if not named:
        return [*problems, 'the description does not end with a section: docs/runbook.md, "Section".']
    section = named[1]
    if not re.search(rf"^##+ {re.escape(section)}$", runbook, re.MULTILINE):
        problems.append(f"docs/runbook.md has no section `{section}`")
    anchor = re.sub(r"[^a-z0-9 -]", "", section.lower()).replace(" ", "-")
    row = re.search(rf"^\|[^|]*`{alarm.name}`[^|]*\|.*$", runbook, re.MULTILINE)
    if not row or f"(#{anchor})" not in row[0]:
        problems.append(f"the table of alarms in docs/runbook.md has no row of the alarm with a link to #{anchor}")
    return problems


def mappings_without_metrics(alarms: dict[str, Alarm], planned: list[dict]) -> Iterator[str]:
    """Yields the alarms on metrics that Lambda does not write: those of an event source mapping exist only on request."""
    written = {
        resource["values"]["uuid"]: [metric for config in resource["values"]["metrics_config"] for metric in config["metrics"]]
        for resource in planned if resource["type"] == "aws_lambda_event_source_mapping"
    }
    for alarm in alarms.values():
        for metric in alarm.metrics.values():
            uuid = metric.dimensions.get("EventSourceMappingUUID")
            if uuid and "EventCount" not in written.get(uuid, []):
                yield f"{alarm.name}: the mapping {uuid} has no metrics_config with EventCount: {written}"


def outdated_counts(by_default: dict[str, Alarm], with_packs: dict[str, Alarm]) -> Iterator[str]:
    """Yields the files that state another number of alarms, or of their metrics, for which AWS charges."""
    alarms, metrics = len(by_default), number_of_metrics(by_default)
    readme = "terraform/modules/observability/README.md"
    for path, text in [
        ("producer/src/bill.rs", f"const ALARM_METRICS: f64 = {metrics}.0;"),
        ("docs/cost.md", f"{alarms} alarms on {metrics} metrics"),
        (readme, f"the {alarms} alarms have {metrics} metrics"),
        (readme, f"{len(with_packs)} alarms with {number_of_metrics(with_packs)} metrics"),
    ]:
        if text not in (CHECKOUT / path).read_text():
            yield f"{path} does not say `{text}`"


if __name__ == "__main__":
    sys.exit(main())
