"""Checks the plans of terraform/tests that call the module pipeline. `terraform test` itself cannot read them.

usage: terraform -chdir=terraform test -json -verbose -filter=tests/FILE.. | terraform-plans.py

scripts/check-terraform has the list of the files.
"""

import json
import re
import sys

# A region in text, also as a part of a longer name.
REGION = re.compile(r"\b(?:af|ap|ca|cn|eu|il|me|mx|sa|us)-[a-z]+(?:-[a-z]+)?-[0-9]\b")
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
# Attributes of these resources whose change replaces the resource. The plan of a mocked provider calls such a change an update.
NAMES = ("name", "bucket", "dashboard_name")


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
    renamed = [
        f"{change['address']}: {name}" for change in changes if change["address"] in moved.values()
        for name in NAMES if change["change"]["before"].get(name) != change["change"]["after"].get(name)
    ]
    must(not renamed, f"the plan replaces resources, because it changes {renamed}")
    return f"{len(moved)} resources move, and none is replaced"


def role_of_another_account_may_send(changes: list[dict]) -> str:
    """The policy of the queue lets the producers' account send, and no other account."""
    queue = {change["address"]: change["change"]["after"] for change in changes}["module.pipeline.module.messaging.aws_sqs_queue.queue"]
    allowed = [statement for statement in json.loads(queue["policy"])["Statement"] if statement["Effect"] == "Allow"]
    senders = [(statement["Principal"], "sqs:SendMessage" in statement["Action"]) for statement in allowed]
    must(senders == [({"AWS": "arn:aws:iam::210987654321:root"}, True)], f"the policy of the queue lets {senders} send")
    return senders[0][0]["AWS"]


KEY = "arn:aws:kms:sa-east-1:123456789012:key"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"

# For each resource: its attributes (with the index of a list, or the name of a map's item, after a dot) and their values.
SETTINGS = {
    "messaging.aws_sqs_queue.queue": {
        "message_retention_seconds": 43_200,
        "visibility_timeout_seconds": 6 * 40 + 7,
        "max_message_size": 131_072,
        "redrive_policy.maxReceiveCount": 5,
        "kms_master_key_id": f"{KEY}/queues",
    },
    "messaging.aws_sqs_queue.dlq": {
        "message_retention_seconds": 518_400,
        "max_message_size": 131_072,
        "kms_master_key_id": f"{KEY}/queues",
    },
    "messaging.aws_sqs_queue.on_failure": {"message_retention_seconds": 691_200, "kms_master_key_id": f"{KEY}/queues"},
    "storage.aws_dynamodb_table.claims": {
        "server_side_encryption.0.kms_key_arn": f"{KEY}/table",
        "on_demand_throughput.0.max_read_request_units": 1001,
        "on_demand_throughput.0.max_write_request_units": 1002,
    },
    "storage.aws_s3_bucket_server_side_encryption_configuration.lake": {
        "rule.0.apply_server_side_encryption_by_default.0.kms_master_key_id": f"{KEY}/bucket",
    },
    'storage.aws_glue_catalog_database.lake["lake"]': {"name": "lake"},
    "iam.aws_iam_role.ingest": {"permissions_boundary": BOUNDARY},
    "iam.aws_iam_role.archive": {"permissions_boundary": BOUNDARY},
    "compute.aws_cloudwatch_log_group.ingest": {"retention_in_days": 90, "kms_key_id": f"{KEY}/logs"},
    "compute.aws_cloudwatch_log_group.archive": {"retention_in_days": 90, "kms_key_id": f"{KEY}/logs"},
    "compute.aws_lambda_function.ingest": {
        "filename": "versions.tf",
        "timeout": 40,
        "memory_size": 320,
        "architectures": ["arm64"],
        "logging_config.0.application_log_level": "DEBUG",
        "tracing_config.0.mode": "PassThrough",
        "environment.0.variables.DEDUP_WINDOW_SECONDS": "2000000",
        "environment.0.variables.DEDUP_KEY": '["/source","/id"]',
        "environment.0.variables.CONFLICT_IGNORE": '["/sent_at","/trace/id"]',
        "environment.0.variables.LOG_ROUTINE_OUTCOMES": "false",
        "environment.0.variables.ON_CONFLICT": "dead-letter",
        "environment.0.variables.CLAIM_WRITES": "batch",
        "environment.0.variables.LAKE_LAYOUT": "packs",
        "environment.0.variables.MAX_RECEIVE_COUNT": "5",
        "environment.0.variables.CLAIM_CACHE_ENTRIES": "1300",
    },
    "compute.aws_lambda_function.archive": {
        "filename": "main.tf",
        "timeout": 40,
        "memory_size": 320,
        "architectures": ["arm64"],
        "logging_config.0.application_log_level": "DEBUG",
        "tracing_config.0.mode": "PassThrough",
        "environment.0.variables.OBJECT_PREFIX": "raw/",
        "environment.0.variables.LOG_ROUTINE_OUTCOMES": "false",
    },
    "compute.aws_lambda_alias.archive": {"function_version": "6"},
    "compute.aws_lambda_event_source_mapping.ingest": {
        "enabled": False,
        "batch_size": 11,
        "maximum_batching_window_in_seconds": 7,
        "scaling_config.0.maximum_concurrency": 12,
    },
    "compute.aws_lambda_event_source_mapping.archive": {
        "enabled": True,
        "batch_size": 140,
        "maximum_batching_window_in_seconds": 3,
        "parallelization_factor": 4,
        "bisect_batch_on_function_error": False,
        "maximum_retry_attempts": 15,
        "maximum_record_age_in_seconds": 72_000,
    },
} | {
    f'observability.aws_cloudwatch_metric_alarm.alarm["{name}"]': {"threshold": threshold, "period": 60}
    for name, threshold in {
        "queue-message-age": 500,
        "dlq-message-age": (518_400 - 43_200) // 2,
        "on-failure-message-age": 691_200 // 2,
        "stream-iterator-age": 700_000,
        "archive-lag": 800_000,
        "conflicts": 21,
        "rejected-messages": 22,
        "failed-messages": 23,
        "failed-records": 24,
    }.items()
} | {
    'observability.aws_cloudwatch_metric_alarm.math["table-write-throttles"]': {"threshold": 25},
    'observability.aws_cloudwatch_metric_alarm.math["ingest-fn-no-progress"]': {"evaluation_periods": 10},
    'observability.aws_cloudwatch_metric_alarm.math["archive-fn-no-progress"]': {"evaluation_periods": 10},
    'observability.aws_cloudwatch_metric_alarm.math["nothing-written"]': {"evaluation_periods": 10},
}


def attribute(resource: dict, path: str) -> object:
    """Returns the value at a path such as `environment.0.variables.NAME`. Decodes attributes that are JSON text."""
    value = resource
    for part in path.split("."):
        value = json.loads(value) if isinstance(value, str) else value
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def each_setting_reaches_its_resource(changes: list[dict]) -> str:
    """Each setting is passed to the resource that it is for."""
    planned = {change["address"]: change["change"]["after"] for change in changes}
    count = 0
    for name, expected in SETTINGS.items():
        for path, value in expected.items():
            found = attribute(planned[f"module.pipeline.module.{name}"], path)
            must(found == value, f"{name}: {path} is {found}, not {value}")
            count += 1
    return f"{count} attributes have the values of their settings"


def packs_have_larger_batches(changes: list[dict]) -> str:
    """With packs, the queue mapping has larger batches and a longer window by default, and the visibility timeout follows the window."""
    planned = {change["address"].removeprefix("module.pipeline.module."): change["change"]["after"] for change in changes}
    mapping, queue = planned["compute.aws_lambda_event_source_mapping.ingest"], planned["messaging.aws_sqs_queue.queue"]
    found = (mapping["batch_size"], mapping["maximum_batching_window_in_seconds"], queue["visibility_timeout_seconds"])
    must(found == (1000, 20, 6 * 30 + 20), f"batch size, window and visibility timeout are {found}")
    return f"{found[0]} messages, {found[1]} s"


def main() -> None:
    all_checks = [
        other_root_chooses_region_and_tags,
        existing_stack_moves_into_the_module,
        role_of_another_account_may_send,
        each_setting_reaches_its_resource,
        packs_have_larger_batches,
    ]
    checks = {check.__name__: check for check in all_checks}
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
