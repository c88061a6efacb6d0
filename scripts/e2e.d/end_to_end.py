"""The end-to-end test: see scripts/e2e."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import documents
import examples
import slips
from children import tail
from deployment import Deployment
from emulator import Emulator, NotLoopback, loopback_endpoint
from feeds import Feeds
from permission_probes import probe_producers, probe_roles
from runbook import Runbook
from stack_in_use import StackInUse, must

CHECKOUT = Path(__file__).resolve().parents[2]
UNUSABLE = 2
PIPELINE = "module.pipeline.module"
# The changes of a plan that publishes a version of ingest-fn. The last one is an output.
NEW_VERSION = [f"{PIPELINE}.compute.aws_lambda_function.ingest", f"{PIPELINE}.compute.aws_lambda_alias.ingest", "ingest_version"]


def main() -> int:
    arguments = argparse.ArgumentParser(description="Deploys the stack into an emulator on loopback and uses it.")
    endpoint_help = "Endpoint on which the emulator listens [default: AWS_ENDPOINT_URL, else a free port]"
    arguments.add_argument("--endpoint", help=endpoint_help)
    try:
        endpoint = loopback_endpoint(arguments.parse_args().endpoint or os.environ.get("AWS_ENDPOINT_URL"))
    except NotLoopback as problem:
        print(f"error: {problem}", file=sys.stderr)
        return UNUSABLE
    # SIGTERM also ends the processes that this script started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated by SIGTERM"))

    producer, ops = build("producer", "ops")
    folder = CHECKOUT / "target/e2e/run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    emulator = Emulator(endpoint, folder)
    try:
        exercise(emulator, producer, ops, folder)
    except BaseException:
        show_logs(emulator, folder)
        raise
    finally:
        emulator.process.stop()
    return 0


def exercise(emulator: Emulator, producer: Path, ops: Path, folder: Path) -> None:
    """Runs the steps. Each one shows one property and prints a line about it."""
    step = Steps()
    emulator.wait_until_ready()
    step.shows("the emulator listens on loopback, with TLS and IAM", emulator.endpoint)

    step.shows("this test runs each command that the READMEs print", documents.print_only_known_commands(CHECKOUT))
    deployment = Deployment(CHECKOUT, emulator, folder)
    init = deployment.bootstrap()
    must(deployment.bootstrap() == init, "the bootstrap script prints another command if the state bucket exists")
    step.shows("the bootstrap script creates the state bucket and can run again", " ".join(init))
    deployment.init(init)
    before = emulator.inventory()
    step.shows("the printed terraform init command works, and leaves the lock file unchanged")
    why = deployment.apply_while_another_is_locked_out()
    deployed = emulator.inventory()
    must(before < deployed, "the apply created nothing")
    step.shows("terraform apply creates the stack, and the lock keeps out a second apply", why)
    changes, excused = deployment.planned_changes("plan")
    must(not changes, f"a second plan would change {sorted(changes)}")
    ignored = f"except {excused} resources, which the emulator does not describe in full"
    step.shows("a second plan changes nothing", ignored)

    stack = StackInUse(emulator, deployment.outputs(), deployment.module, producer, folder)
    one = {"sent": 50, "claims": 1, "objects": 1, "object_versions": 1}
    herd = stack.produce("herd", expected=one)
    # There may be more than 49 duplicates: if an answer was lost and the SDK repeated the send, the queue has both messages, and either
    # may win.
    must(herd["new_claims"] + herd["duplicates"] == 50, f"of 50 messages, not every one won or was a duplicate: {herd}")
    step.shows("a herd of one event becomes one object", shown(herd))
    again = stack.produce("again", expected=one | {"new_claims": 0, "duplicates": 50})
    step.shows("all messages of a repeated herd are duplicates", shown(again))
    step.shows("the producer's command works as printed", stack.produce_as_printed(documents.PRODUCE))
    thousand = {"sent": 1000, "claims": 1000, "objects": 1000, "object_versions": 1000}
    options = ["--messages", "1000", "--distinct", "--event-id", "distinct"]
    distinct = stack.produce("distinct", *options, expected=thousand)
    step.shows("a thousand events become a thousand objects", shown(distinct))
    step.shows("bad messages become dead letters", stack.bad_messages_become_dead_letters())

    deployment.set_variables(ingest={"claim_cache_entries": 0})
    changes, _ = deployment.planned_changes("plan-cache-off")
    expected = {f"{PIPELINE}.messaging.aws_sqs_queue.queue", *NEW_VERSION}
    must(changes == expected, f"the plan changes {sorted(changes)}, not {sorted(expected)}")
    deployment.apply_saved("plan-cache-off")
    step.shows("a plan finds a manual change and a changed variable, and nothing else", ", ".join(sorted(changes)))
    deployment.set_variables(ingest={"claim_writes": "batch"})
    changes, _ = deployment.planned_changes("plan-batched")
    expected = {f"{PIPELINE}.iam.aws_iam_role_policy.ingest", *NEW_VERSION}
    must(changes == expected, f"the plan changes {sorted(changes)}, not {sorted(expected)}")
    deployment.apply_saved("plan-batched")
    twice = {"sent": 200, "claims": 100, "objects": 100, "object_versions": 100}
    options = ["--messages", "100", "--distinct", "--copies", "2", "--event-id", "batched"]
    denied = stack.produce("batched-denied", *options, expected=twice)
    why = stack.unconfirmed_batched_claims()
    # The emulator checks PartiQL requests against an action name that AWS does not have, so it denies them. Its stream has no records
    # of PartiQL inserts either.
    must(why and all("AccessDenied" in error for error in why), f"batched claims stayed unconfirmed because of {why}")
    step.shows("if batched claims are denied, each event is claimed by a put, and a warning says why", shown(denied))
    step.shows("an expired claim is claimed again", stack.an_expired_claim_is_claimed_again())
    step.shows("the archive's log names each object", stack.the_archive_log_names_each_object())
    probed = probe_roles(emulator, stack.outputs, other_bucket=deployment.state_bucket)
    step.shows("each role may do its work and nothing else", probed)
    runbook = Runbook(deployment, stack, ops)
    step.shows("the runbook sets the names of this stack", runbook.names_this_stack())
    policy = runbook.trace_and_replay_work_for_operators("grid_stress_999")
    step.shows("trace and replay work with exactly the operators' policy", policy)
    producers = runbook.session("producer", stack.outputs["producer_policy_json"])
    step.shows("a role with the producers' policy may only send", probe_producers(emulator, stack.outputs, producers))
    step.shows("the runbook's commands work as printed", runbook.deployed_commands_work())
    step.shows("the commands for erasure remove an event", runbook.erasure_removes("rolled-back"))
    runbook.remove_roles()

    feeds = Feeds(deployment, stack)
    step.shows("SNS and EventBridge can be connected to the queue", feeds.connect())
    step.shows("an event from either of them is archived once", feeds.events_are_archived_once())
    feeds.remove()

    # The producer's events do not have the dedup key of the feeds.
    deployment.set_variables(lake_layout="packs", dedup_key="/event_id")
    changes, _ = deployment.planned_changes("plan-packs")
    expected = {
        f"{PIPELINE}.messaging.aws_sqs_queue.queue",
        f"{PIPELINE}.compute.aws_lambda_event_source_mapping.ingest",
        f'{PIPELINE}.observability.aws_cloudwatch_metric_alarm.math["nothing-written"]',
        "dedup_key",
        "lake_layout",
        "visibility_timeout_seconds",
        *NEW_VERSION,
    }
    must(changes == expected, f"the plan changes {sorted(changes)}, not {sorted(expected)}")
    deployment.apply_saved("plan-packs")
    options = ["--messages", "1000", "--distinct", "--event-id", "packed"]
    # The number of packs depends on how many messages the emulator finds at each poll: it has no batching window.
    packed = stack.produce("packed", *options, expected={"sent": 1000, "claims": 1000, "archived": 1000, "objects": 0})
    must(0 < packed["packs"] < 1000, f"a thousand events are in {packed['packs']} packs")
    step.shows("with packs, a thousand events become fewer objects", f"{shown(packed)}, {packed['packs']} packs")
    again = stack.produce("packed-again", *options, expected={"new_claims": 0, "duplicates": 1000, "packs": packed["packs"]})
    step.shows("all messages of packed events are duplicates when they are sent again", shown(again))

    step.shows("slips that would delete or replace the stack are refused, and change nothing", slips.are_refused(deployment, stack))

    protected_again = deployment.destroy()
    left = emulator.inventory() - before
    must(not left, f"left behind: {sorted(left)}")
    step.shows("until the destroy, the next apply would protect the stack again", protected_again)
    step.shows("terraform destroy leaves nothing", f"all {len(deployed - before)} resources are gone")

    before = emulator.inventory(examples.REGION)
    deployed_examples = examples.Examples(CHECKOUT, emulator, folder)
    step.shows("two examples deploy from a Git source, at the same time", deployed_examples.deploy())
    step.shows("the commands of an example's README work as printed", deployed_examples.complete_works())
    step.shows("of two stacks in one state, each archives only its own events", deployed_examples.two_stacks_are_separate())
    deployed_examples.destroy()
    left = emulator.inventory(examples.REGION) - before
    must(not left, f"left behind by the examples: {sorted(left)}")
    step.shows("one terraform destroy removes each example, because neither is protected")


def shown(reading: dict) -> str:
    return ", ".join(f"{reading[name]} {name}" for name in ("sent", "new_claims", "duplicates", "objects"))


class Steps:
    """Prints what a step has shown, and how long it took."""

    def __init__(self):
        self.began = time.monotonic()

    def shows(self, what: str, detail: str = "") -> None:
        now = time.monotonic()
        print(f"ok {now - self.began:6.1f} s  {what}{': ' if detail else ''}{detail}", flush=True)
        self.began = now


def build(*names: str) -> list[Path]:
    # Uses the same flags as `cargo test --workspace`, so that cargo builds nothing twice.
    subprocess.run(["cargo", "build", "--locked", "--workspace", "--bins", "--tests"], cwd=CHECKOUT, check=True)
    return [CHECKOUT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / name for name in names]


def show_logs(emulator: Emulator, folder: Path) -> None:
    """Prints the end of the emulator's log, which contains the functions' log lines too. The error has the output of the failed step."""
    print(f"\nThe end of the emulator's log; all logs are in {folder}:\n", file=sys.stderr)
    if emulator.log.exists():
        print(tail(emulator.log.read_text(errors="replace"), lines=80), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
