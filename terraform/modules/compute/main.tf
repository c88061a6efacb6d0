locals {
  ingest_name  = "${var.name_prefix}-ingest-fn"
  archive_name = "${var.name_prefix}-archive-fn"

  ingest_environment = tomap({
    TABLE_NAME           = var.table_name
    DEDUP_WINDOW_SECONDS = var.dedup_window_seconds
    DEDUP_KEY            = var.dedup_key
    CONFLICT_IGNORE      = jsonencode(var.conflict_ignore)
    ON_CONFLICT          = var.on_conflict
    CLAIM_CACHE_ENTRIES  = var.claim_cache_entries
    CLAIM_WRITES         = var.claim_writes
    LOG_ROUTINE_OUTCOMES = var.log_routine_outcomes
  })

  archive_environment = tomap({
    BUCKET_NAME          = var.bucket_name
    OBJECT_PREFIX        = var.object_prefix
    LOG_ROUTINE_OUTCOMES = var.log_routine_outcomes
  })
}

# Terraform must create the log groups before the functions. Otherwise, Lambda creates a missing group at the first invocation,
# without a retention, and Terraform's own creation of the group then fails.
resource "aws_cloudwatch_log_group" "ingest" {
  # checkov:skip=CKV_AWS_158:logs_kms_key_arn is optional; without it, CloudWatch Logs encrypts with its own key

  name              = "/aws/lambda/${local.ingest_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_kms_key_arn != "" ? var.logs_kms_key_arn : null
}

resource "aws_cloudwatch_log_group" "archive" {
  # checkov:skip=CKV_AWS_158:logs_kms_key_arn is optional; without it, CloudWatch Logs encrypts with its own key

  name              = "/aws/lambda/${local.archive_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_kms_key_arn != "" ? var.logs_kms_key_arn : null
}

# Claims the events in SQS messages.
resource "aws_lambda_function" "ingest" {
  # checkov:skip=CKV_AWS_116:applies to asynchronous invocations, and there are none; the queue's redrive policy does the same
  # checkov:skip=CKV_AWS_115:the mapping's maximum_concurrency limits the function; reserved concurrency would throttle it
  # checkov:skip=CKV_AWS_117:the function calls only public AWS endpoints; a VPC would cost NAT gateways and protect nothing
  # checkov:skip=CKV_AWS_173:the variables contain names and numbers, but no secrets; Lambda encrypts them with its own key
  # checkov:skip=CKV_AWS_272:the deployer builds the zip, or checks the attestation of a release; signing needs a profile of the account

  function_name = local.ingest_name
  description   = "Claims each event with one conditional write to ${var.table_name}."
  role          = var.ingest_role_arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.architecture]
  memory_size   = var.memory_mb
  timeout       = var.function_timeout_seconds

  filename          = var.ingest_code.zip
  s3_bucket         = var.ingest_code.s3_bucket
  s3_key            = var.ingest_code.s3_key
  s3_object_version = var.ingest_code.s3_object_version
  source_code_hash  = var.ingest_code.zip == null ? var.ingest_code.source_code_hash : filebase64sha256(var.ingest_code.zip)

  # Each change of the code or of a setting publishes a version, which then never changes. The mapping invokes one of the versions.
  publish = true

  environment {
    variables = local.ingest_environment
  }

  tracing_config {
    mode = var.tracing_mode
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.ingest.name
  }

  lifecycle {
    precondition {
      condition     = var.ingest_code.zip == null ? true : fileexists(var.ingest_code.zip)
      error_message = "${coalesce(var.ingest_code.zip, "the zip")} does not exist: run scripts/package first."
    }
  }
}

resource "aws_lambda_event_source_mapping" "ingest" {
  enabled                            = var.ingest_enabled
  event_source_arn                   = var.queue_arn
  function_name                      = aws_lambda_alias.ingest.arn
  batch_size                         = var.ingest_batch_size
  maximum_batching_window_in_seconds = var.ingest_batching_window_seconds

  # Without partial batch responses, one bad message would move its whole batch to the dead-letter queue.
  function_response_types = ["ReportBatchItemFailures"]

  # Without a limit, Lambda's pollers keep receiving messages while the function is throttled, and each receive counts towards
  # max_receive_count. Provisioned pollers exclude this limit: 10 invocations per poller are theirs.
  dynamic "scaling_config" {
    for_each = var.ingest_provisioned_pollers == null ? [var.ingest_maximum_concurrency] : []

    content {
      maximum_concurrency = scaling_config.value
    }
  }

  dynamic "provisioned_poller_config" {
    for_each = var.ingest_provisioned_pollers[*]

    content {
      minimum_pollers = provisioned_poller_config.value.minimum
      maximum_pollers = provisioned_poller_config.value.maximum
    }
  }
}

# Writes the claims in stream records to S3.
resource "aws_lambda_function" "archive" {
  # checkov:skip=CKV_AWS_116:applies to asynchronous invocations, and there are none; the mapping's on-failure queue does the same
  # checkov:skip=CKV_AWS_115:shards times parallelization_factor limit the function; reserved concurrency would throttle it
  # checkov:skip=CKV_AWS_117:the function calls only public AWS endpoints; a VPC would cost NAT gateways and protect nothing
  # checkov:skip=CKV_AWS_173:the variables contain names and numbers, but no secrets; Lambda encrypts them with its own key
  # checkov:skip=CKV_AWS_272:the deployer builds the zip, or checks the attestation of a release; signing needs a profile of the account

  function_name = local.archive_name
  description   = "Writes each new claim of ${var.table_name} to ${var.bucket_name} as one object."
  role          = var.archive_role_arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.architecture]
  memory_size   = var.memory_mb
  timeout       = var.function_timeout_seconds

  filename          = var.archive_code.zip
  s3_bucket         = var.archive_code.s3_bucket
  s3_key            = var.archive_code.s3_key
  s3_object_version = var.archive_code.s3_object_version
  source_code_hash  = var.archive_code.zip == null ? var.archive_code.source_code_hash : filebase64sha256(var.archive_code.zip)

  # Each change of the code or of a setting publishes a version, which then never changes. The mapping invokes one of the versions.
  publish = true

  environment {
    variables = local.archive_environment
  }

  tracing_config {
    mode = var.tracing_mode
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.archive.name
  }

  lifecycle {
    precondition {
      condition     = var.archive_code.zip == null ? true : fileexists(var.archive_code.zip)
      error_message = "${coalesce(var.archive_code.zip, "the zip")} does not exist: run scripts/package first."
    }
  }
}

# Starting position, filter and response type are fixed rather than variables, because the guarantees depend on them.
resource "aws_lambda_event_source_mapping" "archive" {
  enabled          = var.archive_enabled
  event_source_arn = var.stream_arn
  function_name    = aws_lambda_alias.archive.arn

  # Starts at the stream's oldest record. LATEST would lose claims that were made before the mapping began to poll.
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.archive_batch_size
  maximum_batching_window_in_seconds = var.archive_batching_window_seconds
  parallelization_factor             = var.archive_parallelization_factor

  # A failed record blocks its shard. Lambda retries the record until it reaches the maximum age.
  function_response_types        = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error = var.archive_bisect_batch_on_function_error
  maximum_retry_attempts         = var.archive_maximum_retry_attempts
  maximum_record_age_in_seconds  = var.archive_maximum_record_age_seconds

  # Lambda counts the mapping's records only on request. DroppedEventCount shows those that the on-failure queue does not name.
  metrics_config {
    metrics = ["EventCount"]
  }

  destination_config {
    on_failure {
      destination_arn = var.on_failure_queue_arn
    }
  }

  # Matches every record with the new image of a claim, and does not look at the event name: a claim that replaces an expired one is a
  # MODIFY. A REMOVE has no new image, so the records of TTL deletions cost no invocation. The sort key is CLAIM or CLAIM#<tag>, where the
  # tag depends on the dedup key. The prefix matches claims of every key, so that none is lost while the key changes.
  filter_criteria {
    filter {
      pattern = jsonencode({ dynamodb = { NewImage = { sk = { S = [{ prefix = "CLAIM" }] } } } })
    }
  }
}
