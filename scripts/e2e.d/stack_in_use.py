"""What the deployed stack must do with messages. Each check says what it showed, or raises."""

import json
from collections import Counter
from pathlib import Path

from children import CommandFailed, run
from emulator import Emulator
from waiting import until

# A body of each kind that ingest-fn rejects.
BAD_BODIES = {
    "no JSON": '{"event_id":',
    "no event id": '{"id":"bad"}',
    "a fraction for an event id": '{"event_id":7.5}',
    "a name twice": '{"event_id":"bad","event_id":"worse"}',
    "an unpaired surrogate": '{"event_id":"\\ud800"}',
    "nesting beyond 128": '{"event_id":"bad","x":' + "[" * 200 + "]" * 200 + "}",
}

# Of what the producer counts.
MUST_BE_NONE = ["unconfirmed", "conflicts", "rejected", "dead_letters", "lost", "extra"]

# The object is there, either way: a first put is `already_there` if its answer was lost and the SDK tried again.
ARCHIVED = {"written", "already_there"}


class Violated(Exception):
    """Something that must hold does not."""


def must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violated(otherwise)


class StackInUse:
    """A deployed stack, known by its outputs."""

    def __init__(self, emulator: Emulator, outputs: dict[str, str], module: Path, producer: Path, folder: Path):
        self.emulator, self.outputs = emulator, outputs
        self.module, self.producer_binary, self.folder = module, producer, folder
        self.sqs, self.s3 = emulator.client("sqs"), emulator.client("s3")
        self.dynamodb, self.logs = emulator.client("dynamodb"), emulator.client("logs")

    def produce(self, name: str, *options: str, expected: dict[str, int]) -> dict:
        """Runs the producer on the Terraform outputs. Its verdict must be `held`, and its numbers as expected."""
        command = [self.producer_binary, "--terraform-dir", self.module, "--json", "--timeout", "150", *options]
        # The verdict comes last, after what it says on the way.
        said = run(command, self.emulator.client_env, self.folder / f"producer-{name}.log", seconds=300)
        reading = json.loads(said[said.index("\n{") :])
        expected = expected | {"verdict": "held"} | dict.fromkeys(MUST_BE_NONE, 0)
        wrong = {name: reading[name] for name in expected if reading[name] != expected[name]}
        must(not wrong, f"of the producer's reading, {expected} was to be, but {wrong} is:\n{said}")
        return reading

    def bad_messages_become_dead_letters(self) -> str:
        url, dlq_url = self.outputs["sqs_queue_url"], self.outputs["sqs_dlq_url"]
        # Three receives are to take seconds, not the nine minutes of three visibility timeouts.
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        good = self.send('{"event_id":"among-bad-ones"}')
        bad = {self.send(body): what for what, body in BAD_BODIES.items()}
        dead: dict[str, str] = {}

        def all_dead() -> bool:
            received = self.sqs.receive_message(QueueUrl=dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=60)
            dead.update({message["MessageId"]: message["Body"] for message in received.get("Messages", [])})
            return len(dead) >= len(bad) and self.depth(url) == 0

        until("the bad messages are dead letters, and the queue is empty", all_dead, seconds=60)
        must(bad.keys() <= dead.keys(), f"the dead letters are {list(dead)}, not those that were bad: {bad}")
        must(set(dead.values()) == set(BAD_BODIES.values()), f"the dead letters are not the bad bodies as sent: {dead}")
        outcomes = self.ingest_outcomes()
        must(outcomes[good] == ["won"], f"a good message among bad ones came to {outcomes[good]}")
        for id, what in bad.items():
            must(outcomes[id] == ["rejected"] * 3, f"{what}: the message came to {outcomes[id]}")
        return f"{len(bad)} kinds of bad messages, each rejected three times; the good one among them was won"

    def batched_claims_left_open(self) -> list[str]:
        """Why batched claims were not inserted, of each request of which some were not."""
        lines = [line for line in self.log_lines("ingest_log_group") if line.get("level") == "WARN"]
        must(all(line["message"] == "batched claims are left open" for line in lines), f"other warnings: {lines[:3]}")
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
        # The update is a MODIFY in the stream, whose object is there already.
        after = self.archived(old, lines=2)[1]
        must(after == "already_there", f"setting `ttl` back came to {after}")
        second = self.send_and_wait(body, "won")
        new = self.claim("expires")
        must(
            (old["message_id"], new["message_id"]) == (first, second) and old["claim_id"] != new["claim_id"],
            f"the claim was not replaced: {old}, then {new}",
        )
        must(self.archived(new, lines=1)[0] in ARCHIVED, "the new claim was not archived")
        return "a duplicate before, a new claim and its own object after; setting `ttl` back was `already_there`"

    def the_archive_log_names_each_object(self) -> str:
        prefix, bucket = self.outputs["object_prefix"], self.outputs["s3_bucket_name"]
        lines = [line for line in self.log_lines("archive_log_group") if "outcome" in line]
        others = {line["outcome"] for line in lines} - ARCHIVED
        must(not others, f"the archive had other outcomes: {others}")
        named = {line["key"] for line in lines}
        written = Counter(line["key"] for line in lines if line["outcome"] == "written")
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        versions = Counter(version["Key"] for page in pages for version in page.get("Versions", []))
        must(versions.keys() == named, f"only in the bucket or only in the log: {sorted(versions.keys() ^ named)[:10]}")
        must(set(versions.values()) == {1}, f"objects of several versions: {versions.most_common(10)}")
        must(set(written.values()) == {1}, f"objects written more than once: {written.most_common(10)}")
        must(all(key.startswith(prefix + "dt=") for key in named), f"keys outside of {prefix}: {sorted(named)[:5]}")
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.outputs["dynamodb_table_name"])
        claims = {item["claim_id"]["S"] for page in pages for item in page["Items"]}
        archived = {line["claim_id"] for line in lines}
        must(claims <= archived and len(archived - claims) == 1, "claims and log differ by more than the expired claim")
        return f"{len(versions)} objects of one version, {len(written)} by a line `written`; {len(claims)} claims"

    def send(self, body: str) -> str:
        return self.sqs.send_message(QueueUrl=self.outputs["sqs_queue_url"], MessageBody=body)["MessageId"]

    def send_and_wait(self, body: str, outcome: str) -> str:
        id = self.send(body)
        outcomes = until(f"ingest-fn settles {body}", lambda: self.ingest_outcomes().get(id), seconds=30)
        must(outcomes == [outcome], f"{body} came to {outcomes}, not to {outcome}")
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
        """What archive-fn said of the claim, once it has said so much."""

        def outcomes():
            said = self.log_lines("archive_log_group")
            found = [line["outcome"] for line in said if line.get("claim_id") == claim["claim_id"]]
            return found if len(found) >= lines else None

        return until(f"archive-fn has {lines} lines on claim {claim['claim_id']}", outcomes, seconds=30)

    def ingest_outcomes(self) -> dict[str, list[str]]:
        """By message id, in the order of the log."""
        outcomes: dict[str, list[str]] = {}
        for line in self.log_lines("ingest_log_group"):
            if "message_id" in line:
                outcomes.setdefault(line["message_id"], []).append(line["outcome"])
        return outcomes

    def log_lines(self, group: str) -> list[dict]:
        """The function's own lines, which are JSON objects."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=self.outputs[group])
        texts = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(text) for text in texts if text.startswith("{")]
