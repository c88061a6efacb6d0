"""Claims an event and stores its object in one handler, with the idempotency and batch utilities of Powertools for AWS Lambda.

The code follows the examples in the documentation of Powertools.
"""

import json
import os
import time
import uuid

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

BUCKET = boto3.client("s3")
logger = Logger(service="peer")
processor = BatchProcessor(event_type=EventType.SQS)
table = DynamoDBPersistenceLayer(
    table_name=os.environ["TABLE_NAME"], key_attr="pk", sort_key_attr="sk", expiry_attr="ttl"
)
config = IdempotencyConfig(event_key_jmespath="event_id", expires_after_seconds=16 * 86_400)


@idempotent_function(data_keyword_argument="event", config=config, persistence_store=table)
def store(event, body):
    claim_id = str(uuid.uuid4())
    BUCKET.put_object(
        Bucket=os.environ["BUCKET_NAME"],
        Key=time.strftime(f"events/dt=%Y-%m-%d/hour=%H/{claim_id}.json", time.gmtime()),
        Body=body.encode() + b"\n",
        ContentType="application/json",
        IfNoneMatch="*",
    )
    return {"claim_id": claim_id}


def record_handler(record):
    stored = store(event=json.loads(record.body), body=record.body)
    logger.info("done", claim_id=stored["claim_id"], message_id=record.message_id)


def handler(event, context):
    config.register_lambda_context(context)
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
