"""Applies a copy of the root module, so that the checkout stays unchanged."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import documents
from children import Child, CommandFailed, run, tail
from emulator import Emulator
from waiting import until

# The emulator's answer to DescribeAlarms lacks these fields. So each plan wants to set them again, and each apply to a running stack
# reports "13 changed". AWS returns these fields.
UNDESCRIBED_ALARM_FIELDS = {
    "actions_enabled", "alarm_actions", "alarm_description", "dimensions", "ok_actions", "period", "statistic",
    "treat_missing_data",
}


class Deployment:
    """A deployment of `terraform/` in `checkout`, with the zips that `scripts/package` built."""

    def __init__(self, checkout: Path, emulator: Emulator, folder: Path):
        self.checkout, self.emulator, self.folder = checkout, emulator, folder
        self.module = folder / "terraform"
        shutil.copytree(
            checkout / "terraform", self.module, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "tests")
        )
        # The commands in the documents ask a person to confirm. These options answer the question.
        confirm = "-auto-approve -input=false -no-color"
        self.env = emulator.client_env | {
            "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_CLI_ARGS_destroy": confirm,
        }
        self.confirmed_env = self.env | {"TF_CLI_ARGS_apply": confirm}
        self.variables = {
            "ingest_zip": str(checkout / "target/lambda/ingest-fn/bootstrap.zip"),
            "archive_zip": str(checkout / "target/lambda/archive-fn/bootstrap.zip"),
            # Deploys the optional resources too.
            "glue_database_name": "dynamo_locking_dev",
            "alarm_email": "nobody@example.invalid",
            # The emulator does not support PutQueryDefinition.
            "saved_queries": {},
        }
        self.set_variables()

    def set_variables(self, **variables: object) -> None:
        """Changes variables. They are in a file, because `-var` would override the variable files that the runbook's commands write."""
        self.variables |= variables
        (self.module / "terraform.tfvars.json").write_text(json.dumps(self.variables, indent=2))

    def bootstrap(self) -> list[str]:
        """Creates the state bucket. Returns the `terraform init` command that the script prints."""
        printed = run(["bash", "-c", documents.BOOTSTRAP], self.env, self.folder / "bootstrap.log", self.checkout)
        commands = [line.strip() for line in printed.splitlines() if line.strip().startswith("terraform")]
        bucket = [part for part in shlex.split(commands[-1]) if "bucket=" in part] if commands else []
        if not bucket:
            raise CommandFailed(f"{documents.BOOTSTRAP} printed no `terraform init` command with a bucket:\n{tail(printed)}")
        self.state_bucket = bucket[0].partition("bucket=")[2]
        return shlex.split(commands[-1])

    def init(self, command: list[str]) -> None:
        """Runs the init command, with the provider from a local folder if this machine has one."""
        found = subprocess.run(
            [self.checkout / "scripts/terraform-plugin-dir"], check=True, capture_output=True, text=True
        )
        options = ["-input=false", "-no-color", "-lockfile=readonly"]
        if plugins := found.stdout.strip():
            options.append(f"-plugin-dir={plugins}")
        run([*command, *options], self.env, self.folder / "init.log", self.folder)

    def terraform(self, name: str, *arguments: str) -> Child:
        """Starts a Terraform command. `name` is the name of its log file."""
        command = ["terraform", *arguments]
        return Child(command, self.env, self.folder / f"{name}.log", self.module)

    def applying(self, name: str) -> Child:
        """Starts the apply command that the documents print."""
        return Child(["bash", "-c", documents.APPLY], self.confirmed_env, self.folder / f"{name}.log", self.folder)

    def must(self, child: Child, seconds: float = 300) -> str:
        code = child.wait(seconds)
        if code != 0:
            raise CommandFailed(f"{child.shown()} exited with code {code}\n{tail(child.output())}")
        return child.output()

    def apply_while_another_is_locked_out(self) -> str:
        """Applies the module. Checks that a second apply fails while the first one holds the lock, and returns its error."""
        first = self.applying("apply")
        try:
            until("the first apply holds the lock", self._is_locked, seconds=60)
            second = self.applying("apply-second")
            code = second.wait(60)
            if not first.is_running():
                self.must(first)
                raise CommandFailed("the first apply ended before the second one could fail")
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
        """Runs a plan. Returns the addresses of the changes, and the number of ignored changes of alarms."""
        saved = self.folder / f"{name}.tfplan"
        options = ["-input=false", "-no-color", f"-out={saved}"]
        self.must(self.terraform(name, "plan", *options))
        plan = json.loads(self.must(self.terraform(f"{name}-json", "show", "-json", str(saved))))
        changes = [change for change in plan["resource_changes"] if change["change"]["actions"] != ["no-op"]]
        outputs = [name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
        excused = [change for change in changes if is_emulator_gap(change)]
        return {change["address"] for change in changes if change not in excused} | set(outputs), len(excused)

    def apply_saved(self, name: str) -> None:
        saved = self.folder / f"{name}.tfplan"
        self.must(self.terraform(f"{name}-apply", "apply", "-input=false", "-no-color", str(saved)))

    def destroy(self) -> None:
        """Destroys the stack with the two commands that terraform/README.md prints. The first one ends the protection of the table."""
        for name, command in {"unprotect": documents.UNPROTECT, "destroy": documents.DESTROY}.items():
            run(["bash", "-c", command], self.confirmed_env, self.folder / f"{name}.log", self.folder, seconds=300)

    def outputs(self) -> dict[str, str]:
        outputs = json.loads(self.must(self.terraform("output", "output", "-json")))
        return {name: output["value"] for name, output in outputs.items()}


def is_emulator_gap(change: dict) -> bool:
    """True if the change only sets fields of an alarm that the emulator does not return."""
    before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
    differs = {name for name in before | after if before.get(name) != after.get(name)}
    return change["type"] == "aws_cloudwatch_metric_alarm" and bool(before and after) and differs <= UNDESCRIBED_ALARM_FIELDS
