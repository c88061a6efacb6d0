"""A first run on a real account: see scripts/first-run."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# The emulator, child processes and waiting are those of the end-to-end test.
sys.path.insert(0, str(CHECKOUT / "scripts/e2e.d"))

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from checks import AWS_PATIENCE, EMULATOR_PATIENCE, UNCHECKED, WRONG, Checks, Result
from children import CommandFailed
from emulator import REGION, Emulator, loopback_endpoint
from throwaway_stack import ThrowawayStack

UNUSABLE, LEFT_BEHIND = 2, 3

# The items of a run with their prices in us-east-1 (producer/src/prices.rs), rounded up. Monthly prices are for two hours.
COST = [
    ("SQS: 20,000 requests, most of them polls", 20_000 * 0.40e-6),
    ("DynamoDB: 3,000 writes", 3_000 * 0.625e-6),
    ("S3: 2,000 requests that write or list", 2_000 * 5.00e-6),
    ("Lambda: 5,000 invocations of 0.2 s with 256 MB", 5_000 * (0.20e-6 + 0.2 * 0.25 * 0.000_016_666_7)),
    ("CloudWatch: 20 MB of log lines", 0.02 * 0.50),
    ("X-Ray: 5,000 traces", 5_000 * 5.00e-6),
    ("CloudWatch: metrics, alarms and a dashboard, 10 USD a month", 10 * 2 / 730),
]

# The emulator's known gaps, by check. There, a check that fails because of one shows nothing.
EMULATOR_GAPS = {
    "alarm": "the emulator evaluates no alarms",
    "metrics": "the emulator has no metrics of AWS's services",
    "partial_response": "the emulator ignores partial batch responses of a stream",
    "record_age": "the emulator discards records only if a whole invocation fails",
    "bisection": "the emulator does not split batches",
}


class Refused(Exception):
    """The run must not start."""


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated by SIGTERM"))
    folder = CHECKOUT / "target/first-run"
    folder.mkdir(parents=True, exist_ok=True)
    emulator = None
    try:
        for function in ("ingest-fn", "archive-fn"):
            if not (CHECKOUT / "target/lambda" / function / "bootstrap.zip").exists():
                raise Refused(f"target/lambda/{function}/bootstrap.zip does not exist: run scripts/package first")
        env = dict(os.environ)
        if options.emulator:
            scratch = folder / "emulator"
            shutil.rmtree(scratch, ignore_errors=True)
            emulator = Emulator(loopback_endpoint(None), scratch)
            emulator.wait_until_ready()
            # boto3 and Terraform find the emulator by these variables.
            env = emulator.client_env
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
        env |= {"AWS_REGION": options.region, "AWS_DEFAULT_REGION": options.region}
        return on_account(options, env, folder)
    except (Refused, BotoCoreError, ClientError) as problem:
        print(f"scripts/first-run: {problem}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("scripts/first-run: interrupted before the stack was created", file=sys.stderr)
        return UNUSABLE
    finally:
        if emulator is not None:
            emulator.process.stop()


def parse() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(
        prog="scripts/first-run", description="Deploys a throw-away stack, checks it, destroys it, and prints the results as Markdown.",
        epilog="Exit codes: 0 no check failed, 1 a check failed, 2 the run did not start, 3 a part of the stack is left.",
    )
    arguments.add_argument("--account", metavar="ID", help="AWS account in which the stack is created (required)")
    arguments.add_argument("--region", help="region in which the stack is created (required)")
    arguments.add_argument("--yes", action="store_true", help="create the stack without asking")
    arguments.add_argument("--report", type=Path, metavar="FILE", help="also write the results to this file")
    arguments.add_argument("--emulator", action="store_true", help="use the emulator of scripts/e2e in place of AWS")
    arguments.add_argument("--packs", action="store_true", help='deploy the stack with lake_layout = "packs"')
    options = arguments.parse_args()
    if options.emulator:
        options.account, options.region = options.account or "000000000000", options.region or REGION
    if not options.account or not options.region:
        arguments.error("--account and --region are required, so that the stack cannot go to another account by mistake")
    if not re.fullmatch(r"\d{12}", options.account):
        arguments.error("--account must have 12 digits")
    return options


def on_account(options: argparse.Namespace, env: dict, folder: Path) -> int:
    session = boto3.Session(region_name=options.region)
    account = session.client("sts").get_caller_identity()["Account"]
    if account != options.account:
        raise Refused(f"the credentials are those of account {account}, not of {options.account}")
    # The emulator has no Logs Insights queries.
    variables = {"saved_queries": {}} if options.emulator else {}
    if options.packs:
        variables["lake_layout"] = "packs"
    stack = ThrowawayStack(CHECKOUT, folder, account, options.region, env, variables)
    if exists(session.client("s3"), stack.bucket):
        raise Refused(f"the bucket {stack.bucket} exists already: run the command again, which takes another name")
    confirm(options, stack)
    producer = build_producer()
    began, results, problem = time.monotonic(), [], None
    try:
        stack.prepare()
        print("creating the stack", flush=True)
        outputs = stack.apply()
        gaps = EMULATOR_GAPS if options.emulator else {}
        if options.emulator:
            # With the deployed visibility timeout, a dead letter takes nine minutes.
            session.client("sqs").set_queue_attributes(QueueUrl=outputs["sqs_queue_url"], Attributes={"VisibilityTimeout": "2"})
        patience = EMULATOR_PATIENCE if options.emulator else AWS_PATIENCE
        checks = Checks(session, outputs, producer, stack.module, env, patience, gaps, options.packs)
        results = checks.results
        checks.run()
    except (CommandFailed, ClientError, KeyboardInterrupt, SystemExit) as stopped:
        problem = f"{type(stopped).__name__}: {stopped}"
        print(f"the run ends early: {problem}", file=sys.stderr, flush=True)
    finally:
        print("destroying the stack", flush=True)
        gone = stack.destroy() and not exists(session.client("s3"), stack.bucket)
    text = report(options, results, problem, gone, time.monotonic() - began)
    print(f"\n{text}")
    if options.report:
        options.report.write_text(text)
    if not gone:
        print(f"scripts/first-run: a part of the stack is left. Run: {stack.destroy_command()}", file=sys.stderr)
        return LEFT_BEHIND
    return 1 if problem or any(result.verdict == WRONG for result in results) else 0


def exists(s3, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        # Any other answer, such as 403, means that someone has the bucket.
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != 404
    return True


def confirm(options: argparse.Namespace, stack: ThrowawayStack) -> None:
    where = "the emulator" if options.emulator else f"account {options.account}, region {options.region}"
    print(f"This run creates the stack first-run-{stack.stage} in {where}, uses it for about an hour, and destroys it.\n")
    for what, dollars in COST:
        print(f"  {dollars:6.3f} USD  {what}")
    total = sum(dollars for _, dollars in COST)
    print(f"  {total:6.3f} USD  in total, an estimate with the prices of us-east-1; other regions cost up to twice as much\n")
    print(f"If this machine stops during the run, remove the stack with: {stack.destroy_command()}\n", flush=True)
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise Refused("cannot ask without a terminal: pass --yes")
    if input("Type yes to create the stack: ").strip() != "yes":
        raise Refused("not confirmed")


def build_producer() -> Path:
    subprocess.run(["cargo", "build", "--locked", "-p", "producer"], cwd=CHECKOUT, check=True)
    return CHECKOUT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug/producer"


def report(options: argparse.Namespace, results: list[Result], problem: str | None, gone: bool, seconds: float) -> str:
    """Returns the section for docs/verification.md."""
    where = "the emulator, which is not AWS" if options.emulator else f"AWS, region {options.region}"
    command = "scripts/first-run --packs" if options.packs else "scripts/first-run"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True).stdout.strip()
    lines = [
        f"## First run on {'an emulator' if options.emulator else 'AWS'}",
        "",
        f"`{command}` ran on {where}, on {datetime.now(timezone.utc):%Y-%m-%d} with commit {commit or 'unknown'}, "
        f"for {seconds / 60:.0f} minutes.",
        "The stack was destroyed." if gone else "**A part of the stack was left.**",
        *([f"**The run ended early:** {' '.join(problem.split())[:300]}"] if problem else []),
        "",
        "| check | what AWS's documentation promises | seen | result |",
        "| --- | --- | --- | --- |",
        *(f"| {result.check} | {result.promise} | {cell(result.seen)} | {result.verdict} |" for result in results),
    ]
    unchecked = sum(result.verdict == UNCHECKED for result in results)
    return "\n".join([*lines, "", f"{len(results)} checks, {unchecked} of them not checked."]) + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")[:400]


if __name__ == "__main__":
    sys.exit(main())
