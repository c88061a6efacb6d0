"""A stack with a random name and a local state, which is destroyed at the end of the run, also after a failure."""

import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from children import CommandFailed, tail

PROJECT = "first-run"
# Terraform stops after its current request if it is interrupted, and then writes the state. A table takes about a minute.
STOPS_WITHIN_SECONDS = 600


class ThrowawayStack:
    """A copy of the root module in `folder`. Nothing refers to a backend, and no other stack can have the same names."""

    def __init__(self, checkout: Path, folder: Path, account: str, region: str, env: dict, variables: dict):
        self.checkout, self.folder, self.env = checkout, folder, env
        self.stage = secrets.token_hex(3)
        self.bucket = f"{PROJECT}-{self.stage}-ingestion-data-{account}-{region}"
        self.module = folder / self.stage / "terraform"
        self.variables = {
            "region": region,
            "project": PROJECT,
            "stage": self.stage,
            # Without protection, one `terraform destroy` removes the stack with its objects.
            "deletion_protection": False,
            "ingest": {"zip": str(checkout / "target/lambda/ingest-fn/bootstrap.zip")},
            "archive": {"zip": str(checkout / "target/lambda/archive-fn/bootstrap.zip")},
        } | variables

    def destroy_command(self) -> str:
        return f"terraform -chdir={self.module} destroy"

    def prepare(self) -> None:
        skipped = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfvars", "*.tfvars.json", "tests", "examples")
        shutil.copytree(self.checkout / "terraform", self.module, ignore=skipped)
        # Terraform merges override files into the configuration.
        (self.module / "first_run_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        (self.module / "terraform.tfvars.json").write_text(json.dumps(self.variables, indent=2))
        options = ["-input=false", "-no-color", "-lockfile=readonly"]
        found = subprocess.run([self.checkout / "scripts/terraform-plugin-dir"], check=True, capture_output=True, text=True)
        if plugins := found.stdout.strip():
            options.append(f"-plugin-dir={plugins}")
        self.terraform("init", *options)

    def apply(self) -> dict[str, str]:
        """Creates the stack and returns its outputs."""
        self.terraform("apply", "-auto-approve", "-input=false", "-no-color", seconds=1800)
        outputs = json.loads(self.terraform("output", "-json"))
        return {name: output["value"] for name, output in outputs.items()}

    def destroy(self) -> bool:
        """Destroys the stack. Returns true if nothing is left. Ctrl-C has no effect in the meantime."""
        if not self.module.exists() or not list(self.module.glob("terraform.tfstate*")):
            return True
        ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for _ in range(3):
                try:
                    self.terraform("destroy", "-auto-approve", "-input=false", "-no-color", seconds=1800)
                    break
                except CommandFailed as failed:
                    print(f"terraform destroy failed: {failed}", flush=True)
            return not self.terraform("state", "list").strip()
        except CommandFailed as failed:
            print(failed, flush=True)
            return False
        finally:
            for number, handler in ignored.items():
                signal.signal(number, handler)

    def terraform(self, *arguments: str, seconds: float = 300) -> str:
        """Runs a command that must succeed. After Ctrl-C, waits until Terraform has written its state."""
        log = self.module.parent / f"terraform-{arguments[0]}.log"
        env = self.env | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        env.pop("TF_DATA_DIR", None)
        with log.open("wb") as out:
            # In its own session, so that Ctrl-C does not reach the provider's process.
            process = subprocess.Popen(
                ["terraform", *arguments], cwd=self.module, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except BaseException as interrupted:
                print(f"stopping terraform {arguments[0]}, which takes up to {STOPS_WITHIN_SECONDS // 60} minutes", flush=True)
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STOPS_WITHIN_SECONDS)
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                if isinstance(interrupted, subprocess.TimeoutExpired):
                    raise CommandFailed(f"terraform {arguments[0]} did not end within {seconds:.0f} s") from None
                raise
        printed = log.read_text(errors="replace")
        if code != 0:
            raise CommandFailed(f"terraform {arguments[0]} exited with code {code}\n{tail(printed)}")
        return printed
