"""The root module, applied from a copy, so that the checkout stays as it is."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from children import Child, CommandFailed, run, tail
from emulator import Emulator
from waiting import until

# The emulator's answer to DescribeAlarms leaves these out, so that each plan wants to set them again, and each apply to a running
# stack says "13 changed". On AWS they are read back.
LEFT_OUT_OF_ALARMS = {
    "actions_enabled", "alarm_actions", "alarm_description", "dimensions", "ok_actions", "period", "statistic",
    "treat_missing_data",
}


class Deployment:
    """Of `terraform/` in `checkout`, with the functions that `scripts/package` made."""

    def __init__(self, checkout: Path, emulator: Emulator, folder: Path):
        self.checkout, self.emulator, self.folder = checkout, emulator, folder
        self.module = folder / "terraform"
        shutil.copytree(
            checkout / "terraform", self.module, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "tests")
        )
        self.env = emulator.client_env | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        self.variables = {
            "ingest_zip": str(checkout / "target/lambda/ingest-fn/bootstrap.zip"),
            "archive_zip": str(checkout / "target/lambda/archive-fn/bootstrap.zip"),
            # What is optional is there too.
            "glue_database_name": "dynamo_locking_dev",
            "alarm_email": "nobody@example.invalid",
            # The emulator has no PutQueryDefinition.
            "saved_queries": {},
            # So that it can be destroyed with what is in it.
            "deletion_protection": False,
            "force_destroy": True,
        }
        self.set_variables()

    def set_variables(self, **variables: object) -> None:
        """Changes variables. They are in a file, as somebody's would be who keeps a stack: `-var` would come before any other."""
        self.variables |= variables
        (self.module / "terraform.tfvars.json").write_text(json.dumps(self.variables, indent=2))

    def bootstrap(self) -> list[str]:
        """Makes the state bucket. Returns the `terraform init` command that the script says to use."""
        script = self.checkout / "scripts/bootstrap-backend.sh"
        said = run([script], self.env, self.folder / "bootstrap.log")
        commands = [line.strip() for line in said.splitlines() if line.strip().startswith("terraform")]
        bucket = [part for part in shlex.split(commands[-1]) if "bucket=" in part] if commands else []
        if not bucket:
            raise CommandFailed(f"{script.name} printed no terraform init command with a bucket:\n{tail(said)}")
        self.state_bucket = bucket[0].partition("bucket=")[2]
        return shlex.split(commands[-1])

    def init(self, command: list[str]) -> None:
        """Runs the init command, with the provider from a folder if this machine has one."""
        found = subprocess.run(
            [self.checkout / "scripts/terraform-plugin-dir"], check=True, capture_output=True, text=True
        )
        options = ["-input=false", "-no-color", "-lockfile=readonly"]
        if plugins := found.stdout.strip():
            options.append(f"-plugin-dir={plugins}")
        run([*command, *options], self.env, self.folder / "init.log", self.folder)

    def terraform(self, name: str, *arguments: str) -> Child:
        """Starts a command; `name` is its log's."""
        command = ["terraform", *arguments]
        return Child(command, self.env, self.folder / f"{name}.log", self.module)

    def applying(self, name: str) -> Child:
        return self.terraform(name, "apply", "-auto-approve", "-input=false", "-no-color")

    def must(self, child: Child, seconds: float = 300) -> str:
        code = child.wait(seconds)
        if code != 0:
            raise CommandFailed(f"{child.shown()} ended with exit code {code}\n{tail(child.output())}")
        return child.output()

    def apply_while_another_is_locked_out(self) -> str:
        """Applies; and while that holds the state's lock, a second apply must be refused. Returns why it was."""
        first = self.applying("apply")
        try:
            until("the first apply holds the lock", self._is_locked, seconds=60)
            second = self.applying("apply-second")
            code = second.wait(60)
            if not first.is_running():
                self.must(first)
                raise CommandFailed("the first apply ended before the second was judged")
            refused = [line for line in second.output().splitlines() if "Error acquiring the state lock" in line]
            if code == 0 or not refused:
                raise CommandFailed(f"a second apply was not locked out (exit code {code})\n{tail(second.output())}")
            self.must(first)
        finally:
            first.stop()
        if self._is_locked():
            raise CommandFailed("the lock is still held after the apply")
        return refused[0].strip("│╷ ")

    def _is_locked(self) -> bool:
        listed = self.emulator.client("s3").list_objects_v2(Bucket=self.state_bucket).get("Contents", [])
        return any(entry["Key"].endswith(".tflock") for entry in listed)

    def planned_changes(self, name: str) -> tuple[set[str], int]:
        """Plans. Returns the addresses of what the plan would change, and of how many resources it cannot be told."""
        saved = self.folder / f"{name}.tfplan"
        options = ["-input=false", "-no-color", f"-out={saved}"]
        self.must(self.terraform(name, "plan", *options))
        plan = json.loads(self.must(self.terraform(f"{name}-json", "show", "-json", str(saved))))
        changes = [change for change in plan["resource_changes"] if change["change"]["actions"] != ["no-op"]]
        outputs = [name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
        excused = [change for change in changes if is_left_out(change)]
        return {change["address"] for change in changes if change not in excused} | set(outputs), len(excused)

    def apply_saved(self, name: str) -> None:
        saved = self.folder / f"{name}.tfplan"
        self.must(self.terraform(f"{name}-apply", "apply", "-input=false", "-no-color", str(saved)))

    def destroy(self) -> None:
        options = ["-auto-approve", "-input=false", "-no-color"]
        self.must(self.terraform("destroy", "destroy", *options))

    def outputs(self) -> dict[str, str]:
        said = json.loads(self.must(self.terraform("output", "output", "-json")))
        return {name: output["value"] for name, output in said.items()}


def is_left_out(change: dict) -> bool:
    """It is an alarm of which nothing is to change but what the emulator does not describe."""
    before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
    differs = {name for name in before | after if before.get(name) != after.get(name)}
    return change["type"] == "aws_cloudwatch_metric_alarm" and bool(before and after) and differs <= LEFT_OUT_OF_ALARMS
