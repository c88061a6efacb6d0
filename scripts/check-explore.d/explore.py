"""Tests `producer local` as a user would, with boto3 and the AWS CLI. scripts/check-explore runs this file."""

import fcntl
import hashlib
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.parse
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]
PRODUCER = ROOT / "target/debug/producer"
OPS = ROOT / "target/debug/ops"
TABLE = "dynamo-locking-dev-ingestion-state"
BUCKET = "dynamo-locking-dev-ingestion-data"
INGEST_LOG = "/aws/lambda/dynamo-locking-dev-ingest-fn"
ARCHIVE_LOG = "/aws/lambda/dynamo-locking-dev-archive-fn"
PATIENCE = 60  # seconds

# The kind and the text of each command block in the runbook: "deployed", "untried" or "". This test runs those of the kind "".
BLOCKS = re.findall(r"^```sh ?(\w*)\n(.*?)^```$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE | re.DOTALL)


class Local:
    """A running `producer local`, with its output so far and the variables that it tells the user to export."""

    def __init__(self):
        # The AWS settings of this machine must not affect the outcome.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": ""}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = [PRODUCER, "local", "--port", "0"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        threading.Thread(target=self.read, daemon=True).start()
        wait_for(lambda: any("Log lines of both functions" in line for line in self.lines), "the greeting")
        exports = [line.split()[1:] for line in self.lines if line.startswith("    export ")]
        self.exports = dict(pair.split("=", 1) for pairs in exports for pair in pairs)
        self.environment |= self.exports
        self.examples = [line.strip() for line in self.lines if line.startswith(("    aws ", "    cargo "))]

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def shell(self, command: str, **more: str) -> subprocess.CompletedProcess:
        """Runs a command as printed, but starts the built binaries directly instead of `cargo run`."""
        command = command.replace("cargo run -p producer --", shlex.quote(str(PRODUCER)))
        command = command.replace("cargo run -p ops --", shlex.quote(str(OPS)))
        run = ["bash", "-euo", "pipefail", "-c", command]
        return subprocess.run(run, cwd=ROOT, env=self.environment | more, capture_output=True, text=True, timeout=PATIENCE)

    def must(self, command: str, **more: str) -> str:
        done = self.shell(command, **more)
        assert done.returncode == 0, f"{command}\nexited with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def end(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0, "Ctrl-C must end `producer local` with exit code 0"
        wait_for(lambda: self.lines[-1].startswith("stopped"), "the last line")


def wait_for(done, what: str):
    give_up = time.monotonic() + PATIENCE
    while not (found := done()):
        assert time.monotonic() < give_up, f"timed out waiting for {what}"
        time.sleep(0.1)
    return found


def must_be_refused(call, code: str, text: str):
    try:
        call()
    except ClientError as error:
        answer = error.response["Error"]
        assert code in answer["Code"] and text in answer["Message"], answer
    else:
        raise AssertionError(f"the request succeeded instead of failing with {code}")


def keys(s3, **arguments) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **arguments)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def printed_commands_work(local: Local):
    assert len(local.examples) == 8, local.examples
    send = [command for command in local.examples if "send-message" in command]
    local.must(send[0])
    wait_for(lambda: "EVENT#a" in local.must(next(e for e in local.examples if "get-item" in e)), "the claim")
    wait_for(lambda: ".json" in local.must(next(e for e in local.examples if "s3 ls" in e)), "the object")
    for command in local.examples:
        local.must(command)
    logged = local.must(next(e for e in local.examples if "filter-log-events" in e))
    assert json.loads(json.loads(logged)["events"][0]["message"])["outcome"] == "written", logged
    trace = local.must(next(e for e in local.examples if " trace " in e))
    assert trace.rstrip().endswith("the event is archived"), trace


def boto3_duplicates_become_one_object(local: Local):
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    url = sqs.get_queue_url(QueueName="dynamo-locking-dev-ingestion-queue")["QueueUrl"]
    assert url == local.exports["SQS_QUEUE_URL"], url
    body = '{ "event_id": "boto", "x": 1.50 }'
    assert sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]
    entries = [{"Id": str(number), "MessageBody": body} for number in range(10)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    claim_key = {"pk": "EVENT#boto", "sk": "CLAIM"}
    table = boto3.resource("dynamodb").Table(TABLE)
    claim = wait_for(lambda: table.get_item(Key=claim_key).get("Item"), "the claim")
    key = f"events/dt={claim['claimed_at'][:10]}/hour={claim['claimed_at'][11:13]}/{claim['claim_id']}.json"
    wait_for(lambda: key in keys(s3, Prefix="events/"), "the object")
    line = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    assert line.endswith('"event":{"event_id":"boto","x":1.50}}\n'), line
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(line)
    assert len(s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]) == 1
    outcomes = [json.loads(line)["outcome"] for line in local_log("boto", INGEST_LOG)]
    assert sorted(outcomes) == ["duplicate"] * 10 + ["won"], outcomes
    wait_for(lambda: any('"written"' in line and '"boto"' in line for line in local.lines), "the log line in the terminal")


def local_log(event_id: str, group: str) -> list[str]:
    logs = boto3.client("logs")
    pattern = f'{{ $.event_id = "{event_id}" }}'
    wait_for(lambda: len(logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]) >= 11, "the log")
    return [event["message"] for event in logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]]


def table_and_stream_are_readable(_: Local):
    dynamodb, streams = boto3.client("dynamodb"), boto3.client("dynamodbstreams")
    assert dynamodb.list_tables()["TableNames"] == [TABLE]
    found = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "EVENT#boto"}},
    )
    assert found["Count"] == 1, found
    pages = dynamodb.get_paginator("scan").paginate(TableName=TABLE, PaginationConfig={"PageSize": 1})
    scanned = [item["pk"]["S"] for page in pages for item in page["Items"]]
    assert "EVENT#a" in scanned and "EVENT#boto" in scanned, scanned
    assert dynamodb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]["AttributeName"] == "ttl"
    arn = dynamodb.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    arguments = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**arguments)["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    assert {"EVENT#a", "EVENT#boto"} <= {record["dynamodb"]["Keys"]["pk"]["S"] for record in records}


def queues_are_readable(_: Local):
    sqs = boto3.client("sqs")
    urls = sqs.list_queues(QueueNamePrefix="dynamo-locking-dev-ingestion")["QueueUrls"]
    assert [url.rsplit("/", 1)[1] for url in urls] == ["dynamo-locking-dev-ingestion-dlq", "dynamo-locking-dev-ingestion-queue"]
    attributes = sqs.get_queue_attributes(QueueUrl=urls[1], AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith("-dlq"), attributes
    sqs.send_message(QueueUrl=urls[0], MessageBody="mine")
    letter = sqs.receive_message(QueueUrl=urls[0], WaitTimeSeconds=1)["Messages"][0]
    assert letter["Body"] == "mine"
    sqs.delete_message(QueueUrl=urls[0], ReceiptHandle=letter["ReceiptHandle"])


def bucket_stores_and_returns_files(local: Local):
    s3, folder = boto3.client("s3"), ROOT / "target/check-explore"
    mine = folder / "mine.bin"
    mine.write_bytes(os.urandom(200_000))
    for number in range(5):
        s3.upload_file(str(mine), BUCKET, f"mine/{number % 2}/{number}.bin")
    s3.download_file(BUCKET, "mine/0/2.bin", str(folder / "back.bin"))
    assert (folder / "back.bin").read_bytes() == mine.read_bytes(), "a file uploaded in chunks with a checksum comes back changed"
    local.must(
        f"aws s3 cp {shlex.quote(str(mine))} s3://{BUCKET}/mine/cli.bin && "
        f"aws s3 cp s3://{BUCKET}/mine/cli.bin {shlex.quote(str(folder / 'back.bin'))}"
    )
    assert (folder / "back.bin").read_bytes() == mine.read_bytes()
    assert s3.get_object(Bucket=BUCKET, Key="mine/cli.bin", Range="bytes=3-7")["Body"].read() == mine.read_bytes()[3:8]
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="mine/", Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    pages = list(pages)
    folders = [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", [])]
    files = [item["Key"] for page in pages for item in page.get("Contents", [])]
    assert (folders, files) == (["mine/0/", "mine/1/"], ["mine/cli.bin"]), (folders, files)
    assert len(keys(s3, Prefix="mine/", PaginationConfig={"PageSize": 2})) == 6
    assert s3.put_object(Bucket=BUCKET, Key="mine/once", Body=b"1", IfNoneMatch="*")
    must_be_refused(lambda: s3.put_object(Bucket=BUCKET, Key="mine/once", Body=b"2", IfNoneMatch="*"), "PreconditionFailed", "")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]


def instrumented_messages_are_archived(local: Local):
    """Instrumented producers attach a `traceparent` and an X-Ray trace header to each message."""
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    attributes = {
        "traceparent": {"DataType": "String", "StringValue": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        "count": {"DataType": "Number", "StringValue": "1"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    header = "Root=1-65a5b2c3-000000000000000000000001;Sampled=1"
    traced = {
        "MessageAttributes": attributes,
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": header}},
    }
    sent = sqs.send_message(QueueUrl=local.exports["SQS_QUEUE_URL"], MessageBody='{"event_id":"traced"}', **traced)
    dlq = local.exports["SQS_QUEUE_URL"].replace("ingestion-queue", "ingestion-dlq")
    sqs.send_message_batch(QueueUrl=dlq, Entries=[{"Id": "1", "MessageBody": "mine", **traced}])
    received = sqs.receive_message(
        QueueUrl=dlq, WaitTimeSeconds=5, MessageAttributeNames=["All"], MessageSystemAttributeNames=["AWSTraceHeader"]
    )["Messages"][0]
    sqs.delete_message(QueueUrl=dlq, ReceiptHandle=received["ReceiptHandle"])
    assert received["MessageAttributes"] == attributes, received
    assert received["Attributes"] == {"AWSTraceHeader": header}, received
    assert received["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"] == digest(attributes), (received, sent)
    wait_for(lambda: any('"written"' in line and '"traced"' in line for line in local.lines), "the archived event")
    table = boto3.resource("dynamodb").Table(TABLE)
    claim_id = table.get_item(Key={"pk": "EVENT#traced", "sk": "CLAIM"})["Item"]["claim_id"]
    assert any(claim_id in key for key in keys(s3, Prefix="events/")), claim_id


def digest(attributes: dict) -> str:
    """Computes the MD5 of message attributes as the SDKs of some languages do to check the answers."""
    with_length = lambda data: struct.pack("!I", len(data)) + data
    encoded = b""
    for name, attribute in sorted(attributes.items()):
        is_binary = attribute["DataType"] == "Binary"
        value = attribute["BinaryValue"] if is_binary else attribute["StringValue"].encode()
        encoded += with_length(name.encode()) + with_length(attribute["DataType"].encode())
        encoded += (b"\2" if is_binary else b"\1") + with_length(value)
    return hashlib.md5(encoded).hexdigest()


def unsupported_requests_are_refused(_: Local):
    sqs, url = boto3.client("sqs"), os.environ["SQS_QUEUE_URL"]
    delayed = {"QueueUrl": url, "MessageBody": "{}", "DelaySeconds": 1}
    must_be_refused(lambda: sqs.send_message(**delayed), "UnsupportedOperation", "the emulator does not support DelaySeconds above 0")
    must_be_refused(lambda: sqs.purge_queue(QueueUrl=url), "UnsupportedOperation", "does not support PurgeQueue")
    must_be_refused(lambda: sqs.get_queue_url(QueueName="x"), "QueueDoesNotExist", "x")
    logs = boto3.client("logs")
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    assert groups == sorted([INGEST_LOG, ARCHIVE_LOG]), groups
    other = {"logGroupName": INGEST_LOG, "filterPattern": "ERROR"}
    must_be_refused(lambda: logs.filter_log_events(**other), "InvalidParameterException", "supports only filter patterns")
    must_be_refused(lambda: boto3.client("dynamodb").delete_table(TableName=TABLE), "ValidationException", "does not support DeleteTable")
    must_be_refused(lambda: boto3.client("s3").delete_bucket(Bucket=BUCKET), "NotImplemented", "")
    must_be_refused(lambda: boto3.client("lambda").list_functions(), "", "does not support lambda")
    must_be_refused(lambda: boto3.client("sts").get_caller_identity(), "", "does not support sts")


def runbook_commands_work(local: Local):
    """Runs the runbook's plain `sh` blocks. scripts/e2e runs the `sh deployed` blocks."""
    account = urllib.parse.urlparse(local.exports["SQS_QUEUE_URL"]).path.split("/")[1]
    url = lambda name: f"{local.exports['AWS_ENDPOINT_URL']}/{account}/{name}"
    names = {
        "QUEUE": local.exports["SQS_QUEUE_URL"],
        "DLQ": url("dynamo-locking-dev-ingestion-dlq"),
        "ON_FAILURE": url("dynamo-locking-dev-archive-on-failure"),
        "TABLE": TABLE,
        "BUCKET": BUCKET,
        "PREFIX": "events/",
        "INGEST_LOG": INGEST_LOG,
        "ARCHIVE_LOG": ARCHIVE_LOG,
        "EVENT_ID": "boto",
    }
    sqs = boto3.client("sqs")
    # Creates what the blocks work on: dead letters, messages in the on-failure queue, and a claim without an object.
    for number in range(3):
        sqs.send_message(QueueUrl=names["DLQ"], MessageBody="no event")
        sqs.send_message(QueueUrl=names["ON_FAILURE"], MessageBody='{"DDBStreamBatchInfo":{}}')
    missing_key = create_claim_without_object()
    replays = []
    for kind, block in BLOCKS:
        if kind:
            continue
        # Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS, but not for other services.
        output = local.must('aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n' + block, **names)
        replays += [output] if "-p ops -- replay" in block else []
        if "delete-message" in block:
            attributes = sqs.get_queue_attributes(QueueUrl=names["ON_FAILURE"], AttributeNames=["All"])["Attributes"]
            assert attributes["ApproximateNumberOfMessages"] == "0", attributes
    found, written, after = replays
    assert "1 claim without an object" in found and "nothing was written" in found, found
    assert "1 written, 0 already there" in written, written
    assert after.endswith(": 0 without an object\n"), after
    versions = boto3.client("s3").list_object_versions(Bucket=BUCKET, Prefix=missing_key)
    assert len(versions["Versions"]) == 2 and len(versions["DeleteMarkers"]) == 1, versions


def create_claim_without_object() -> str:
    """Creates what a discarded record leaves behind: a claim from yesterday without an object. Returns the key of that object."""
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    item = dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": "EVENT#boto"}, "sk": {"S": "CLAIM"}})["Item"]
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    milliseconds = int(yesterday.timestamp() * 1000)
    claim_id = str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | 1))
    claimed_at = yesterday.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"
    item |= {"pk": {"S": "EVENT#discarded"}, "claim_id": {"S": claim_id}, "claimed_at": {"S": claimed_at}}
    dynamodb.put_item(TableName=TABLE, Item=item)
    key = f"events/dt={claimed_at[:10]}/hour={claimed_at[11:13]}/{claim_id}.json"
    wait_for(lambda: key in keys(s3, Prefix="events/"), "the object")
    s3.delete_object(Bucket=BUCKET, Key=key)
    return key


def runbook_is_complete(_: Local):
    """Checks that the runbook describes every alarm that Terraform creates, and that each command is tested or marked `untried`."""
    text = (ROOT / "docs/runbook.md").read_text()
    rows = re.search(r"^\| alarm \|.*?\n\n", text, re.MULTILINE | re.DOTALL)[0].strip().splitlines()[2:]
    described = sorted(name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1]))
    # Reads the alarms from the Terraform test, which fails if its list is incomplete. The list has the alarms of the default settings; one
    # more exists only with packs.
    expected = (ROOT / "terraform/tests/observability.tftest.hcl").read_text()
    created = sorted([*re.findall(r"^ +stack-([a-z-]+) += ", expected, re.MULTILINE), "nothing-written"])
    assert described == created and len(created) > 10, (described, created)
    fences = re.findall(r"^```(.+)$", text, re.MULTILINE)
    commands = [fence for fence in fences if fence != "hcl"]
    assert len(commands) == len(BLOCKS) and set(commands) == {"sh", "sh deployed", "sh untried"}, fences
    for paragraph in re.findall(r"([^\n]+(?:\n[^\n]+)*)\n\n```sh untried", text):
        assert "**not tried**" in " ".join(paragraph.split()), f"an untried block without a reason: {paragraph}"


def progress_line_is_redrawn_and_erased(local: Local):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [PRODUCER, "run", "soak", "--rate", "20", "--duration", "2", "--local"]
    child = subprocess.Popen(command, cwd=ROOT, env=local.environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while some := os.read(ours, 65536):
            written += some
    except OSError:
        pass  # A read from a terminal fails once the child has closed it.
    assert child.wait(PATIENCE) == 0, written
    lines = written.decode().split("\r\n")
    erased = [text for line in lines for text in line.split("\r\x1b[2K")[:-1]]
    counts = [int(text.split(" of 40 sent")[0].split()[-1]) for text in erased]
    assert counts == sorted(counts) and len(set(counts)) > 5 and max(counts) == 40, erased
    left = [line.split("\r\x1b[2K")[-1] for line in lines]
    assert not any("of 40 sent" in line for line in left), left
    assert any(line.startswith("sent in ") for line in left), left
    verdict, cost, rest = left[-3:]
    assert verdict == "verdict: held" and cost.endswith("; --bill itemizes it") and rest == "", left


def port_in_use_is_an_error(local: Local):
    port = local.exports["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
    second = local.shell(f"{shlex.quote(str(PRODUCER))} local --port {port}")
    assert second.returncode == 2 and second.stdout == "", second
    assert second.stderr.startswith(f"error: cannot bind 127.0.0.1:{port}: ") and second.stderr.count("\n") == 1, second


def listens_only_on_loopback(local: Local):
    port = int(local.exports["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    # Addresses and ports are hexadecimal, addresses with their bytes reversed. State 0A is LISTEN.
    listening = [row[1] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]
    assert listening == [f"0100007F:{port:04X}"], listening


def main():
    local = Local()
    os.environ.clear()
    os.environ.update(local.environment)
    checks = [
        printed_commands_work,
        boto3_duplicates_become_one_object,
        table_and_stream_are_readable,
        queues_are_readable,
        bucket_stores_and_returns_files,
        instrumented_messages_are_archived,
        unsupported_requests_are_refused,
        runbook_is_complete,
        runbook_commands_work,
        progress_line_is_redrawn_and_erased,
        port_in_use_is_an_error,
        listens_only_on_loopback,
    ]
    try:
        for check in checks:
            check(local)
            print(f"ok  {check.__name__.replace('_', ' ')}", flush=True)
        local.end()
        print("ok  Ctrl-C stops producer local")
    finally:
        local.process.kill()
    print(f"{len(checks) + 1} passed, 0 failed")


main()
