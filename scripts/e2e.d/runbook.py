"""Runs the commands of docs/runbook.md and docs/erasure.md that need a deployed stack, as they are printed there."""

import json
import re
from datetime import datetime, timezone
from pathlib import Path

from children import run
from deployment import Deployment
from documents import deployed_blocks
from roll_back import RollBack
from stack_in_use import StackInUse, must
from waiting import until

# The variables that the runbook's first block sets for the other blocks, with the Terraform outputs that they hold.
NAMES = {
    "QUEUE": "sqs_queue_url",
    "DLQ": "sqs_dlq_url",
    "ON_FAILURE": "on_failure_queue_url",
    "TABLE": "dynamodb_table_name",
    "BUCKET": "s3_bucket_name",
    "PREFIX": "object_prefix",
    "INGEST_LOG": "ingest_log_group",
    "ARCHIVE_LOG": "archive_log_group",
}
WINDOW_SECONDS = 1468800  # 17 days


class Runbook:
    """The runbook's commands. bash runs them in the folder with the copy of the root module, with an operator's credentials."""

    def __init__(self, deployment: Deployment, stack: StackInUse, ops: Path):
        self.deployment, self.stack, self.ops = deployment, stack, ops
        self.functions = stack.emulator.client("lambda")
        self.roles: list[str] = []
        self.names, *self.blocks = deployed_blocks(deployment.checkout / "docs/runbook.md")

    def shell(self, name: str, script: str, **more: str) -> str:
        env = self.deployment.confirmed_env | more
        command = ["bash", "-euo", "pipefail", "-c", script]
        return run(command, env, self.deployment.folder / f"runbook-{name}.log", self.deployment.folder, seconds=300)

    def names_this_stack(self) -> str:
        printed = self.shell("names", self.names + "\n".join(f'echo "{name}=${name}"' for name in NAMES))
        expected = [f"{name}={self.stack.outputs[output]}" for name, output in NAMES.items()]
        must(printed.splitlines() == expected, f"the variables do not name this stack: {printed}")
        return f"{len(NAMES)} variables"

    def trace_and_replay_work_for_operators(self, event_id: str) -> str:
        """Runs `trace` on an archived event and `replay` on a deleted object, under a role with the operators' policy."""
        names = {name: self.stack.outputs[output] for name, output in NAMES.items()}
        bucket, prefix, policy = names["BUCKET"], names["PREFIX"], self.stack.outputs["operator_policy_json"]
        operator = self.operator("operator", policy)
        producer = f'"{self.stack.producer_binary}"'
        trace = f'{producer} trace {event_id} --queue-url "$QUEUE" --dlq-url "$DLQ" --on-failure-url "$ON_FAILURE" --table "$TABLE" \\\n'
        trace += '--bucket "$BUCKET" --object-prefix "$PREFIX" --ingest-log-group "$INGEST_LOG" --archive-log-group "$ARCHIVE_LOG"'
        story = self.shell("trace", trace, **names, **operator)
        must(story.endswith("the event is archived\n") and "could not read" not in story, f"for an archived event, trace prints {story}")

        key = self.stack.s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}dt=", MaxKeys=1)["Contents"][0]["Key"]
        self.stack.s3.delete_object(Bucket=bucket, Key=key)
        options = '--table "$TABLE" --bucket "$BUCKET" --object-prefix "$PREFIX" --until "$UNTIL"'
        names |= operator | {"UNTIL": datetime.now(timezone.utc).isoformat()}
        found = self.shell("replay-dry", f'! "{self.ops}" replay {options}', **names)
        must(": 1 without an object" in found, f"after one object was deleted, replay prints {found}")
        written = self.shell("replay", f'"{self.ops}" replay {options} --write', **names)
        must("1 written, 0 already there" in written, f"after one object was deleted, replay prints {written}")
        must(self.stack.s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0, "replay did not write the deleted object")
        return f"{len(json.loads(policy)['Statement'])} statements"

    def operator(self, name: str, policy: str) -> dict[str, str]:
        """Returns variables with the credentials of a new role that has exactly this policy."""
        session = self.session(name, policy)
        return {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }

    def session(self, name: str, policy: str) -> dict[str, str]:
        """Creates a role with exactly this policy and returns its credentials. `remove_roles` deletes the role."""
        iam, sts = self.stack.emulator.client("iam"), self.stack.emulator.client("sts")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust]))["Role"]["Arn"]
        self.roles.append(name)
        iam.put_role_policy(RoleName=name, PolicyName="output", PolicyDocument=policy)
        return sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]

    def remove_roles(self) -> None:
        iam = self.stack.emulator.client("iam")
        for name in self.roles:
            iam.delete_role_policy(RoleName=name, PolicyName="output")
            iam.delete_role(RoleName=name)

    def deployed_commands_work(self) -> str:
        """Rolls a release back and forward, disables and enables a mapping, changes the dedup window, and restores the table."""
        disable, enable, show, apply, move_alias, check_out, state, window, restore, replay, new_sandboxes = self.blocks
        roll_back = RollBack(self.deployment, self.stack, self.shell)
        rolled = roll_back.works(self.names, show, apply, move_alias, check_out)

        mapping = self.stack.outputs["ingest_mapping_uuid"]
        self.shell("disable", disable, MAPPING=mapping)
        until("the mapping is disabled", lambda: self.state(mapping) == "Disabled", seconds=30)
        printed = self.shell("state", state, MAPPING=mapping)
        must("Disabled" in printed, f"the state of a disabled mapping is printed as {printed}")
        self.deployment.set_settings(ingest_enabled=False)
        self.shell("apply-while-disabled", enable, STAGE="dev")
        must(self.state(mapping) == "Disabled", "an apply enabled the mapping although the settings say that it is disabled")
        self.deployment.set_settings(ingest_enabled=None)
        self.shell("enable", enable, STAGE="dev")
        until("the mapping is enabled", lambda: self.state(mapping) == "Enabled", seconds=30)

        before = roll_back.versions()["ingest"]
        self.deployment.set_settings(dedup_window_seconds=WINDOW_SECONDS)
        self.shell("window", window, STAGE="dev")
        variables = roll_back.live("ingest")["Environment"]["Variables"]
        must(variables["DEDUP_WINDOW_SECONDS"] == str(WINDOW_SECONDS), f"the function's variables are {variables}")

        roll_back.is_refused_for("DEDUP_WINDOW_SECONDS", version=before)

        table = self.stack.outputs["dynamodb_table_name"]
        self.shell("restore", restore, TABLE=table)
        restored = f"{table}-restored"
        count = lambda name: self.stack.dynamodb.scan(TableName=name, Select="COUNT")["Count"]
        must(count(restored) == count(table) > 0, f"{restored} has {count(restored)} items, and {table} has {count(table)}")
        replayed = replay.replace("cargo run -p ops --", f'"{self.ops}"')
        self.shell("replay-restored", replayed, TABLE=table, BUCKET=self.stack.outputs["s3_bucket_name"], PREFIX=self.stack.outputs["object_prefix"])
        self.stack.dynamodb.delete_table(TableName=restored)

        self.shell("new-sandboxes", self.names + new_sandboxes)
        variables = roll_back.live("ingest")["Environment"]["Variables"]
        must(variables["DEDUP_WINDOW_SECONDS"] == str(WINDOW_SECONDS + 1), f"the function's variables are {variables}")
        return f"rolled back ({rolled}), disabled and enabled a mapping, changed the dedup window, restored the table to a new one"

    def erasure_removes(self, event_id: str) -> str:
        """Runs the commands of docs/erasure.md. Afterwards, neither the table nor the lake has the event."""
        trace, delete_claim, delete_object = deployed_blocks(self.deployment.checkout / "docs/erasure.md")
        names = {name: self.stack.outputs[output] for name, output in NAMES.items()} | {"EVENT_ID": event_id}
        trace = trace.replace("cargo run -p producer --", f'"{self.stack.producer_binary}"')
        printed = self.shell("erase-trace", trace, **names)
        key = re.search(rf"{names['PREFIX']}dt=\S+\.json", printed)
        must(key is not None, f"trace prints no key of an object: {printed}")
        self.shell("erase-claim", delete_claim, **names)
        self.shell("erase-object", delete_object, KEY=key[0], **names)
        item = {"pk": {"S": f"EVENT#{event_id}"}, "sk": {"S": "CLAIM"}}
        must("Item" not in self.stack.dynamodb.get_item(TableName=names["TABLE"], Key=item), "the claim is still there")
        versions = self.stack.s3.list_object_versions(Bucket=names["BUCKET"], Prefix=key[0])
        must("Versions" not in versions and "DeleteMarkers" not in versions, f"versions are still there: {versions}")
        return key[0]

    def state(self, mapping: str) -> str:
        return self.functions.get_event_source_mapping(UUID=mapping)["State"]


def document(statements: list[dict]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
