# Tests of the module compute: both functions and their event source mappings.

mock_provider "aws" {
  source = "./tests/mocks"
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  name_prefix                            = "stack"
  ingest_zip                             = "versions.tf"
  archive_zip                            = "main.tf"
  architecture                           = "arm64"
  function_timeout_seconds               = 20
  memory_mb                              = 512
  log_level                              = "DEBUG"
  log_retention_days                     = 14
  ingest_role_arn                        = "arn:aws:iam::123456789012:role/ingest"
  archive_role_arn                       = "arn:aws:iam::123456789012:role/archive"
  table_name                             = "claims"
  bucket_name                            = "lake"
  object_prefix                          = "raw/events/"
  dedup_window_seconds                   = 2000000
  event_id_pointer                       = "/detail/id"
  on_conflict                            = "dead-letter"
  claim_cache_entries                    = 0
  claim_writes                           = "batch"
  queue_arn                              = "arn:aws:sqs:sa-east-1:123456789012:queue"
  stream_arn                             = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000"
  on_failure_queue_arn                   = "arn:aws:sqs:sa-east-1:123456789012:on-failure"
  ingest_batch_size                      = 100
  ingest_batching_window_seconds         = 7
  ingest_maximum_concurrency             = 20
  archive_batch_size                     = 200
  archive_batching_window_seconds        = 1
  archive_parallelization_factor         = 3
  archive_bisect_batch_on_function_error = true
  archive_maximum_retry_attempts         = -1
  archive_maximum_record_age_seconds     = 79200
}

# Each function gets exactly the environment variables that it reads, and each mapping has the settings that the guarantees depend on.
run "functions_and_mappings_follow_the_variables" {
  module {
    source = "./modules/compute"
  }

  assert {
    condition = one(aws_lambda_function.ingest.environment).variables == tomap({
      TABLE_NAME           = "claims"
      DEDUP_WINDOW_SECONDS = "2000000"
      EVENT_ID_POINTER     = "/detail/id"
      ON_CONFLICT          = "dead-letter"
      CLAIM_CACHE_ENTRIES  = "0"
      CLAIM_WRITES         = "batch"
    })
    error_message = "ingest-fn does not get exactly the environment variables that it reads."
  }

  assert {
    condition = one(aws_lambda_function.archive.environment).variables == tomap({
      BUCKET_NAME   = "lake"
      OBJECT_PREFIX = "raw/events/"
    })
    error_message = "archive-fn does not get exactly the environment variables that it reads."
  }

  assert {
    condition = [
      for function in [aws_lambda_function.ingest, aws_lambda_function.archive] :
      [function.function_name, function.role, function.filename, function.source_code_hash]
      ] == [
      ["stack-ingest-fn", "arn:aws:iam::123456789012:role/ingest", "versions.tf", filebase64sha256("versions.tf")],
      ["stack-archive-fn", "arn:aws:iam::123456789012:role/archive", "main.tf", filebase64sha256("main.tf")],
    ]
    error_message = "A function has the wrong name, role or code."
  }

  assert {
    condition = alltrue([
      for function in [aws_lambda_function.ingest, aws_lambda_function.archive] : alltrue([
        function.runtime == "provided.al2023",
        one(function.architectures) == "arm64",
        function.memory_size == 512,
        function.timeout == 20,
        one(function.tracing_config).mode == "Active",
        one(function.logging_config).log_format == "JSON",
        one(function.logging_config).application_log_level == "DEBUG",
        one(function.logging_config).log_group == "/aws/lambda/${function.function_name}",
      ])
    ])
    error_message = "A function's runtime, tracing or logging settings do not follow the variables."
  }

  assert {
    condition     = aws_cloudwatch_log_group.ingest.retention_in_days == 14 && aws_cloudwatch_log_group.archive.retention_in_days == 14
    error_message = "A log group does not have the retention of 14 days."
  }

  assert {
    condition = alltrue([
      aws_lambda_event_source_mapping.ingest.event_source_arn == "arn:aws:sqs:sa-east-1:123456789012:queue",
      aws_lambda_event_source_mapping.ingest.function_name == aws_lambda_function.ingest.arn,
      aws_lambda_event_source_mapping.ingest.batch_size == 100,
      aws_lambda_event_source_mapping.ingest.maximum_batching_window_in_seconds == 7,
      one(aws_lambda_event_source_mapping.ingest.scaling_config).maximum_concurrency == 20,
      aws_lambda_event_source_mapping.ingest.function_response_types == toset(["ReportBatchItemFailures"]),
    ])
    error_message = "A setting of the queue mapping is wrong."
  }

  assert {
    condition = alltrue([
      aws_lambda_event_source_mapping.archive.event_source_arn == "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      aws_lambda_event_source_mapping.archive.function_name == aws_lambda_function.archive.arn,
      aws_lambda_event_source_mapping.archive.starting_position == "TRIM_HORIZON",
      aws_lambda_event_source_mapping.archive.batch_size == 200,
      aws_lambda_event_source_mapping.archive.maximum_batching_window_in_seconds == 1,
      aws_lambda_event_source_mapping.archive.parallelization_factor == 3,
      aws_lambda_event_source_mapping.archive.bisect_batch_on_function_error,
      aws_lambda_event_source_mapping.archive.maximum_retry_attempts == -1,
      aws_lambda_event_source_mapping.archive.maximum_record_age_in_seconds == 79200,
      aws_lambda_event_source_mapping.archive.function_response_types == toset(["ReportBatchItemFailures"]),
      one(one(aws_lambda_event_source_mapping.archive.destination_config).on_failure).destination_arn == "arn:aws:sqs:sa-east-1:123456789012:on-failure",
    ])
    error_message = "A setting of the stream mapping is wrong."
  }

  assert {
    condition     = jsondecode(one(one(aws_lambda_event_source_mapping.archive.filter_criteria).filter).pattern) == { dynamodb = { NewImage = { sk = { S = ["CLAIM"] } } } }
    error_message = "The stream mapping must deliver every new image of a claim, with any event name: a MODIFY can be a new claim too."
  }
}

run "missing_zip_fails_the_plan" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_zip  = "no-such-ingest.zip"
    archive_zip = "no-such-archive.zip"
  }

  expect_failures = [aws_lambda_function.ingest, aws_lambda_function.archive]
}
