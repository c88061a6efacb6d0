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
    LAKE_LAYOUT          = var.lake_layout
    MAX_RECEIVE_COUNT    = var.max_receive_count
    LOG_ROUTINE_OUTCOMES = var.log_routine_outcomes
  })

  archive_environment = tomap({
    BUCKET_NAME          = var.bucket_name
    OBJECT_PREFIX        = var.object_prefix
    LOG_ROUTINE_OUTCOMES = var.log_routine_outcomes
  })

  # How the description of archive-fn begins. Versions that do not write packs have another description, but the same variables.
  archive_purpose = "Writes each new claim and each new pack of"

  # The new images that archive-fn writes: each claim that is not packed, and each pack. The event name does not matter: a claim that
  # replaces an expired one is a MODIFY. A REMOVE has no new image, so the records of TTL deletions cost no invocation. A claim's sort key
  # is CLAIM or CLAIM#<tag>, where the tag depends on the dedup key. The prefix matches claims of every key, so that none is lost while the
  # key changes. Claims of older releases have no `layout`.
  archived_images = [
    { sk = { S = [{ prefix = "CLAIM" }] }, layout = { S = [{ exists = false }] } },
    { sk = { S = [{ prefix = "CLAIM" }] }, layout = { S = ["object"] } },
    { sk = { S = ["PACK"] } },
  ]

  # A stream's ARN ends with the time of its creation (UTC), such as 2026-11-23T00:00:00.000.
  stream_created_at = reverse(split("/", var.stream_arn))[0]
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
  description   = "${local.archive_purpose} ${var.table_name} to ${var.bucket_name} as one object."
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

  filter_criteria {
    dynamic "filter" {
      for_each = local.archived_images

      content {
        pattern = jsonencode({ dynamodb = { NewImage = filter.value } })
      }
    }
  }
}

# Refuses packs while Lambda may still use the filter of an older release, which drops packs. After an update of a mapping, Lambda may
# need 90 seconds to restart its pollers: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html. The 15 minutes also
# cover the difference between the clocks of two machines that run Terraform.
resource "terraform_data" "filter_passes_packs" {
  depends_on = [aws_lambda_event_source_mapping.archive]

  # The plan that introduced this filter, and the time at which its apply had set the filter.
  input = {
    planned = plantimestamp()
    applied = timestamp()
  }

  lifecycle {
    ignore_changes = [input]

    # The mapping of a new stack has never had another filter. Its stream is not older than the plan, except that the machine's clock may
    # be up to five minutes ahead: AWS refuses requests if the difference is larger.
    postcondition {
      condition = anytrue([
        var.lake_layout == "objects",
        try(timecmp(timeadd("${local.stream_created_at}Z", "5m"), self.input.planned) >= 0, false),
        self.input.planned == plantimestamp() ? false : timecmp(plantimestamp(), timeadd(self.output.applied, "15m")) >= 0,
      ])
      error_message = "lake_layout = \"packs\" requires that the stream mapping has delivered packs to archive-fn for 15 minutes. Until then, Lambda may drop packs, and their events would be missing in the data lake. Apply with lake_layout = \"objects\" first, and set \"packs\" 15 minutes later."
    }
  }
}
