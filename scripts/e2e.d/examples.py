"""Deploys two of Terraform's examples from a Git source, as a repository of someone else would, and uses their stacks side by side."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import quote

from children import Child, CommandFailed, run, tail
from deployment import init_options
from documents import deployed_blocks
from emulator import Emulator
from stack_in_use import must
from waiting import until

# The default of the examples, and not the region of the other steps.
REGION = "eu-west-1"

# From the README of the example `complete`: version 1 of the AWS CLI ignores AWS_ENDPOINT_URL in `aws sqs`.
AWS_FUNCTION = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n'


class Example:
    """A copy of an example. Its module comes from a Git repository, and its state is in its folder."""

    def __init__(self, checkout: Path, name: str, source: str, env: dict[str, str], folder: Path):
        self.name, self.env, self.folder = name, env, folder / name
        hidden = shutil.ignore_patterns(".terraform", "*.tfstate*")
        shutil.copytree(checkout / "terraform/examples" / name, self.folder, ignore=hidden)
        shutil.copy(checkout / "terraform/.terraform.lock.hcl", self.folder)
        main = self.folder / "main.tf"
        text, replaced = re.subn(r'^(\s*source\s*=\s*)"\.\./\.\./modules/pipeline"$', rf'\1"{source}"', main.read_text(), flags=re.M)
        must(replaced == 1, f"{main} must call ../../modules/pipeline once, and does so {replaced} times")
        main.write_text(text)
        self.readme = self.folder / "README.md"

    def init(self, options: list[str]) -> None:
        run(["terraform", "init", *options], self.env, self.folder / "init.log", self.folder)

    def start(self, command: str) -> Child:
        return Child(["terraform", command], self.env, self.folder / f"{command}.log", self.folder)

    def shell(self, name: str, script: str) -> str:
        return run(["bash", "-euo", "pipefail", "-c", AWS_FUNCTION + script], self.env, self.folder / f"{name}.log", self.folder)

    def outputs(self) -> dict:
        outputs = json.loads(self.shell("output", "terraform output -json"))
        return {name: output["value"] for name, output in outputs.items()}


class Examples:
    def __init__(self, checkout: Path, emulator: Emulator, folder: Path):
        self.checkout, self.emulator = checkout, emulator
        folder = folder / "examples"
        folder.mkdir()
        confirm = "-auto-approve -input=false -no-color"
        env = emulator.client_env | {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS_apply": confirm,
            "TF_CLI_ARGS_destroy": confirm,
            "TF_VAR_ingest_zip": str(checkout / "target/lambda/ingest-fn/bootstrap.zip"),
            "TF_VAR_archive_zip": str(checkout / "target/lambda/archive-fn/bootstrap.zip"),
            "TF_VAR_deletion_protection": "false",
            # The emulator does not support PutQueryDefinition.
            "TF_VAR_saved_queries": "{}",
        }
        source = committed(checkout, folder / "source", emulator.client_env)
        # Both examples have a stack of the project "orders", so one of them needs another stage.
        self.complete = Example(checkout, "complete", source, env | {"TF_VAR_stage": "test"}, folder)
        self.two_stacks = Example(checkout, "two-stacks", source, env, folder)
        self.both = [self.complete, self.two_stacks]

    def deploy(self) -> str:
        for example in self.both:
            example.init(init_options(self.checkout))
        self._in_parallel("apply")
        return ", ".join(example.name for example in self.both)

    def destroy(self) -> None:
        self._in_parallel("destroy")

    def _in_parallel(self, command: str) -> None:
        children = [example.start(command) for example in self.both]
        try:
            for child in children:
                if child.wait(300) != 0:
                    raise CommandFailed(f"{child.shown()} failed\n{tail(child.output())}")
        finally:
            for child in children:
                child.stop()

    def complete_works(self) -> str:
        """Runs the commands of the example's README, which send one order three times."""
        must(AWS_FUNCTION in self.complete.readme.read_text(), f"the README does not define the function {AWS_FUNCTION}")
        send, list_lake, show_log = deployed_blocks(self.complete.readme)
        names = send.splitlines()[0] + "\n"
        self.complete.shell("send", send)

        def outcomes() -> list[str]:
            # The emulator ignores this filter pattern, and returns other lines too.
            printed = json.loads(self.complete.shell("log", names + show_log))
            lines = [json.loads(line) for line in printed if line.startswith("{")]
            return sorted(line["outcome"] for line in lines if line.get("event_id") == "o-1")

        until("three messages are settled", lambda: len(outcomes()) == 3, seconds=60)
        must(outcomes() == ["duplicate", "duplicate", "won"], f"the outcomes of three messages are {outcomes()}")
        until("the order is in the lake", lambda: self.complete.shell("list", names + list_lake), seconds=60)
        keys = self.complete.shell("list", names + list_lake).splitlines()
        must(len(keys) == 1 and "raw/orders/dt=" in keys[0] and keys[0].endswith(".json.gz"), f"the lake has the objects {keys}")
        return f"three messages, one pack: {keys[0].split()[-1]}"

    def two_stacks_are_separate(self) -> str:
        """Sends one event to each of the stacks. It must appear there, and nowhere else."""
        outputs = self.two_stacks.outputs()
        queues, buckets = outputs["sqs_queue_urls"], outputs["s3_bucket_names"]
        must(queues.keys() == buckets.keys() == {"orders", "clicks"}, f"the stacks are {sorted(queues)} and {sorted(buckets)}")
        sqs, s3 = self.emulator.client("sqs", region=REGION), self.emulator.client("s3", region=REGION)

        def events(stack: str) -> list[dict]:
            keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=buckets[stack]).get("Contents", [])]
            return [json.loads(s3.get_object(Bucket=buckets[stack], Key=key)["Body"].read())["event"] for key in keys]

        # Both events have both ids, so only the stack decides which of them counts.
        sent = {stack: {"order": {"id": "same"}, "click_id": "same", "stack": stack} for stack in queues}
        for stack in queues:
            sqs.send_message(QueueUrl=queues[stack], MessageBody=json.dumps(sent[stack]))
            until(f"the event is in the lake of {stack}", lambda: events(stack), seconds=60)
        archived = {stack: events(stack) for stack in queues}
        must(archived == {stack: [event] for stack, event in sent.items()}, f"the lakes have the events {archived}")
        return ", ".join(buckets.values())


def committed(checkout: Path, repository: Path, env: dict[str, str]) -> str:
    """Commits the Terraform files of the checkout, with their uncommitted changes, to a new Git repository. Returns the module's source
    with that commit."""
    # Git refuses a checkout that belongs to another user, unless it is declared safe.
    git = ["git", "-c", "safe.directory=*", "-c", "user.name=e2e", "-c", "user.email=e2e@example.invalid"]
    log = repository.parent / "git.log"
    listed = run([*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "terraform/modules"], env, log, checkout)
    for path in filter(None, listed.split("\0")):
        # A file can be deleted, and the deletion not be committed yet.
        if (checkout / path).exists():
            (repository / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / path, repository / path)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "modules"]):
        run([*git, *command], env, log, repository)
    commit = run([*git, "rev-parse", "HEAD"], env, log, repository).strip()
    return f"git::file://{quote(str(repository))}//terraform/modules/pipeline?ref={commit}"
