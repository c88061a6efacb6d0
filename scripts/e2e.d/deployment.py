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

# The emulator's answers lack these fields. So each plan wants to set them again, and each apply to a running stack reports a change of
# each alarm and of the stream mapping. AWS returns these fields.
UNDESCRIBED_FIELDS = {
    "aws_cloudwatch_metric_alarm": {
        "actions_enabled", "alarm_actions", "alarm_description", "dimensions", "ok_actions", "period", "statistic",
        "treat_missing_data",
    },
    "aws_lambda_event_source_mapping": {"metrics_config"},
}


class Deployment:
    """A deployment of `terraform/` in `checkout`, with the zips that `scripts/package` built."""

    def __init__(self, checkout: Path, emulator: Emulator, folder: Path):
        self.checkout, self.emulator, self.folder = checkout, emulator, folder
        self.module = folder / "terraform"
        shutil.copytree(
            checkout / "terraform", self.module, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "tests", "examples")
        )
        # The commands in the documents ask a person to confirm. These options answer the question.
        confirm = "-auto-approve -input=false -no-color"
        self.env = emulator.client_env | {
            "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_CLI_ARGS_destroy": confirm,
        }
        self.confirmed_env = self.env | {"TF_CLI_ARGS_apply": confirm}
        self.variables = {
            "ingest": {"zip": str(checkout / "target/lambda/ingest-fn/bootstrap.zip")},
            "archive": {"zip": str(checkout / "target/lambda/archive-fn/bootstrap.zip")},
            # Deploys the optional resources too.
            "glue_database_name": "dynamo_locking_dev",
            "alarms": {"email": "nobody@example.invalid"},
            # The emulator does not support PutQueryDefinition.
            "saved_queries": {},
        }
        self.set_variables()
        # Has the path that the commands in the documents name.
        self.settings_file = self.module / "environments/dev.tfvars"
        self.settings, self.default_settings = {}, self.settings_file.read_text()

    def set_variables(self, **variables: object) -> None:
        """Changes variables, or the given attributes of variables that are objects. They are in a file, because `-var` would override
        the variable files that the runbook's commands write."""
        for name, value in variables.items():
            self.variables[name] = self.variables.get(name, {}) | value if isinstance(value, dict) else value
        (self.module / "terraform.tfvars.json").write_text(json.dumps(self.variables, indent=2))

    def set_settings(self, **settings: object) -> None:
        """Adds settings to the settings file, as an operator would edit it. None removes a setting."""
        self.settings = {name: value for name, value in (self.settings | settings).items() if value is not None}
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in self.settings.items()]
        self.settings_file.write_text(self.default_settings + "".join(lines))

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
        run([*command, *init_options(self.checkout)], self.env, self.folder / "init.log", self.folder)

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
        """Runs a plan. Returns the addresses of the changes, and the number of resources whose changes are ignored."""
        saved = self.folder / f"{name}.tfplan"
        options = ["-input=false", "-no-color", f"-out={saved}", f"-var-file={self.settings_file}"]
        self.must(self.terraform(name, "plan", *options))
        plan = json.loads(self.must(self.terraform(f"{name}-json", "show", "-json", str(saved))))
        changes = [change for change in plan["resource_changes"] if change["change"]["actions"] != ["no-op"]]
        outputs = [name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
        excused = [change for change in changes if is_emulator_gap(change)]
        # A new resource has not been read back yet.
        existing = [change for change in plan["resource_changes"] if change["change"]["before"]]
        undescribed = [change for change in existing if has_undescribed_fields(change)]
        if excused != undescribed:
            differ = sorted(change["address"] for change in excused + undescribed if change not in excused or change not in undescribed)
            raise CommandFailed(f"the plan changes other fields than those that the emulator does not return: {differ}")
        return {change["address"] for change in changes if change not in excused} | set(outputs), len(excused)

    def apply_saved(self, name: str) -> None:
        saved = self.folder / f"{name}.tfplan"
        self.must(self.terraform(f"{name}-apply", "apply", "-input=false", "-no-color", str(saved)))

    def refused(self, name: str, *arguments: str) -> str:
        """Runs a Terraform command that must fail. Returns its output."""
        # The settings file comes first, because Terraform uses the last value of a variable.
        command = ["terraform", arguments[0], "-input=false", "-no-color", f"-var-file={self.settings_file}", *arguments[1:]]
        child = Child(command, self.confirmed_env, self.folder / f"{name}.log", self.module)
        if child.wait(300) == 0:
            raise CommandFailed(f"{child.shown()} was not refused\n{tail(child.output())}")
        return child.output()

    def state(self, name: str) -> dict:
        """Returns the state without the results of checks, which Terraform writes in any order."""
        state = json.loads(self.must(self.terraform(name, "state", "pull")))
        return {key: value for key, value in state.items() if key != "check_results"}

    def destroy(self) -> str:
        """Destroys the stack with the three commands that terraform/README.md prints. Checks before each of the last two that protection
        would come back with the next apply."""
        guard, storage = "module.pipeline.terraform_data.protected_see_readme_destroy[0]", "module.pipeline.module.storage"
        table, bucket = f"{storage}.aws_dynamodb_table.claims", f"{storage}.aws_s3_bucket.lake"
        self._run_printed("remove-guard", documents.REMOVE_GUARD)
        self._must_plan("plan-guard-again", {guard})
        self._run_printed("unprotect", documents.UNPROTECT)
        self._must_plan("plan-protection-again", {guard, table, bucket})
        self._run_printed("destroy", documents.DESTROY)
        return "the guard, then also the table and the bucket"

    def _run_printed(self, name: str, command: str) -> None:
        run(["bash", "-c", command], self.confirmed_env, self.folder / f"{name}.log", self.folder, seconds=300)

    def _must_plan(self, name: str, expected: set[str]) -> None:
        changes, _ = self.planned_changes(name)
        if changes != expected:
            raise CommandFailed(f"the plan changes {sorted(changes)}, not {sorted(expected)}")

    def outputs(self) -> dict[str, str]:
        outputs = json.loads(self.must(self.terraform("output", "output", "-json")))
        return {name: output["value"] for name, output in outputs.items()}


def has_undescribed_fields(change: dict) -> bool:
    """True if the resource has a field that the emulator does not return."""
    after = change["change"]["after"] or {}
    return any(after.get(name) for name in UNDESCRIBED_FIELDS.get(change["type"], ()))


def init_options(checkout: Path) -> list[str]:
    """Returns options of `terraform init`. They take the provider from a local folder if this machine has one."""
    found = subprocess.run([checkout / "scripts/terraform-plugin-dir"], check=True, capture_output=True, text=True)
    plugins = found.stdout.strip()
    return ["-input=false", "-no-color", "-lockfile=readonly", *([f"-plugin-dir={plugins}"] if plugins else [])]


def is_emulator_gap(change: dict) -> bool:
    """True if the change only sets fields that the emulator does not return."""
    before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
    differs = {name for name in before | after if before.get(name) != after.get(name)}
    return bool(before and after) and differs <= UNDESCRIBED_FIELDS.get(change["type"], set())
