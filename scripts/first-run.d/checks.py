"""The checks of a first run. Each one compares what AWS's documentation promises with what the stack did."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from waiting import NotInTime, until

OK, WRONG, UNCHECKED = "ok", "**not ok**", "not checked"

# Pages of AWS's documentation, by check.
SQS_GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"
LAMBDA_GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
SOURCES = {
    "poison": f"{LAMBDA_GUIDE}/services-sqs-errorhandling.html",
    "redrive": f"{SQS_GUIDE}/sqs-configure-dead-letter-queue-redrive.html",
    "filter": f"{LAMBDA_GUIDE}/with-ddb-filtering.html",
    "partial_response": f"{LAMBDA_GUIDE}/services-ddb-batchfailurereporting.html",
    "record_age": f"{LAMBDA_GUIDE}/services-dynamodb-errors.html",
    "bisection": f"{LAMBDA_GUIDE}/services-dynamodb-errors.html",
}

# Metrics that a service may publish only when it has something to count.
RARE_METRICS = {
    "DroppedEventCount", "DestinationDeliveryFailures", "OnFailureDestinationDeliveredEventCount", "WriteThrottleEvents",
    "ThrottledRequests", "Throttles",
}


@dataclass
class Result:
    """One row of the report."""

    check: str
    promise: str
    seen: str
    verdict: str


class NotSupported(Exception):
    """The endpoint does not have the operation."""


@dataclass
class Patience:
    """Time limits in seconds. The emulator answers at once or never."""

    drain: int
    logs: int
    discard: int
    alarm: int


AWS_PATIENCE = Patience(drain=1500, logs=300, discard=900, alarm=900)
EMULATOR_PATIENCE = Patience(drain=150, logs=10, discard=100, alarm=1)


class Checks:
    """The checks on one stack, in the order in which they must run: the later ones break the archive on purpose."""

    def __init__(
        self, session, outputs: dict[str, str], producer: Path, module: Path, env: dict, patience: Patience, gaps: dict, packs: bool
    ):
        self.packs = packs
        self.outputs, self.producer, self.module, self.env = outputs, producer, module, env
        self.patience, self.gaps = patience, gaps
        self.sqs, self.s3 = session.client("sqs"), session.client("s3")
        self.dynamodb, self.logs = session.client("dynamodb"), session.client("logs")
        self.functions, self.cloudwatch = session.client("lambda"), session.client("cloudwatch")
        self.began = int(time.time() * 1000)
        self.results: list[Result] = []
        arn = f"function:{outputs['archive_function_name']}"
        mappings = self.functions.get_paginator("list_event_source_mappings").paginate(EventSourceArn=outputs["dynamodb_stream_arn"])
        found = [mapping for page in mappings for mapping in page["EventSourceMappings"] if arn in mapping["FunctionArn"]]
        self.mapping = found[0]

    def run(self) -> None:
        for check in [
            self.herd, self.mixed, self.poison, self.alarm, self.redrive, self.metrics, self.filter, self.partial_response,
            self.record_age, self.bisection,
        ]:
            promise = " ".join((check.__doc__ or "").split())
            if source := SOURCES.get(check.__name__):
                promise = f"{promise} ([source]({source}))"
            name = check.__name__.replace("_", " ")
            try:
                seen, holds = check()
                verdict = OK if holds else WRONG
            except NotSupported as why:
                seen, verdict = str(why), UNCHECKED
            except (NotInTime, subprocess.SubprocessError) as why:
                seen, verdict = str(why), WRONG
            except Exception as error:  # A failed request says nothing about the promise, and the other checks must still run.
                seen, verdict = f"the check failed: {type(error).__name__}: {error}", UNCHECKED
            if verdict == WRONG and check.__name__ in self.gaps:
                seen, verdict = f"{seen} ({self.gaps[check.__name__]})", UNCHECKED
            self.results.append(Result(name, promise, " ".join(seen.split()), verdict))
            print(f"{verdict.strip('*'):12} {name}: {self.results[-1].seen}", flush=True)

    # --- messages ----------------------------------------------------------------------------------------------------

    def herd(self) -> tuple[str, bool]:
        """The queue mapping invokes `ingest-fn`, and the stream mapping `archive-fn`: 50 copies of an event become one line in the lake."""
        verdict = self.produce("herd")
        counts = verdict["claims"], verdict["archived"], verdict["packs"]
        return shown(verdict), verdict["verdict"] == "held" and counts == (1, 1, int(self.packs))

    def mixed(self) -> tuple[str, bool]:
        """Duplicates in the same batch and in concurrent batches become one line in the lake for each event."""
        verdict = self.produce("mixed", "--event-id", "mixed")
        single = 0 if self.packs else verdict["events"]
        held = verdict["verdict"] == "held" and (verdict["archived"], verdict["objects"]) == (verdict["events"], single)
        if not self.packs:
            return shown(verdict), held
        skipped = [line for line in self.lines("archive_log_group") if line.get("outcome") == "skipped"]
        seen = f"{shown(verdict)}, {verdict['packs']} packs; {len(skipped)} records of packed claims reached `archive-fn`"
        return seen, held and not skipped

    def poison(self) -> tuple[str, bool]:
        """With partial batch responses, SQS redelivers only the messages that `ingest-fn` reports. A message becomes a dead letter after
        three receives."""
        verdict = self.produce("poison", "--event-id", "poison")
        receives: dict[str, int] = {}
        for line in self.lines("ingest_log_group"):
            if line.get("outcome") == "rejected":
                receives[line["message_id"]] = receives.get(line["message_id"], 0) + 1
        seen = f"{shown(verdict)}, {verdict['dead_letters']} dead letters, each received {sorted(set(receives.values()))} times"
        held = verdict["verdict"] == "held" and verdict["dead_letters"] == verdict["to_be_rejected"] > 0
        return seen, held and set(receives.values()) == {3}

    def alarm(self) -> tuple[str, bool]:
        """An alarm on a metric of SQS goes to ALARM: `dlq-not-empty`, with dead letters in the queue."""
        [name] = [alarm["AlarmName"] for alarm in self.alarms() if alarm["AlarmName"].endswith("-dlq-not-empty")]
        began = time.monotonic()
        state = lambda: self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0].get("StateValue")
        try:
            until("the alarm is in ALARM", lambda: state() == "ALARM", self.patience.alarm, interval=10)
        except NotInTime:
            return f"the alarm is in {state()} after {self.patience.alarm} s", False
        return f"ALARM within {time.monotonic() - began:.0f} s after the producer's run", True

    def redrive(self) -> tuple[str, bool]:
        """StartMessageMoveTask moves all dead letters back, each with a new message id and a new enqueue time, so that its retention
        starts again."""
        dlq = self.outputs["sqs_dlq_url"]
        received = self.sqs.receive_message(
            QueueUrl=dlq, MaxNumberOfMessages=10, VisibilityTimeout=1, MessageSystemAttributeNames=["SentTimestamp"], WaitTimeSeconds=5
        )
        old = {message["MessageId"]: int(message["Attributes"]["SentTimestamp"]) for message in received.get("Messages", [])}
        if not old:
            raise NotSupported("the dead-letter queue is empty")
        time.sleep(2)
        began = int(time.time() * 1000)
        try:
            self.sqs.start_message_move_task(SourceArn=self.outputs["sqs_dlq_arn"])
        except self.sqs.exceptions.ClientError as error:
            raise NotSupported(f"StartMessageMoveTask: {error.response['Error']['Code']}") from None
        task = lambda: self.sqs.list_message_move_tasks(SourceArn=self.outputs["sqs_dlq_arn"])["Results"][0]
        until("the redrive ends", lambda: task()["Status"] not in ("CREATED", "RUNNING"), self.patience.drain, interval=5)
        done = task()
        moved = done.get("ApproximateNumberOfMessagesMoved", 0)

        def again() -> dict[str, str] | None:
            lines = [line for line in self.lines("ingest_log_group", since=began) if line.get("outcome") == "rejected"]
            ids = {line["message_id"]: line.get("sent_at", "") for line in lines}
            return ids if len(ids) >= moved > 0 else None

        new = until("the redriven messages are received", again, self.patience.logs, interval=5)
        kept_ids = old.keys() & new.keys()
        # A minute of tolerance, because the clocks of SQS and of this machine differ. The messages were sent much earlier.
        start = datetime.fromtimestamp(began / 1000 - 60, timezone.utc).isoformat(timespec="seconds")[:19]
        kept_times = [time for time in new.values() if time[:19] < start]
        seen = f"{done['Status']}, {moved} moved; {len(kept_ids)} kept their id, {len(kept_times)} of {len(new)} their enqueue time"
        return seen, done["Status"] == "COMPLETED" and not kept_ids and not kept_times

    def metrics(self) -> tuple[str, bool]:
        """The metrics of all alarms exist under the names and dimensions that the alarms use."""
        wanted = {
            (metric["Namespace"], metric["MetricName"], tuple(sorted((d["Name"], d["Value"]) for d in metric.get("Dimensions", []))))
            for alarm in self.alarms()
            for metric in [alarm, *(query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query)]
            if metric.get("MetricName")
        }
        exists = lambda metric: self.cloudwatch.list_metrics(
            Namespace=metric[0], MetricName=metric[1], Dimensions=[{"Name": name, "Value": value} for name, value in metric[2]]
        )["Metrics"]
        missing: list[str] = []

        def only_rare_ones_are_missing() -> bool:
            missing[:] = sorted({metric[1] for metric in wanted if not exists(metric)})
            return set(missing) <= RARE_METRICS

        try:
            # CloudWatch lists a new metric up to 15 minutes after its first value.
            until("the metrics exist", only_rare_ones_are_missing, self.patience.alarm, interval=30)
        except NotInTime:
            pass
        return f"{len(wanted)} metrics, without data: {', '.join(missing) or 'none'}", set(missing) <= RARE_METRICS

    # --- stream records ----------------------------------------------------------------------------------------------

    def filter(self) -> tuple[str, bool]:
        """The stream mapping drops records whose new image has another `sk`, and records of deletions: `archive-fn` never sees them."""
        began, table = int(time.time() * 1000), self.outputs["dynamodb_table_name"]
        other = {"pk": {"S": "EVENT#first-run-filter"}, "sk": {"S": "NOTE"}}
        self.dynamodb.put_item(TableName=table, Item=other)
        self.dynamodb.delete_item(TableName=table, Key=other)
        # A claim of the same partition key, so that its record is in the same shard, after the two others.
        [claim] = self.put_claims("first-run-filter", 1)
        self.outcomes_when("the claim is archived", lambda found: found.get(claim, []), since=began)
        skipped = [line for line in self.lines("archive_log_group", since=began) if line.get("outcome") == "skipped"]
        return f"a claim was archived; {len(skipped)} other records reached `archive-fn`", not skipped

    def partial_response(self) -> tuple[str, bool]:
        """With partial batch responses, Lambda retries a batch from the first record that `archive-fn` reports. The records before it
        are not sent again; those after it are."""
        self.update_mapping(MaximumBatchingWindowInSeconds=10, MaximumRecordAgeInSeconds=60)
        self.fault_began = int(time.time() * 1000)
        claims = [new_claim_id() for _ in range(5)]
        self.denied = claims[2]
        with Denied(self.s3, self.outputs, object_key(self.outputs["object_prefix"], self.denied)):
            self.put_claims("first-run-partial", 5, claims)
            retried = lambda found: found.get(self.denied, []).count("failed") >= 2 and len(found.get(claims[4], [])) >= 2
            try:
                self.outcomes_when("the denied record is retried", retried, since=self.fault_began)
            except NotInTime:
                pass  # The report says what was seen instead.
            found = self.outcomes(since=self.fault_began)
            self.pointers = self.wait_for_pointer()
        seen = "; ".join(f"record {number}: {tally(found.get(claim, []))}" for number, claim in enumerate(claims, 1))
        before = all(found.get(claim) == ["written"] for claim in claims[:2])
        after = all("already_there" in found.get(claim, []) for claim in claims[3:])
        return seen, before and after and found.get(self.denied, []).count("failed") >= 2

    def wait_for_pointer(self) -> list[dict]:
        """Waits for the message that names the denied record, while it is still denied. Returns all messages of the on-failure queue."""
        got: list[dict] = []
        if "record_age" in self.gaps:
            return got

        def named() -> bool:
            got.extend(self.receive_pointers())
            return bool(got)

        try:
            until("the on-failure queue has a message", named, self.patience.discard, interval=5)
        except NotInTime:
            pass
        return got

    def record_age(self) -> tuple[str, bool]:
        """A record that still fails at its maximum age (here a minute) is discarded. A message in the on-failure queue names its shard
        and its sequence number."""
        lines = [line for line in self.lines("archive_log_group", since=self.fault_began) if line.get("claim_id") == self.denied]
        failed = [line for line in lines if line["outcome"] == "failed"]
        if not failed:
            return "the denied record never failed", False
        number = int(failed[0]["sequence_number"])
        ranges = [pointer["DDBStreamBatchInfo"] for pointer in self.pointers]
        named = [info for info in ranges if int(info["startSequenceNumber"]) <= number <= int(info["endSequenceNumber"])]
        conditions = sorted({pointer["requestContext"]["condition"] for pointer in self.pointers})
        seen = f"{len(failed)} failures, then {len(named)} messages that name it ({', '.join(conditions) or 'no message'})"
        return seen, len(named) >= 1

    def bisection(self) -> tuple[str, bool]:
        """If a whole invocation fails, Lambda splits the batch and retries the halves: the on-failure messages name less than the whole
        batch of four."""
        self.break_archive()
        self.put_claims("first-run-bisection", 4)
        sizes: list[int] = []

        def all_discarded() -> bool:
            sizes.extend(int(pointer["DDBStreamBatchInfo"]["batchSize"]) for pointer in self.receive_pointers())
            return sum(sizes) >= 4

        until("all four records are discarded", all_discarded, self.patience.discard, interval=5)
        return f"messages about {sorted(sizes)} records", max(sizes) < 4

    # --- requests ----------------------------------------------------------------------------------------------------

    def alarms(self) -> list[dict]:
        prefix = self.outputs["dynamodb_table_name"].removesuffix("ingestion-state")
        pages = self.cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
        return [alarm for page in pages for alarm in page["MetricAlarms"]]

    def produce(self, scenario: str, *options: str) -> dict:
        """Runs a scenario of the producer and returns its report."""
        command = [self.producer, "run", scenario, "--terraform-dir", self.module, "--json", *options]
        command += ["--timeout", self.patience.drain]
        done = subprocess.run(
            [str(part) for part in command], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=self.patience.drain + 300,
        )
        (self.module.parent / f"producer-{scenario}.log").write_text(done.stderr + done.stdout)
        if "{" not in done.stdout:
            raise NotInTime(f"the producer exited with code {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout[done.stdout.index("{") :])

    def put_claims(self, event_id: str, count: int, ids: list[str] | None = None) -> list[str]:
        """Puts claims of one event over each other. Their records are in one shard, in this order: one INSERT, then MODIFYs."""
        table = self.outputs["dynamodb_table_name"]
        template = self.dynamodb.get_item(TableName=table, Key={"pk": {"S": "EVENT#grid_stress_999"}, "sk": {"S": "CLAIM"}})["Item"]
        ids = ids or [new_claim_id() for _ in range(count)]
        for claim_id in ids:
            item = template | {
                "pk": {"S": f"EVENT#{event_id}"}, "claim_id": {"S": claim_id}, "claimed_at": {"S": claimed_at(claim_id)},
            }
            self.dynamodb.put_item(TableName=table, Item=item)
        return ids

    def update_mapping(self, **settings: int) -> None:
        """Changes the stream mapping and waits until Lambda uses the new settings."""
        uuid = self.mapping["UUID"]
        self.functions.update_event_source_mapping(UUID=uuid, **settings)
        state = lambda: self.functions.get_event_source_mapping(UUID=uuid)
        time.sleep(2)
        until("the mapping is updated", lambda: state()["State"] == "Enabled", self.patience.drain, interval=2)

    def break_archive(self) -> None:
        """Makes every invocation of `archive-fn` fail: it does not start without a bucket. The stack is destroyed afterwards."""
        name = self.outputs["archive_function_name"]
        self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"OBJECT_PREFIX": "events/"}})
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        # The mapping may invoke an alias.
        qualifier = self.mapping["FunctionArn"].split(":")[7:]
        if qualifier:
            broken = self.functions.publish_version(FunctionName=name)["Version"]
            self.functions.update_alias(FunctionName=name, Name=qualifier[0], FunctionVersion=broken)
        # Sandboxes that were warm before the change may still get records for a moment.
        time.sleep(5 if self.gaps else 60)

    def receive_pointers(self) -> list[dict]:
        url = self.outputs["on_failure_queue_url"]
        received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        for message in received:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in received]

    def outcomes(self, since: int) -> dict[str, list[str]]:
        """Returns what `archive-fn` logged about each claim."""
        found: dict[str, list[str]] = {}
        for line in self.lines("archive_log_group", since):
            if "claim_id" in line and "outcome" in line:
                found.setdefault(line["claim_id"], []).append(line["outcome"])
        return found

    def outcomes_when(self, what: str, condition: Callable, since: int) -> dict[str, list[str]]:
        until(what, lambda: condition(self.outcomes(since)), self.patience.logs, interval=3)
        return self.outcomes(since)

    def lines(self, group: str, since: int | None = None) -> list[dict]:
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.outputs[group], startTime=self.began if since is None else since
        )
        texts = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(text) for text in texts if text.startswith("{")]


class Denied:
    """Denies everyone to put one key, by a statement of the bucket policy. Restores the policy at the end."""

    def __init__(self, s3, outputs: dict[str, str], key: str):
        self.s3, self.bucket = s3, outputs["s3_bucket_name"]
        self.resource = f"{outputs['s3_bucket_arn']}/{key}"

    def __enter__(self) -> None:
        self.before = self.s3.get_bucket_policy(Bucket=self.bucket)["Policy"]
        document = json.loads(self.before)
        deny = {"Sid": "FirstRun", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": self.resource}
        document["Statement"].append(deny)
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(document))
        # S3 takes a moment to enforce a new policy.
        time.sleep(15)

    def __exit__(self, *_: object) -> None:
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=self.before)


def new_claim_id() -> str:
    """Returns a UUIDv7 of now."""
    number = int(time.time() * 1000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    digits = f"{number:032x}"
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def claimed_at(claim_id: str) -> str:
    milliseconds = int(claim_id.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"


def object_key(prefix: str, claim_id: str) -> str:
    at = claimed_at(claim_id)
    return f"{prefix}dt={at[:10]}/hour={at[11:13]}/{claim_id}.json"


def shown(verdict: dict) -> str:
    return f"{verdict['verdict']}: " + ", ".join(f"{verdict[name]} {name}" for name in ("sent", "claims", "duplicates", "objects"))


def tally(outcomes: list[str]) -> str:
    return ", ".join(f"{outcomes.count(name)} x {name}" for name in dict.fromkeys(outcomes)) or "never seen"
