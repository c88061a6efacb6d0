"""Checks the plans of terraform/tests that call the module pipeline. `terraform test` itself cannot read them.

usage: terraform -chdir=terraform test -json -verbose -filter=tests/callers.tftest.hcl -filter=tests/existing_stack.tftest.hcl |
       terraform-plans.py
"""

import json
import re
import sys

REGION = re.compile(r"\b[a-z]{2}(?:-[a-z]+)+-[0-9]\b")
# The modules that tests/other-root calls, and one resource of each kind that tests/former-root creates.
CALLS = ["module.one", 'module.each["orders"]', 'module.each["clicks"]']
FORMER = {
    "module.messaging.aws_sqs_queue.queue",
    "module.storage.aws_dynamodb_table.claims",
    "module.storage.aws_s3_bucket.lake",
    "module.iam.aws_iam_role.ingest",
    "module.compute.aws_cloudwatch_log_group.ingest",
    "module.observability.aws_cloudwatch_dashboard.flow",
}


def must(condition: object, text: str) -> None:
    if not condition:
        raise SystemExit(f"scripts/terraform-plans.py: {text}")


def other_root_chooses_region_and_tags(changes: list[dict]) -> str:
    """Each call plans the whole pipeline, with the tags and in the region of the caller's provider."""
    planned = {change["address"]: change["change"]["after"] for change in changes if change["mode"] == "managed"}
    of_call = {call: {name[len(call):] for name in planned if name.startswith(call + ".")} for call in CALLS}
    must(of_call[CALLS[0]], "the first call plans no resources")
    for call in CALLS[1:]:
        different = sorted(of_call[call] ^ of_call[CALLS[0]])
        must(not different, f"{call} and {CALLS[0]} do not plan the same resources: {different}")

    tagged = {name: after["tags_all"] for name, after in planned.items() if "tags_all" in after}
    wrong = {name: tags for name, tags in tagged.items() if tags != {"Team": "ingestion"}}
    must(tagged and not wrong, f"resources do not have exactly the caller's tags: {wrong}")

    # The region is in the bucket's name, the ARNs in policies, and the dashboard.
    regions = {name: set(REGION.findall(json.dumps(after))) for name, after in planned.items() if name.startswith("module.one.")}
    for part in ["storage.aws_s3_bucket.lake", "messaging.aws_sqs_queue.queue", "observability.aws_cloudwatch_dashboard.flow"]:
        must(regions[f"module.one.module.{part}"] == {"eu-west-1"}, f"{part} is for {regions[f'module.one.module.{part}']}")
    elsewhere = {name: found for name, found in regions.items() if found - {"eu-west-1"}}
    must(not elsewhere, f"resources name another region than the caller's: {elsewhere}")
    return f"{len(planned)} resources in eu-west-1, {len(tagged)} of them tagged"


def existing_stack_moves_into_the_module(changes: list[dict]) -> str:
    """A stack of the former root module keeps its resources."""
    moved = {change["previous_address"]: change["address"] for change in changes if "previous_address" in change}
    must(moved == {name: f"module.pipeline.{name}" for name in FORMER}, f"the plan moves {moved}")
    deleted = [change["address"] for change in changes if "delete" in change["change"]["actions"]]
    must(not deleted, f"the plan deletes or replaces {deleted}")
    return f"{len(moved)} resources move, and none is replaced"


def main() -> None:
    checks = {check.__name__: check for check in [other_root_chooses_region_and_tags, existing_stack_moves_into_the_module]}
    for line in sys.stdin:
        message = json.loads(line)
        if message["@level"] == "error":
            must(False, f"{message['@message']}\n{message.get('diagnostic', {}).get('detail', '')}")
        check = checks.pop(message.get("@testrun"), None) if message["type"] == "test_plan" else None
        if check:
            print(f"ok  {check.__name__.replace('_', ' ')}: {check(message['test_plan']['resource_changes'])}")
    must(not checks, f"there was no plan for {sorted(checks)}")


if __name__ == "__main__":
    main()
