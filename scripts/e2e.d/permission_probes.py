"""Checks what each role may do and may not do, by calls with the role's own credentials. Allowed calls are part of the check: if the
emulator refused every call, the refused ones would prove nothing.

Calls for log streams, the table's stream, PartiQL and batches of messages are left out, because the emulator checks them against action
names that AWS does not have. The emulator does not know the condition key `dynamodb:LeadingKeys` either, so it would allow a put or
a read of any partition key.
`terraform test` asserts those permissions and that condition in the policies."""

from botocore.exceptions import ClientError

from emulator import Emulator
from stack_in_use import must

DENIED = {"AccessDenied", "AccessDeniedException"}


def probe_roles(emulator: Emulator, outputs: dict[str, str], other_bucket: str) -> str:
    """Tries all calls with both roles. Returns a text with the number of calls."""
    queue, dlq, on_failure = (outputs[name] for name in ("sqs_queue_url", "sqs_dlq_url", "on_failure_queue_url"))
    table, bucket, prefix = (outputs[name] for name in ("dynamodb_table_name", "s3_bucket_name", "object_prefix"))
    some_object = emulator.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["Contents"][0]["Key"]
    key = {"pk": {"S": "EVENT#grid_stress_999"}, "sk": {"S": "CLAIM"}}
    probe_item = {"pk": {"S": "EVENT#probe"}, "sk": {"S": "PROBE"}}
    get_pack = ("dynamodb", "get_item", {"TableName": table, "Key": {"pk": {"S": "PACK#probe"}, "sk": {"S": "PACK"}}})

    def new_object(bucket: str, key: str) -> tuple:
        return ("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": b"probe", "IfNoneMatch": "*"})

    put_item = ("dynamodb", "put_item", {"TableName": table, "Item": probe_item})
    always_denied = [
        ("dynamodb", "scan", {"TableName": table}),
        ("dynamodb", "delete_item", {"TableName": table, "Key": key}),
        ("dynamodb", "update_item", {"TableName": table, "Key": key, "AttributeUpdates": {}}),
        ("dynamodb", "batch_write_item", {"RequestItems": {table: [{"PutRequest": {"Item": probe_item}}]}}),
        ("dynamodb", "delete_table", {"TableName": table}),
        ("s3", "get_object", {"Bucket": bucket, "Key": some_object}),
        ("s3", "list_objects_v2", {"Bucket": bucket}),
        ("s3", "delete_object", {"Bucket": bucket, "Key": some_object}),
        ("s3", "put_bucket_versioning", {"Bucket": bucket, "VersioningConfiguration": {"Status": "Suspended"}}),
        new_object(bucket, "outside-of-the-prefix"),
        new_object(other_bucket, prefix + "probe"),
        ("sqs", "send_message", {"QueueUrl": queue, "MessageBody": "probe"}),
        ("sqs", "receive_message", {"QueueUrl": dlq}),
        ("sqs", "receive_message", {"QueueUrl": on_failure}),
        ("sqs", "purge_queue", {"QueueUrl": queue}),
        ("lambda", "invoke", {"FunctionName": outputs["ingest_function_name"]}),
        ("logs", "delete_log_group", {"logGroupName": outputs["ingest_log_group"]}),
        ("iam", "list_roles", {}),
        ("sts", "assume_role", {"RoleArn": outputs["archive_role_arn"], "RoleSessionName": "probe"}),
    ]
    probes = {
        "ingest": {
            "allowed": [put_item, get_pack, ("sqs", "receive_message", {"QueueUrl": queue})],
            "denied": [
                *always_denied,
                new_object(bucket, prefix + "probe"),
                ("sqs", "send_message", {"QueueUrl": on_failure, "MessageBody": "probe"}),
            ],
        },
        "archive": {
            "allowed": [
                new_object(bucket, prefix + "probe"),
                ("sqs", "send_message", {"QueueUrl": on_failure, "MessageBody": "probe"}),
            ],
            "denied": [
                *always_denied,
                put_item,
                get_pack,
                ("sqs", "receive_message", {"QueueUrl": queue}),
            ],
        },
    }
    wrong = []
    for role, calls in probes.items():
        arn = outputs[f"{role}_role_arn"]
        session = emulator.client("sts").assume_role(RoleArn=arn, RoleSessionName="probe")["Credentials"]
        services = {service for tried in calls.values() for service, _, _ in tried}
        clients = {service: emulator.client(service, session) for service in services}
        for expected, tried in calls.items():
            for service, operation, arguments in tried:
                actual = outcome(clients[service], operation, arguments)
                if actual != expected:
                    wrong.append(f"{role}: {service} {operation} {arguments} must be {expected}, but was: {actual}")
    must(not wrong, "\n".join(wrong))
    numbers = {role: {kind: len(tried) for kind, tried in calls.items()} for role, calls in probes.items()}
    return "; ".join(f"{role}: {n['allowed']} calls allowed, {n['denied']} denied" for role, n in numbers.items())


def probe_producers(emulator: Emulator, outputs: dict[str, str], session: dict[str, str]) -> str:
    """Tries calls with the credentials of a role that has only the producers' policy."""
    queue, dlq, on_failure = (outputs[name] for name in ("sqs_queue_url", "sqs_dlq_url", "on_failure_queue_url"))
    body = '{"event_id":"from-a-producer-role"}'
    allowed = [
        ("sqs", "get_queue_url", {"QueueName": outputs["sqs_queue_name"]}),
        ("sqs", "send_message", {"QueueUrl": queue, "MessageBody": body}),
    ]
    denied = [
        ("sqs", "receive_message", {"QueueUrl": queue}),
        ("sqs", "purge_queue", {"QueueUrl": queue}),
        ("sqs", "send_message", {"QueueUrl": dlq, "MessageBody": body}),
        ("sqs", "send_message", {"QueueUrl": on_failure, "MessageBody": body}),
        ("dynamodb", "scan", {"TableName": outputs["dynamodb_table_name"]}),
        ("s3", "list_objects_v2", {"Bucket": outputs["s3_bucket_name"]}),
    ]
    wrong = [
        f"a producer: {service} {operation} {arguments} must be {expected}, but was: {actual}"
        for expected, calls in {"allowed": allowed, "denied": denied}.items()
        for service, operation, arguments in calls
        if (actual := outcome(emulator.client(service, session), operation, arguments)) != expected
    ]
    must(not wrong, "\n".join(wrong))
    return f"{len(allowed)} calls allowed, {len(denied)} denied"


def outcome(client, operation: str, arguments: dict) -> str:
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        return "denied" if error.response["Error"]["Code"] in DENIED else str(error)
    return "allowed"
