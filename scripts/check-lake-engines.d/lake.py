"""Writes a data lake with both layouts to a folder, with the real functions in `producer local`."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
PRODUCER = ROOT / "target/debug/producer"
BUCKET = "dynamo-locking-dev-ingestion-data"
PATIENCE = 120  # seconds
PLAIN_EVENTS = {"objects": 200, "packs": 1_500}  # in addition to the events with an id of HOSTILE_IDS

# A line of the lake, as a producer could send it again.
LINE = '{"event_id":"a","claim_id":"b","claimed_at":"c","message_id":"d","event":{"event_id":"a"}}'
HOSTILE_IDS = [
    '"', '""', "\\", "\\\\", '\\"', '"\\', '","claim_id":"', '\\","claim_id":"', '"}', "{", "}", "[]", ",", ":", "'", "''", "\\N", "\\u2028",
    "\u2028", "\u2029", "\u0085", "\u2028\n\u2029", "\n", "\r\n", "\t", "\x01", "\x7f", " ", " a", "a ", "\u00a0", "\ufeff", "\u00e9", "e\u0301",
    "\U0001f980", "\ufffd", "null", "NULL", "1", "1.0", "true", "%", "${a}", "$1", "(.*?)", "dt=2026-01-01/hour=00", LINE,
]
# Values of a member of the events, as JSON texts.
VALUES = [
    "1.50", '"1.50"', "null", '[{"y":2}]', '{"y":true}', "12345678901234567890.10", '"\u2028\u0085\u2029"', '"\\u2028\\"\\\\\\n"', LINE,
    json.dumps(LINE), f'"{"long " * 20_000}"', "{}", "[]",
]



def bodies(layout: str) -> dict[str, str]:
    """Returns the event ids to send to one pipeline, and the body of each. No id is in both layouts."""
    packs = layout == "packs"
    ids = HOSTILE_IDS if packs else [f"{id}|{id}" for id in HOSTILE_IDS]
    bodies = {}
    for number, id in enumerate(ids + [f"{layout}-{number}" for number in range(PLAIN_EVENTS[layout])]):
        kind = number % len(VALUES)
        # pyarrow cannot read a file in which a member has values of different types.
        member = f"x{kind}" if packs else "x"
        # Every second id is escaped as ASCII in the body.
        bodies[id] = f'{{"event_id":{json.dumps(id, ensure_ascii=bool(number % 2))},"{member}":{VALUES[kind]}}}'
    return bodies


def write(layout: str, folder: Path) -> dict[str, str]:
    """Sends the events of a layout to an embedded pipeline, each twice, and downloads its lake. Returns the events by their ids."""
    events = bodies(layout)
    # The AWS settings of this machine must not affect the outcome.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [PRODUCER, "local", "--port", "0", *(["--packs"] if layout == "packs" else [])]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()

    def wait_for(count: int, text: str):
        stop_at = time.monotonic() + PATIENCE
        while (found := sum(text in line for line in lines)) < count:
            if time.monotonic() > stop_at:
                raise SystemExit(f"check-lake-engines: {found} of {count} lines of `producer local` contain {text} after {PATIENCE} s")
            time.sleep(0.1)

    try:
        wait_for(1, "Log lines of both functions")
        exports = dict(pair.split("=", 1) for line in lines if line.startswith("    export ") for pair in line.split()[1:])
        keys = {"aws_access_key_id": exports["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": exports["AWS_SECRET_ACCESS_KEY"]}
        session = boto3.Session(region_name=exports["AWS_REGION"], **keys)
        sqs, s3 = (session.client(service, endpoint_url=exports["AWS_ENDPOINT_URL"]) for service in ["sqs", "s3"])
        for outcome in ["won", "duplicate"]:
            # The white space is not significant, so it is not part of the event in the lake.
            messages = [f"{{ {body[1:-1]}\n}}" for body in events.values()]
            for start in range(0, len(messages), 5):
                entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(messages[start:start + 5])]
                answer = sqs.send_message_batch(QueueUrl=exports["SQS_QUEUE_URL"], Entries=entries)
                assert len(answer["Successful"]) == len(entries), answer
            wait_for(len(events), f'"outcome":"{outcome}"')
        wait_for(len(events), '"outcome":"written"')
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for item in page["Contents"]:
                path = folder / item["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        process.kill()
    return events
