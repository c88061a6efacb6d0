"""Checks that each engine reads each event of a lake once. scripts/check-lake-engines runs this file."""

import gzip
import shutil
import sys
from collections import Counter
from pathlib import Path

import lake
from engines import DuckDb, GlueTable, PyArrow, Spark

FOLDER = lake.ROOT / "target/check-lake-engines"


def problems(rows, events: dict[str, str]) -> list[str]:
    """Compares what an engine has read with the events that were sent."""
    rows = list(rows)
    counts = Counter(id for id, _ in rows)
    found = [f"the event {id!r} is in {counts[id]} rows" for id in events if counts[id] != 1]
    found += [f"{count} rows have the event id {id!r}, which was not sent" for id, count in counts.items() if id not in events]
    found += [f"the event {id!r} has the text {text!r}" for id, text in rows if text is not None and events.get(id) not in (None, text)]
    return found


def pack_again(events: Path):
    pack = min(events.rglob("*.json.gz"))
    shutil.copy(pack, pack.with_name("again.json.gz"))


def single_object_in_pack(events: Path):
    single = min(events.rglob("*.json"))
    single.with_name("pack.json.gz").write_bytes(gzip.compress(single.read_bytes()))


def pack_missing(events: Path):
    min(events.rglob("*.json.gz")).unlink()


def line_changed(events: Path):
    single = min(events.rglob("*.json"))
    single.write_bytes(single.read_bytes().replace(b'"event_id":"', b'"event_id":"_', 1))


def main() -> int:
    original = FOLDER / "lake"
    shutil.rmtree(original, ignore_errors=True)
    sent = {}
    for layout in ["objects", "packs"]:
        sent[layout] = lake.write(layout, original)
    events = sent["objects"] | sent["packs"]
    assert len(events) == len(sent["objects"]) + len(sent["packs"])
    original /= "events"
    singles, packs = (len(list(original.rglob(f"*.{extension}"))) for extension in ["json", "json.gz"])
    files = sum(path.is_file() for path in original.rglob("*"))
    assert singles == len(sent["objects"]) and 0 < packs < len(sent["packs"]) and files == singles + packs, (singles, packs, files)
    print(f"the lake has {len(sent['objects'])} events in {singles} single objects, and {len(sent['packs'])} events in {packs} packs")

    table = GlueTable()
    print(f"input.regex of the Glue table: {table.regex}")
    spark = Spark(FOLDER, table)
    engines = [DuckDb(), PyArrow(), spark]
    failed = False

    def show(correct: bool, text: str, found: list[str]):
        nonlocal failed
        failed |= not correct
        print(f"{'ok' if correct else 'FAILED'}  {text}", flush=True)
        for problem in found[:5] if not correct else []:
            print(f"        {problem[:200]}", flush=True)

    for engine in engines:
        found = problems(engine.rows(original), events)
        show(not found, f"{engine.name} reads each of the {len(events)} events once", found)

    # The check must find each of these faults.
    copy = FOLDER / "copy"
    for fault in [pack_again, single_object_in_pack, pack_missing, line_changed]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        fault(copy)
        for engine in engines:
            found = problems(engine.rows(copy), events)
            show(bool(found), f"{engine.name}, {fault.__name__.replace('_', ' ')}: problems found: {len(found)}", found)
    table.regex = table.regex.replace("(.*?)", "(.*)")
    found = problems(spark.rows(original), events)
    show(bool(found), f"{spark.name}, greedy expression: problems found: {len(found)}", found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
