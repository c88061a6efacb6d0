"""Runs the commands of docs/runbook.md and docs/erasure.md that need a deployed stack, as they are printed there."""

import json
import re
import shutil
import zipfile
from base64 import b64encode
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

from children import run
from deployment import Deployment
from documents import deployed_blocks
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

    def trace_and_replay_need_only_listed_permissions(self, event_id: str) -> str:
        """Runs `trace` on an archived event and `replay` on a deleted object, each under a role with only the listed permissions."""
        names = {name: self.stack.outputs[output] for name, output in NAMES.items()}
        table, bucket, prefix = names["TABLE"], names["BUCKET"], names["PREFIX"]
        may_trace = {
            "dynamodb:GetItem": [table_arn := f"arn:aws:dynamodb:*:*:table/{table}"],
            "s3:ListBucketVersions": [bucket_arn := f"arn:aws:s3:::{bucket}"],
            "s3:GetObject": [objects_arn := f"{bucket_arn}/{prefix}*"],
            "logs:FilterLogEvents": ["arn:aws:logs:*:*:log-group:*"],
            "sqs:GetQueueAttributes": ["arn:aws:sqs:*:*:*"],
            "sqs:ReceiveMessage": ["arn:aws:sqs:*:*:*"],
        }
        may_replay = {
            "dynamodb:DescribeTable": [table_arn],
            "dynamodb:Scan": [table_arn],
            "dynamodb:GetItem": [table_arn],
            "s3:ListBucket": [bucket_arn],
            "s3:PutObject": [objects_arn],
        }
        producer = f'"{self.stack.producer_binary}"'
        trace = f'{producer} trace {event_id} --queue-url "$QUEUE" --dlq-url "$DLQ" --on-failure-url "$ON_FAILURE" --table "$TABLE" \\\n'
        trace += '--bucket "$BUCKET" --object-prefix "$PREFIX" --ingest-log-group "$INGEST_LOG" --archive-log-group "$ARCHIVE_LOG"'
        story = self.shell("trace", trace, **names, **self.operator("trace", may_trace))
        must(story.endswith("the event is archived\n") and "could not read" not in story, f"for an archived event, trace prints {story}")

        key = self.stack.s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}dt=", MaxKeys=1)["Contents"][0]["Key"]
        self.stack.s3.delete_object(Bucket=bucket, Key=key)
        options = '--table "$TABLE" --bucket "$BUCKET" --object-prefix "$PREFIX" --until "$UNTIL"'
        names |= self.operator("replay", may_replay) | {"UNTIL": datetime.now(timezone.utc).isoformat()}
        found = self.shell("replay-dry", f'! "{self.ops}" replay {options}', **names)
        must(": 1 without an object" in found, f"after one object was deleted, replay prints {found}")
        written = self.shell("replay", f'"{self.ops}" replay {options} --write', **names)
        must("1 written, 0 already there" in written, f"after one object was deleted, replay prints {written}")
        must(self.stack.s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0, "replay did not write the deleted object")
        return f"{len(may_trace)} and {len(may_replay)} actions"

    def operator(self, name: str, may: dict[str, list[str]]) -> dict[str, str]:
        """Creates a role with exactly these permissions and returns its credentials. `remove_roles` deletes the role."""
        iam, sts = self.stack.emulator.client("iam"), self.stack.emulator.client("sts")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust]))["Role"]["Arn"]
        self.roles.append(name)
        allowed = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in may.items()]
        iam.put_role_policy(RoleName=name, PolicyName="listed", PolicyDocument=document(allowed))
        session = sts.assume_role(RoleArn=arn, RoleSessionName="operator")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }

    def remove_roles(self) -> None:
        iam = self.stack.emulator.client("iam")
        for name in self.roles:
            iam.delete_role_policy(RoleName=name, PolicyName="listed")
            iam.delete_role(RoleName=name)

    def deployed_commands_work(self) -> str:
        """Rolls a release back and forward, disables and enables a mapping, changes the dedup window, and restores the table."""
        check_out, roll_back, roll_forward, disable, state, enable, window, restore, replay, new_sandboxes = self.blocks
        self.roll_back_and_forward(check_out, roll_back, roll_forward)

        function = self.stack.outputs["ingest_function_name"]
        self.shell("disable", disable, FUNCTION=function)
        until("the mapping is disabled", lambda: self.mapping(function)["State"] == "Disabled", seconds=30)
        printed = self.shell("state", state, FUNCTION=function)
        must("Disabled" in printed, f"the state of a disabled mapping is printed as {printed}")
        self.deployment.set_settings(ingest_enabled=False)
        self.shell("apply-while-disabled", enable, STAGE="dev")
        must(self.mapping(function)["State"] == "Disabled", "an apply enabled the mapping although the settings say that it is disabled")
        self.deployment.set_settings(ingest_enabled=None)
        self.shell("enable", enable, STAGE="dev")
        until("the mapping is enabled", lambda: self.mapping(function)["State"] == "Enabled", seconds=30)

        self.deployment.set_settings(dedup_window_seconds=WINDOW_SECONDS)
        self.shell("window", window, STAGE="dev")
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        must(variables["DEDUP_WINDOW_SECONDS"] == str(WINDOW_SECONDS), f"the function's variables are {variables}")

        table = self.stack.outputs["dynamodb_table_name"]
        self.shell("restore", restore, TABLE=table)
        restored = f"{table}-restored"
        count = lambda name: self.stack.dynamodb.scan(TableName=name, Select="COUNT")["Count"]
        must(count(restored) == count(table) > 0, f"{restored} has {count(restored)} items, and {table} has {count(table)}")
        replayed = replay.replace("cargo run -p ops --", f'"{self.ops}"')
        self.shell("replay-restored", replayed, TABLE=table, BUCKET=self.stack.outputs["s3_bucket_name"], PREFIX=self.stack.outputs["object_prefix"])
        self.stack.dynamodb.delete_table(TableName=restored)

        self.shell("new-sandboxes", self.names + new_sandboxes)
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        must(variables["DEDUP_WINDOW_SECONDS"] == str(WINDOW_SECONDS + 1), f"the function's variables are {variables}")
        return "rolled back and forward, disabled and enabled a mapping, changed the dedup window, restored the table to a new one"

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

    def roll_back_and_forward(self, check_out: str, roll_back: str, roll_forward: str) -> None:
        """Rolls back to a stand-in for the last good release: the same zips with an extra file, which work but have other hashes."""
        last_good, deployed = self.deployment.folder / "last-good", self.hashes()
        # Skips packaging, which takes minutes and has already run in the checkout.
        *check_out, package = check_out.splitlines()
        must(package == '"$LAST_GOOD/scripts/package"', f"the last command of the block must be packaging, not {package}")
        names = {"LAST_GOOD": str(last_good), "GOOD_COMMIT": "HEAD"}
        # Git refuses a checkout that belongs to another user, unless it is declared safe.
        owner = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        self.shell("check-out", "\n".join(check_out), **names, **owner)
        try:
            must((last_good / "scripts/package").is_file(), "the last good release was not checked out")
            good = {}
            for function in deployed:
                zipped = Path("target/lambda", function, "bootstrap.zip")
                (last_good / zipped).parent.mkdir(parents=True)
                shutil.copy(self.deployment.checkout / zipped, last_good / zipped)
                with zipfile.ZipFile(last_good / zipped, "a") as out:
                    out.writestr("release", "the last good one")
                good[function] = b64encode(sha256((last_good / zipped).read_bytes()).digest()).decode()

            self.shell("roll-back", roll_back, **names)
            must(self.hashes() == good != deployed, f"the functions are {self.hashes()}, not {good}")
            self.shell("roll-back-lasts", "terraform -chdir=terraform apply")
            must(self.hashes() == good, "the next apply deployed the bad release again")
            one = {"sent": 50, "claims": 1, "new_claims": 1, "objects": 1}
            self.stack.produce("rolled-back", "--event-id", "rolled-back", expected=one)
        finally:
            self.shell("remove", 'git worktree remove --force "$LAST_GOOD"', **names, **owner)
        self.shell("roll-forward", roll_forward, **names)
        must(self.hashes() == deployed, f"the functions are {self.hashes()}, not {deployed}")

    def hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of each function's zip, as Lambda reports it."""
        name = {"ingest-fn": "ingest_function_name", "archive-fn": "archive_function_name"}
        get = lambda output: self.functions.get_function_configuration(FunctionName=self.stack.outputs[output])
        return {function: get(output)["CodeSha256"] for function, output in name.items()}

    def mapping(self, function: str) -> dict:
        return self.functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"][0]


def document(statements: list[dict]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
