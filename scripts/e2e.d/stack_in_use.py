"""Checks what the deployed stack does with messages. Each check returns a text that says what it showed, or raises an exception."""

import json
import shlex
from collections import Counter
from pathlib import Path

from children import Child, run, tail
from emulator import Emulator
from waiting import until

# One body of each kind that ingest-fn rejects. The key says what is wrong with the body.
BAD_BODIES = {
    "not JSON": '{"event_id":',
    "no event id": '{"id":"bad"}',
    "a fraction as event id": '{"event_id":7.5}',
    "a repeated name": '{"event_id":"bad","event_id":"worse"}',
    "an unpaired surrogate": '{"event_id":"\\ud800"}',
    "nesting beyond 128": '{"event_id":"bad","x":' + "[" * 200 + "]" * 200 + "}",
}

# Counts in the producer's verdict that must be 0.
MUST_BE_ZERO = ["unconfirmed", "conflicts", "rejected", "dead_letters", "lost", "extra"]

# The outcomes of archive-fn that mean that the object exists. Even the first put of an object is logged as `already_there` if its
# answer was lost and the SDK retried it.
ARCHIVED = {"written", "already_there"}


class Violated(Exception):
    """A property that must hold does not hold."""


def must(condition: bool, message: str) -> None:
    if not condition:
        raise Violated(message)


class StackInUse:
    """A deployed stack, described by its Terraform outputs."""

    def __init__(self, emulator: Emulator, outputs: dict[str, str], module: Path, producer: Path, folder: Path):
        self.emulator, self.outputs = emulator, outputs
        self.module, self.producer_binary, self.folder = module, producer, folder
        self.sqs, self.s3 = emulator.client("sqs"), emulator.client("s3")
        self.dynamodb, self.logs = emulator.client("dynamodb"), emulator.client("logs")

    def produce(self, name: str, *options: str, expected: dict[str, int]) -> dict:
        """Runs the producer with the Terraform outputs. Its verdict must be `held`, and its counts must be as expected."""
        command = [self.producer_binary, "--terraform-dir", self.module, "--json", "--timeout", "150", *options]
        child = Child(command, self.emulator.client_env, self.folder / f"producer-{name}.log")
        code = child.wait(seconds=300)
        # The producer prints the JSON verdict last, after its progress.
        progress, start, verdict = child.output().partition("\n{")
        must(start, f"{child.shown()} exited with code {code} and printed no verdict:\n{tail(progress)}")
        reading = json.loads(start + verdict)
        expected = expected | {"verdict": "held"} | dict.fromkeys(MUST_BE_ZERO, 0)
        wrong = {name: reading[name] for name in expected if reading[name] != expected[name]}
        violated = [invariant for invariant in reading["invariants"] if not invariant["held"]]
        must(
            code == 0 and not wrong,
            f"{child.shown()} must report {expected}, but exited with code {code} and reports {wrong}, violated {violated}:\n{progress}",
        )
        return reading

    def produce_as_printed(self, command: str) -> str:
        """Runs a command that the documents print, but with the built binary instead of `cargo run`."""
        built = command.replace("cargo run -p producer --", shlex.quote(str(self.producer_binary)))
        printed = run(["bash", "-c", built], self.emulator.client_env, self.folder / "producer-printed.log", self.folder, seconds=300)
        must("verdict: held" in printed, f"{command!r} printed no verdict:\n{printed}")
        return command

    def bad_messages_become_dead_letters(self) -> str:
        url, dlq_url = self.outputs["sqs_queue_url"], self.outputs["sqs_dlq_url"]
        # With the default visibility timeout, three receives would take nine minutes.
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        good = self.send('{"event_id":"among-bad-ones"}')
        bad = {self.send(body): what for what, body in BAD_BODIES.items()}
        dead: dict[str, str] = {}

        def all_dead() -> bool:
            received = self.sqs.receive_message(QueueUrl=dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=60)
            dead.update({message["MessageId"]: message["Body"] for message in received.get("Messages", [])})
            return len(dead) >= len(bad) and self.depth(url) == 0

        until("the bad messages are dead letters, and the queue is empty", all_dead, seconds=60)
        must(bad.keys() <= dead.keys(), f"the dead letters are {list(dead)}, not the bad messages {bad}")
        must(set(dead.values()) == set(BAD_BODIES.values()), f"the dead letters are not the bad bodies as sent: {dead}")
        outcomes = self.ingest_outcomes()
        must(outcomes[good] == ["won"], f"a good message among bad ones has the outcomes {outcomes[good]}")
        for id, what in bad.items():
            must(outcomes[id] == ["rejected"] * 3, f"{what}: the message has the outcomes {outcomes[id]}")
        return f"{len(bad)} kinds of bad messages, each rejected three times; the good one among them was won"

    def unconfirmed_batched_claims(self) -> list[str]:
        """Returns the reason for each request that did not insert all of its batched claims."""
        lines = [line for line in self.log_lines("ingest_log_group") if line.get("level") == "WARN"]
        expected = "unconfirmed batched claims are put one by one"
        must(all(line["message"] == expected for line in lines), f"other warnings: {lines[:3]}")
        return [line["error"] for line in lines]

    def an_expired_claim_is_claimed_again(self) -> str:
        body = '{"event_id":"expires"}'
        first = self.send_and_wait(body, "won")
        old = self.claim("expires")
        must(self.archived(old, lines=1)[0] in ARCHIVED, "the claim was not archived")
        self.send_and_wait(body, "duplicate")
        self.dynamodb.update_item(
            TableName=self.outputs["dynamodb_table_name"],
            Key={"pk": {"S": "EVENT#expires"}, "sk": {"S": "CLAIM"}},
            UpdateExpression="SET #ttl = :past",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
        # The update appears as a MODIFY in the stream. archive-fn has already written that claim's object.
        after = self.archived(old, lines=2)[1]
        must(after == "already_there", f"archive-fn has the outcome {after} after `ttl` was set back")
        second = self.send_and_wait(body, "won")
        new = self.claim("expires")
        must(
            (old["message_id"], new["message_id"]) == (first, second) and old["claim_id"] != new["claim_id"],
            f"the claim was not replaced: first {old}, then {new}",
        )
        must(self.archived(new, lines=1)[0] in ARCHIVED, "the new claim was not archived")
        return "a duplicate before the expiry, a new claim with its own object after it; setting `ttl` back was `already_there`"

    def the_archive_log_names_each_object(self) -> str:
        prefix, bucket = self.outputs["object_prefix"], self.outputs["s3_bucket_name"]
        lines = [line for line in self.log_lines("archive_log_group") if "outcome" in line]
        others = {line["outcome"] for line in lines} - ARCHIVED
        must(not others, f"archive-fn has other outcomes: {others}")
        named = {line["key"] for line in lines}
        written = Counter(line["key"] for line in lines if line["outcome"] == "written")
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        versions = Counter(version["Key"] for page in pages for version in page.get("Versions", []))
        must(versions.keys() == named, f"keys only in the bucket or only in the log: {sorted(versions.keys() ^ named)[:10]}")
        must(set(versions.values()) == {1}, f"objects with several versions: {versions.most_common(10)}")
        must(set(written.values()) == {1}, f"objects written more than once: {written.most_common(10)}")
        must(all(key.startswith(prefix + "dt=") for key in named), f"keys outside {prefix}: {sorted(named)[:5]}")
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.outputs["dynamodb_table_name"])
        claims = {item["claim_id"]["S"] for page in pages for item in page["Items"]}
        archived = {line["claim_id"] for line in lines}
        must(claims <= archived and len(archived - claims) == 1, "claims and log differ by more than the expired claim")
        return f"{len(versions)} objects with one version each, {len(written)} of them logged as `written`; {len(claims)} claims"

    def send(self, body: str) -> str:
        return self.sqs.send_message(QueueUrl=self.outputs["sqs_queue_url"], MessageBody=body)["MessageId"]

    def send_and_wait(self, body: str, outcome: str) -> str:
        id = self.send(body)
        outcomes = until(f"ingest-fn settles {body}", lambda: self.ingest_outcomes().get(id), seconds=30)
        must(outcomes == [outcome], f"{body} has the outcomes {outcomes}, not {outcome}")
        return id

    def depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def claim(self, event_id: str) -> dict[str, str]:
        key = {"pk": {"S": f"EVENT#{event_id}"}, "sk": {"S": "CLAIM"}}
        table = self.outputs["dynamodb_table_name"]
        item = self.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        must(item is not None, f"{event_id} has no claim")
        return {name: item[name]["S"] for name in ("claim_id", "message_id")}

    def archived(self, claim: dict[str, str], lines: int) -> list[str]:
        """Waits until archive-fn has logged `lines` lines about the claim, and returns their outcomes."""

        def outcomes():
            logged = self.log_lines("archive_log_group")
            found = [line["outcome"] for line in logged if line.get("claim_id") == claim["claim_id"]]
            return found if len(found) >= lines else None

        return until(f"archive-fn has {lines} lines on claim {claim['claim_id']}", outcomes, seconds=30)

    def ingest_outcomes(self) -> dict[str, list[str]]:
        """Returns the outcomes of each message by its id, in the order of the log."""
        outcomes: dict[str, list[str]] = {}
        for line in self.log_lines("ingest_log_group"):
            if "message_id" in line:
                outcomes.setdefault(line["message_id"], []).append(line["outcome"])
        return outcomes

    def log_lines(self, group: str) -> list[dict]:
        """Returns the lines that the function itself logged: those that are JSON objects."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=self.outputs[group])
        texts = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(text) for text in texts if text.startswith("{")]
