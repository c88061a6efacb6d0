"""Claims an event and stores its object in one handler, with boto3: the simplest way to build such a pipeline.

Its known flaw is the order: if the claim succeeds and storing the object fails, every later message of the event counts
as a duplicate, and the event is lost.
"""

import hashlib
import json
import os
import time
import uuid

import boto3
from botocore.exceptions import ClientError

TABLE = boto3.client("dynamodb")
BUCKET = boto3.client("s3")
WINDOW_SECONDS = 16 * 86_400


def handler(event, context):
    failures = []
    for record in event["Records"]:
        try:
            outcome = handle(record)
        except Exception as error:
            outcome = "failed"
            failures.append({"itemIdentifier": record["messageId"]})
            print(json.dumps({"level": "ERROR", "message_id": record["messageId"], "error": repr(error)}))
        print(json.dumps({"level": "INFO", "outcome": outcome, "message_id": record["messageId"]}))
    return {"batchItemFailures": failures}


def handle(record):
    body = record["body"]
    event_id = json.loads(body)["event_id"]
    claim_id = str(uuid.uuid4())
    now = int(time.time())
    try:
        TABLE.put_item(
            TableName=os.environ["TABLE_NAME"],
            Item={
                "pk": {"S": f"EVENT#{event_id}"},
                "sk": {"S": "CLAIM"},
                "claim_id": {"S": claim_id},
                "ttl": {"N": str(now + WINDOW_SECONDS)},
                "digest": {"B": hashlib.sha256(body.encode()).digest()},
                "message_id": {"S": record["messageId"]},
            },
            ConditionExpression="attribute_not_exists(pk) OR #ttl < :now",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={":now": {"N": str(now)}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return "duplicate"
        raise
    BUCKET.put_object(
        Bucket=os.environ["BUCKET_NAME"],
        Key=time.strftime(f"events/dt=%Y-%m-%d/hour=%H/{claim_id}.json", time.gmtime(now)),
        Body=body.encode() + b"\n",
        ContentType="application/json",
        IfNoneMatch="*",
    )
    return "won"
