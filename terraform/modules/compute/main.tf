locals {
  ingest_name  = "${var.name_prefix}-ingest-fn"
  archive_name = "${var.name_prefix}-archive-fn"
}

# The groups come before the functions: Lambda makes a missing one itself at the first invocation, without retention, and
# Terraform could then not make it any more.
resource "aws_cloudwatch_log_group" "ingest" {
  # checkov:skip=CKV_AWS_158:CloudWatch Logs encrypts with its own key; lines hold event ids and digests, no bodies

  name              = "/aws/lambda/${local.ingest_name}"
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_group" "archive" {
  # checkov:skip=CKV_AWS_158:CloudWatch Logs encrypts with its own key; lines hold event ids and digests, no bodies

  name              = "/aws/lambda/${local.archive_name}"
  retention_in_days = var.log_retention_days
}

# SQS batch in, claims out.
resource "aws_lambda_function" "ingest" {
  # checkov:skip=CKV_AWS_116:for asynchronous invocations, of which there are none; the queue's redrive policy does this
  # checkov:skip=CKV_AWS_115:the mapping's maximum_concurrency bounds it, and a reservation would throttle
  # checkov:skip=CKV_AWS_117:it talks to public AWS endpoints only; a VPC would add NAT and nothing to keep in
  # checkov:skip=CKV_AWS_173:the variables are names and numbers, no secrets; Lambda encrypts them with its own key
  # checkov:skip=CKV_AWS_272:the zip is built where it is deployed from; signing needs a profile that an account may not have

  function_name    = local.ingest_name
  description      = "Claims each event in ${var.table_name} with one conditional write."
  role             = var.ingest_role_arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = var.ingest_zip
  source_code_hash = filebase64sha256(var.ingest_zip)
  memory_size      = var.memory_mb
  timeout          = var.function_timeout_seconds

  environment {
    variables = {
      TABLE_NAME           = var.table_name
      DEDUP_WINDOW_SECONDS = var.dedup_window_seconds
      EVENT_ID_POINTER     = var.event_id_pointer
      ON_CONFLICT          = var.on_conflict
      CLAIM_CACHE_ENTRIES  = var.claim_cache_entries
      CLAIM_WRITES         = var.claim_writes
    }
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.ingest.name
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.ingest_zip)
      error_message = "There is no ${var.ingest_zip}: run scripts/package first."
    }
  }
}

resource "aws_lambda_event_source_mapping" "ingest" {
  event_source_arn                   = var.queue_arn
  function_name                      = aws_lambda_function.ingest.arn
  batch_size                         = var.ingest_batch_size
  maximum_batching_window_in_seconds = var.ingest_batching_window_seconds

  # One bad message must not take its batch's good ones to the dead-letter queue.
  function_response_types = ["ReportBatchItemFailures"]

  # Without it, pollers go on receiving what a throttled function cannot take, and each receive counts.
  scaling_config {
    maximum_concurrency = var.ingest_maximum_concurrency
  }
}

# Stream batch in, objects out.
resource "aws_lambda_function" "archive" {
  # checkov:skip=CKV_AWS_116:for asynchronous invocations, of which there are none; the mapping's on-failure queue does this
  # checkov:skip=CKV_AWS_115:shards times parallelization_factor bound it, and a reservation would throttle
  # checkov:skip=CKV_AWS_117:it talks to public AWS endpoints only; a VPC would add NAT and nothing to keep in
  # checkov:skip=CKV_AWS_173:the variables are names and numbers, no secrets; Lambda encrypts them with its own key
  # checkov:skip=CKV_AWS_272:the zip is built where it is deployed from; signing needs a profile that an account may not have

  function_name    = local.archive_name
  description      = "Writes each new claim of ${var.table_name} to ${var.bucket_name} as one object."
  role             = var.archive_role_arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = var.archive_zip
  source_code_hash = filebase64sha256(var.archive_zip)
  memory_size      = var.memory_mb
  timeout          = var.function_timeout_seconds

  environment {
    variables = {
      BUCKET_NAME   = var.bucket_name
      OBJECT_PREFIX = var.object_prefix
    }
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.archive.name
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.archive_zip)
      error_message = "There is no ${var.archive_zip}: run scripts/package first."
    }
  }
}

# Starting position, filter and response type are no variables: each of them is what a guarantee rests on.
resource "aws_lambda_event_source_mapping" "archive" {
  event_source_arn = var.stream_arn
  function_name    = aws_lambda_function.archive.arn

  # From the stream's oldest record on: LATEST would lose what was claimed before the mapping began to poll.
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.archive_batch_size
  maximum_batching_window_in_seconds = var.archive_batching_window_seconds
  parallelization_factor             = var.archive_parallelization_factor

  # A record that fails holds its shard, and comes again until it is too old.
  function_response_types        = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error = var.archive_bisect_batch_on_function_error
  maximum_retry_attempts         = var.archive_maximum_retry_attempts
  maximum_record_age_in_seconds  = var.archive_maximum_record_age_seconds

  destination_config {
    on_failure {
      destination_arn = var.on_failure_queue_arn
    }
  }

  # New images of claims, whatever the event is called: a claim that replaces an expired one is a MODIFY. A REMOVE has no
  # new image, so that the records of TTL's deletions cost no invocation.
  filter_criteria {
    filter {
      pattern = jsonencode({ dynamodb = { NewImage = { sk = { S = ["CLAIM"] } } } })
    }
  }
}
