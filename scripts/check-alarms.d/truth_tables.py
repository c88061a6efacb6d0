"""The truth table of each alarm: what it must say about which values.

A row has the values of each metric, with one cell for each period of five minutes: `3` is one value, `0,1` are two values, and `-` is
missing data. Metrics that are not named have no data. The states are `o` for OK, `A` for ALARM, `-` for INSUFFICIENT_DATA, and `.` for a
state that the row does not judge, in most cases because it depends on something that AWS does not document (see alarm.Model).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row. `values` has the cells of each metric, by its id in the alarm; the only metric of an alarm has the id `metric`."""

    title: str
    states: str
    values: dict[str, str]


def row(title: str, states: str, metric: str = "", **metrics: str) -> Row:
    return Row(title, states, {"metric": metric} if metric else metrics)


# Alarms that fire as soon as something was counted.
COUNTED = [
    row("nothing was counted", "o o o", "0 0 0"),
    row("one was counted, among zeros", "o A", "0 0,1,0"),
    row("no data from the beginning", "o o o o o o o o", "- - - - - - - -"),
    row("the count returns to 0", "o A o", "0 2 0"),
]

# Alarms that fire when something was counted in three successive periods.
COUNTED_THREE_TIMES = [
    row("nothing was counted", "o o o o", "0 0 0 0"),
    row("counted in two of three periods", "o o o o o", "0 1 1 0 1"),
    row("counted in three periods, among zeros", "o o A o", "0,1 1,0 1 0"),
    row("counted in three periods, then no data for long", "o o A . . . . . o", "1 1 1 - - - - - -"),
    row("no data from the beginning", "o o o o", "- - - -"),
]

COUNTED_TWICE = [
    row("nothing was counted", "o o o o", "0 0 0 0"),
    row("counted in one period", "o o o o", "0 1 0 1"),
    row("counted in two periods, among zeros", "o A o", "0,1 1,0 0"),
    row("counted in two periods, then no data for long", "o A . . . . . o", "1 1 - - - - - -"),
    row("no data from the beginning", "o o o o", "- - - -"),
]


def above(limit: int, periods: int = 1) -> list[Row]:
    """The rows of an alarm on the maximum of a metric that is usually far above 0. Single values below the limit do not hide it."""
    at, over, low = str(limit), f"1,{limit + 1},1", str(limit // 2)
    many = " ".join
    return [
        row("at the limit", many("o" * 4), many([at] * 4)),
        row("above the limit in too few periods", many("o" * 4), many([*[over] * (periods - 1), *[at] * (5 - periods)])),
        row("above the limit", many([*"o" * (periods - 1), "A", "o"]), many([*[over] * periods, at])),
        row("two values that exceed the limit only together", many("o" * 4), many([f"{low},{low},{low}"] * 4)),
        row("no data from the beginning", many("o" * 4), many("-" * 4)),
    ]


GROWTH = [
    row("the queue is empty", "o o o", visible="0 0 0"),
    row("the first message in a queue that had no data", "o o A", visible="- - 1"),
    row("the number stays", ". o o o o", visible="3 3 3 3 3"),
    row("the number grows, and grows again", ". o A o A o", visible="3 3 4 4 6 6"),
    row("the number falls", ". o o o", visible="5 5 3 0"),
    row("some of the polls within a period see fewer messages", ". o o", visible="3 1,3 3,2"),
    row("no data from the beginning", "o o o o o o o o", visible="- - - - - - - -"),
    row("the queue becomes idle", ". o o o", visible="3 3 - -"),
]

TRUTH_TABLES: dict[str, list[Row]] = {
    "dlq-not-empty": COUNTED,
    "dlq-growth": GROWTH,
    # Half of the dead-letter queue's 14 days less the queue's day.
    "dlq-message-age": above(561600),
    "on-failure-not-empty": COUNTED,
    "on-failure-growth": GROWTH,
    "on-failure-message-age": above(604800),
    "dropped-records": COUNTED,
    "destination-failures": COUNTED,
    "queue-message-age": above(900),
    "ingest-fn-errors": COUNTED,
    "archive-fn-errors": COUNTED,
    "ingest-fn-throttles": COUNTED_THREE_TIMES,
    "archive-fn-throttles": COUNTED_THREE_TIMES,
    "stream-iterator-age": above(3_600_000),
    "archive-lag": above(300_000, periods=3),
    "conflicts": COUNTED,
    "rejected-messages": COUNTED,
    "quarantined-records": COUNTED,
    "failed-messages": COUNTED_TWICE,
    "failed-records": COUNTED_THREE_TIMES,
    "table-write-throttles": [
        row("no data from the beginning", "o o o o o o o o", throttled="- - - - - - - -"),
        row("nothing is throttled, and the metric has zeros", "o o o o", throttled="0 0 0 0"),
        row("throttled in one period, then no data, as DynamoDB writes no zeros", "o o o o", throttled="9 - 9 -"),
        row("throttled in two periods, among zeros", "o A o o o", throttled="0,1 1,0 - - -"),
        row("throttled in two periods, then no data for long", "o A o o o o o o o o", throttled="9 9 - - - - - - - -"),
    ],
    "ingest-fn-no-progress": [
        row("each period has messages, and some are deleted", "o o o o", sent="5 5 5 5", deleted="5 4 1 0,1"),
        row("one message is deleted in each period, among zeros", "o o o o", sent="1 1 1 1", deleted="0,1 0,1 0,1 0,1"),
        row("one message is sent in each period, and none is deleted", "o o A A", sent="1 1 1 1"),
        row("the mapping is disabled: nothing is deleted, with zeros", "o o A A", sent="5 5 5 5", deleted="0 0 0 0"),
        row("the mapping is disabled: no data on deletes", "o o A A A A", sent="0,5 5 5 5 5 5", deleted="- - - - - -"),
        row("deletes stop, and start again", "o o o A o o", sent="5 5 5 5 5 5", deleted="5 0 0 0 2 5"),
        row("a backlog is deleted while nothing is sent", "o o o o", sent="- - 0 0", deleted="3 3 0,3 3"),
        row("only two periods without a delete", "o o o o", sent="5 5 5 5", deleted="0 0 5 0"),
        row("a message that is sent at the end of a period is deleted in the next one", "o o o o", sent="1 0 1 0", deleted="0 1 0 1"),
        row("nothing is sent, with zeros", "o o o o", sent="0 0 0 0", deleted="0 0 0 0"),
        row("no data from the beginning", "o o o o o o o o", sent="- - - - - - - -"),
        row("nothing deleted, then idle for long", "o o A . . . . . . o", sent="5 5 5 - - - - - - -", deleted="0 0 0 - - - - - - -"),
    ],
    "archive-fn-no-progress": [
        row("each period has events, and objects", "o o o o", won="5 5 5 5", written="5 5 5 0,5"),
        row(
            "the mapping is disabled: no data on archive-fn from then on", ". . o . . A A A",
            won="5 5 5 5 0,5 5 5 5", written="5 5 5 - - - - -", already_there="0 0 0 - - - - -", quarantined="0 0 0 - - - - -",
        ),
        row(
            "archive-fn fails at every record: zeros", ". . A A",
            won="0,1 0,1 0,1 0,1", written="0 0 0 0", already_there="0 0 0 0", quarantined="0 0 0 0",
        ),
        row("one object in each period, among zeros", ". . o o", won="5 5 5 5", written="0,1 1,0 0,1 0,1"),
        row(
            "one event is won, nothing is written, and no other event arrives", "- - A A A A A A A A A A",
            won="1 - - - - - - - - - - -",
        ),
        row("the same with zeros, because ingest-fn receives duplicates", "- - A A A A", won="1 0 0 0 0 0"),
        row(
            "an event that is won at the end of a period is written in the next one", ". . . o o o",
            won="1 - 1 - 1 -", written="- 1 - 1 - 1",
        ),
        row("a retried record is already there", ". . o o", won="5 5 5 5", written="0 0 0 0", already_there="0,1 0,1 1,0 1"),
        row("each record is quarantined", ". . o o", won="5 5 5 5", written="0 0 0 0", quarantined="0,1 0,1 1,0 1"),
        row("after the alarm, a record is written", ". . A o o", won="5 5 5 5 -", written="- - - 1 -"),
        row("after the alarm, only duplicates arrive", ". . A A A A A A A A A A", won="5 5 5 0 0 0 0 0 0 0 0 0"),
        row("only two periods without an object", ". . o o o o", won="5 5 5 5 5 5", written="5 0 0 5 0 0"),
        row("only duplicates", "- - - - - -", won="0 0 0 0 0 0"),
        row("no data from the beginning", "- - - - - - - -", won="- - - - - - - -"),
        row("objects, then idle for long", ". . o o o o o o o o o", won="5 5 5 - - - - - - - -", written="5 5 5 - - - - - - - -"),
    ],
    "nothing-written": [
        row("each period has events, and packs", "o o o o", won="900 5 900 5", packs="1 1 0,1 1", written="900 5 0,900 5"),
        row("the metric Packs exists, and Written does not", "o o o o", won="5 5 5 5", packs="0,1 0,1 0,1 0,1"),
        row("archive-fn writes single objects and no pack", "o o o o", won="5 5 5 5", written="0,1 0,1 0,1 0,1"),
        row("the mapping drops packs: no data on archive-fn", "o o A A", won="0,1 0,1 0,1 0,1"),
        row("archive-fn skips packs: zeros", "o o A A", won="5 5 5 5", packs="0 0 0 0", written="0 0 0 0"),
        row("packs stop, and start again", "o o o A o o", won="5 5 5 5 5 5", packs="1 - - - 1 1", written="5 0 0 0 5 5"),
        row("only two periods without a pack", "o o o o", won="5 5 5 5", packs="- - 1 -", written="0 0 5 0"),
        row("an event that is won at the end of a period is written in the next one", "o o o o", won="1 0 1 0", written="0 1 0 1"),
        row("a backlog is written while nothing is won", "o o o o", won="- - 0 0", packs="1 1 0,1 1", written="9 9 0,9 9"),
        row("only duplicates", "o o o o", won="0 0 0 0", written="0 0 0 0"),
        row("no data from the beginning", "o o o o o o o o", won="- - - - - - - -"),
        row("nothing written, then idle for long", "o o A . . . . . . o", won="5 5 5 - - - - - - -", written="0 0 0 - - - - - - -"),
    ],
}
