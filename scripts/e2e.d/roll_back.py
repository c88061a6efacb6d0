"""Rolls the functions back to older versions and forward again, with the commands of docs/runbook.md."""

import shutil
import zipfile

from deployment import Deployment
from stack_in_use import StackInUse, must

FUNCTIONS = ("ingest", "archive")


class RollBack:
    """`shell` runs commands as an operator would. It takes the name of a log file, the commands, and environment variables."""

    def __init__(self, deployment: Deployment, stack: StackInUse, shell):
        self.deployment, self.stack, self.shell = deployment, stack, shell
        self.functions = stack.emulator.client("lambda")

    def works(self, names: str, show: str, apply: str, move_alias: str, check_out: str) -> str:
        """Deploys a stand-in for a bad release: the same zips with an extra file, which work but have other hashes."""
        good, good_hashes = self.versions(), self.hashes()
        self.release("bad", {name: {"zip": zipped} for name, zipped in self.bad_zips().items()})
        bad = self.versions()
        must(all(int(bad[name]) > int(good[name]) for name in FUNCTIONS), f"the release published {bad} after {good}")
        must(all(self.hashes()[name] != good_hashes[name] for name in FUNCTIONS), "the release did not deploy its zips")
        listed = [line.split() for line in self.shell("versions", names + show).splitlines()]
        for name in FUNCTIONS:
            function = self.stack.outputs[f"{name}_function_name"]
            row = [line for line in listed if line[:2] == [function, good[name]]]
            must(len(row) == 1 and row[0][-1] == good_hashes[name], f"version {good[name]} of {function} is listed as {row}")

        chosen = {f"GOOD_{name.upper()}": version for name, version in good.items()}
        self.shell("move-alias", names + move_alias, **chosen)
        must(self.versions() == good, f"the alias was moved to {self.versions()}, not to {good}")
        self.deployment.set_settings(**{f"{name}_version": version for name, version in good.items()})
        self.shell("roll-back", apply, STAGE="dev")
        must(self.versions() == good, f"an apply moved the alias to {self.versions()}, although the settings name {good}")
        must(self.hashes() == good_hashes, "the good versions do not have the code of the good release")
        one = {"sent": 50, "claims": 1, "new_claims": 1, "objects": 1}
        self.stack.produce("rolled-back", "--event-id", "rolled-back", expected=one)
        self.only_invoked(good)

        # A release can also come from S3.
        self.release("fixed", self.uploaded())
        must(self.versions() == good, f"a later release moved the alias to {self.versions()}, although the settings name {good}")
        self.deployment.set_settings(ingest_version=None, archive_version=None)
        self.shell("roll-forward", apply, STAGE="dev")
        newest = self.versions()
        must(all(int(newest[name]) > int(bad[name]) for name in FUNCTIONS), f"the newest versions are {newest}, after {bad}")
        must(self.hashes() == good_hashes, "the newest versions do not have the code of the fixed release")
        self.builds_from_a_commit(check_out)
        return f"from {bad} to {good}, and forward to {newest}"

    def is_refused_for(self, setting: str, version: str) -> None:
        """Plans a roll-back of ingest-fn to a version with another value of the setting."""
        self.deployment.set_settings(ingest_version=version)
        output = self.deployment.refused("roll-back-refused", "plan", "-no-color").replace("│", " ")
        must(f"was published with {setting} = " in " ".join(output.split()), f"the plan must be refused because of {setting}:\n{output}")
        self.deployment.set_settings(ingest_version=None)

    def release(self, name: str, code: dict[str, dict]) -> None:
        self.deployment.set_variables(**code)
        self.shell(f"release-{name}", "terraform -chdir=terraform apply -var-file=environments/dev.tfvars")

    def zips(self) -> dict[str, str]:
        return {name: str(self.deployment.checkout / f"target/lambda/{name}-fn/bootstrap.zip") for name in FUNCTIONS}

    def bad_zips(self) -> dict[str, str]:
        bad = {name: self.deployment.folder / f"bad-{name}.zip" for name in FUNCTIONS}
        for name, zipped in self.zips().items():
            shutil.copy(zipped, bad[name])
            with zipfile.ZipFile(bad[name], "a") as out:
                out.writestr("release", "the bad one")
        return {name: str(path) for name, path in bad.items()}

    def uploaded(self) -> dict[str, dict]:
        """Uploads the zips to the bucket of Terraform's state, and returns their places."""
        bucket, code = self.deployment.state_bucket, {}
        for name, zipped in self.zips().items():
            key = f"releases/{name}-fn.zip"
            with open(zipped, "rb") as body:
                version = self.stack.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
            code[name] = {"zip": None, "s3_bucket": bucket, "s3_key": key, "s3_object_version": version}
        return code

    def builds_from_a_commit(self, check_out: str) -> None:
        """Runs the check-out of the runbook, but not the packaging, which takes minutes and has already run in the checkout."""
        last_good = self.deployment.folder / "last-good"
        *check_out_lines, package = check_out.splitlines()
        must(package == '"$LAST_GOOD/scripts/package"', f"the last command of the block must be packaging, not {package}")
        # Git refuses a checkout that belongs to another user, unless it is declared safe.
        owner = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        more = owner | {"LAST_GOOD": str(last_good), "GOOD_COMMIT": "HEAD"}
        self.shell("check-out", "\n".join(check_out_lines), **more)
        try:
            must((last_good / "scripts/package").is_file(), "the last good release was not checked out")
        finally:
            self.shell("remove", 'git worktree remove --force "$LAST_GOOD"', **more)

    def live(self, name: str) -> dict:
        """Returns the configuration of the version that the alias points to. The mapping must invoke the alias."""
        function = self.stack.outputs[f"{name}_function_name"]
        mapping = self.functions.get_event_source_mapping(UUID=self.stack.outputs[f"{name}_mapping_uuid"])
        must(mapping["FunctionArn"].endswith(f":{function}:live"), f"the mapping invokes {mapping['FunctionArn']}")
        return self.functions.get_function_configuration(FunctionName=function, Qualifier="live")

    def versions(self) -> dict[str, str]:
        return {name: self.live(name)["Version"] for name in FUNCTIONS}

    def hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of each function's zip, as Lambda reports it."""
        return {name: self.live(name)["CodeSha256"] for name in FUNCTIONS}

    def only_invoked(self, versions: dict[str, str]) -> None:
        """The emulator logs the version of each invocation, as Lambda does. Of each function, only this version was invoked last."""
        for name, version in versions.items():
            pages = self.stack.logs.get_paginator("filter_log_events").paginate(logGroupName=self.stack.outputs[f"{name}_log_group"])
            messages = [event["message"] for page in pages for event in page["events"]]
            started = [message.split()[-1] for message in messages if message.startswith("START RequestId")]
            must(started[-1] == version, f"the last invocations of {name}-fn were of the versions {started[-10:]}, not {version}")
