# Tests of the root module's outputs.

mock_provider "aws" {
  source = "./tests/mocks"

  # Each queue has its own URL and ARN, so that the test fails if an output belongs to another queue.
  override_resource {
    target = module.messaging.aws_sqs_queue.queue
    values = { url = "https://sqs/queue", arn = "arn:aws:sqs:sa-east-1:123456789012:queue" }
  }

  override_resource {
    target = module.messaging.aws_sqs_queue.dlq
    values = { url = "https://sqs/dlq", arn = "arn:aws:sqs:sa-east-1:123456789012:dlq" }
  }

  override_resource {
    target = module.messaging.aws_sqs_queue.on_failure
    values = { url = "https://sqs/on-failure", arn = "arn:aws:sqs:sa-east-1:123456789012:on-failure" }
  }

  override_resource {
    target = module.iam.aws_iam_role.ingest
    values = { arn = "arn:aws:iam::123456789012:role/ingest" }
  }

  override_resource {
    target = module.iam.aws_iam_role.archive
    values = { arn = "arn:aws:iam::123456789012:role/archive" }
  }
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  ingest_zip  = "versions.tf"
  archive_zip = "main.tf"
}

# The producer and the runbook read these outputs.
run "outputs_describe_this_stack" {
  assert {
    condition = {
      sqs_queue_url         = output.sqs_queue_url
      sqs_dlq_url           = output.sqs_dlq_url
      on_failure_queue_url  = output.on_failure_queue_url
      max_message_bytes     = output.max_message_bytes
      dynamodb_table_name   = output.dynamodb_table_name
      s3_bucket_name        = output.s3_bucket_name
      object_prefix         = output.object_prefix
      event_id_pointer      = output.event_id_pointer
      ingest_function_name  = output.ingest_function_name
      archive_function_name = output.archive_function_name
      ingest_log_group      = output.ingest_log_group
      archive_log_group     = output.archive_log_group
      ingest_role_arn       = output.ingest_role_arn
      archive_role_arn      = output.archive_role_arn
      } == {
      sqs_queue_url         = "https://sqs/queue"
      sqs_dlq_url           = "https://sqs/dlq"
      on_failure_queue_url  = "https://sqs/on-failure"
      max_message_bytes     = 262144
      dynamodb_table_name   = "dynamo-locking-dev-ingestion-state"
      s3_bucket_name        = "dynamo-locking-dev-ingestion-data-123456789012-sa-east-1"
      object_prefix         = "events/"
      event_id_pointer      = "/event_id"
      ingest_function_name  = "dynamo-locking-dev-ingest-fn"
      archive_function_name = "dynamo-locking-dev-archive-fn"
      ingest_log_group      = "/aws/lambda/dynamo-locking-dev-ingest-fn"
      archive_log_group     = "/aws/lambda/dynamo-locking-dev-archive-fn"
      ingest_role_arn       = "arn:aws:iam::123456789012:role/ingest"
      archive_role_arn      = "arn:aws:iam::123456789012:role/archive"
    }
    error_message = "An output is missing, or belongs to another resource."
  }

  assert {
    condition = [output.tail_archive_log_command, output.run_producer_command, output.redrive_dlq_command] == [
      "aws logs tail /aws/lambda/dynamo-locking-dev-archive-fn --region sa-east-1 --follow --format short",
      "AWS_REGION=sa-east-1 cargo run -p producer -- --terraform-dir terraform",
      "aws sqs start-message-move-task --region sa-east-1 --source-arn arn:aws:sqs:sa-east-1:123456789012:dlq",
    ]
    error_message = "A command in an output does not name the resources of this stack."
  }
}
