# Tests of the outputs of the root module, which are those of the module pipeline.

mock_provider "aws" {
  source = "./tests/mocks"

  # Each queue has its own URL and ARN, so that the test fails if an output belongs to another queue.
  override_resource {
    target = module.pipeline.module.messaging.aws_sqs_queue.queue
    values = { url = "https://sqs/queue", arn = "arn:aws:sqs:sa-east-1:123456789012:queue" }
  }

  override_resource {
    target = module.pipeline.module.messaging.aws_sqs_queue.dlq
    values = { url = "https://sqs/dlq", arn = "arn:aws:sqs:sa-east-1:123456789012:dlq" }
  }

  override_resource {
    target = module.pipeline.module.messaging.aws_sqs_queue.on_failure
    values = { url = "https://sqs/on-failure", arn = "arn:aws:sqs:sa-east-1:123456789012:on-failure" }
  }

  override_resource {
    target = module.pipeline.module.iam.aws_iam_role.ingest
    values = { arn = "arn:aws:iam::123456789012:role/ingest" }
  }

  override_resource {
    target = module.pipeline.module.iam.aws_iam_role.archive
    values = { arn = "arn:aws:iam::123456789012:role/archive" }
  }

  override_resource {
    target = module.pipeline.module.storage.aws_dynamodb_table.claims
    values = { arn = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims", stream_arn = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000" }
  }

  override_resource {
    target = module.pipeline.module.storage.aws_s3_bucket.lake
    values = { arn = "arn:aws:s3:::lake" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_lambda_function.ingest
    values = { version = "3" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_lambda_event_source_mapping.ingest
    values = { uuid = "uuid-of-ingest-mapping" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_lambda_function.archive
    values = { version = "4" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_lambda_event_source_mapping.archive
    values = { uuid = "uuid-of-archive-mapping" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_cloudwatch_log_group.ingest
    values = { arn = "arn:aws:logs:sa-east-1:123456789012:log-group:ingest" }
  }

  override_resource {
    target = module.pipeline.module.compute.aws_cloudwatch_log_group.archive
    values = { arn = "arn:aws:logs:sa-east-1:123456789012:log-group:archive" }
  }
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "main.tf" }

  # The outputs have these values in their normalized forms.
  dedup_key            = " [ \"/source\", \"/id\" ]\n"
  conflict_ignore      = ["/trace/id", "/sent_at", "/trace/id"]
  log_routine_outcomes = false
  lake_layout          = "packs"

  # The end of the test deletes the stack.
  deletion_protection = false
}

# The producer and the runbook read these outputs. The stack is new, so it may have packs from its first apply.
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
      dedup_key             = output.dedup_key
      conflict_ignore       = output.conflict_ignore
      log_routine_outcomes  = output.log_routine_outcomes
      lake_layout           = output.lake_layout
      ingest_function_name  = output.ingest_function_name
      archive_function_name = output.archive_function_name
      ingest_log_group      = output.ingest_log_group
      archive_log_group     = output.archive_log_group
      ingest_role_arn       = output.ingest_role_arn
      archive_role_arn      = output.archive_role_arn
      ingest_version        = output.ingest_version
      archive_version       = output.archive_version
      ingest_mapping_uuid   = output.ingest_mapping_uuid
      archive_mapping_uuid  = output.archive_mapping_uuid
      region                = output.region
      sqs_queue_arn         = output.sqs_queue_arn
      sqs_queue_name        = output.sqs_queue_name
      sqs_dlq_arn           = output.sqs_dlq_arn
      sqs_dlq_name          = output.sqs_dlq_name
      on_failure_queue_arn  = output.on_failure_queue_arn
      on_failure_queue_name = output.on_failure_queue_name
      dynamodb_table_arn    = output.dynamodb_table_arn
      dynamodb_stream_arn   = output.dynamodb_stream_arn
      s3_bucket_arn         = output.s3_bucket_arn
      dedup_window_seconds  = output.dedup_window_seconds
      ingest_log_group_arn  = output.ingest_log_group_arn
      archive_log_group_arn = output.archive_log_group_arn
      dashboard_name        = output.dashboard_name
      } == {
      sqs_queue_url         = "https://sqs/queue"
      sqs_dlq_url           = "https://sqs/dlq"
      on_failure_queue_url  = "https://sqs/on-failure"
      max_message_bytes     = 262144
      dynamodb_table_name   = "dynamo-locking-dev-ingestion-state"
      s3_bucket_name        = "dynamo-locking-dev-ingestion-data-123456789012-sa-east-1"
      object_prefix         = "events/"
      dedup_key             = "[\"/source\",\"/id\"]"
      conflict_ignore       = tolist(["/sent_at", "/trace/id"])
      log_routine_outcomes  = false
      lake_layout           = "packs"
      ingest_function_name  = "dynamo-locking-dev-ingest-fn"
      archive_function_name = "dynamo-locking-dev-archive-fn"
      ingest_log_group      = "/aws/lambda/dynamo-locking-dev-ingest-fn"
      archive_log_group     = "/aws/lambda/dynamo-locking-dev-archive-fn"
      ingest_role_arn       = "arn:aws:iam::123456789012:role/ingest"
      archive_role_arn      = "arn:aws:iam::123456789012:role/archive"
      ingest_version        = "3"
      archive_version       = "4"
      ingest_mapping_uuid   = "uuid-of-ingest-mapping"
      archive_mapping_uuid  = "uuid-of-archive-mapping"
      region                = "sa-east-1"
      sqs_queue_arn         = "arn:aws:sqs:sa-east-1:123456789012:queue"
      sqs_queue_name        = "dynamo-locking-dev-ingestion-queue"
      sqs_dlq_arn           = "arn:aws:sqs:sa-east-1:123456789012:dlq"
      sqs_dlq_name          = "dynamo-locking-dev-ingestion-dlq"
      on_failure_queue_arn  = "arn:aws:sqs:sa-east-1:123456789012:on-failure"
      on_failure_queue_name = "dynamo-locking-dev-archive-on-failure"
      dynamodb_table_arn    = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims"
      dynamodb_stream_arn   = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000"
      s3_bucket_arn         = "arn:aws:s3:::lake"
      dedup_window_seconds  = 1382400
      ingest_log_group_arn  = "arn:aws:logs:sa-east-1:123456789012:log-group:ingest"
      archive_log_group_arn = "arn:aws:logs:sa-east-1:123456789012:log-group:archive"
      dashboard_name        = "dynamo-locking-dev-sa-east-1"
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
