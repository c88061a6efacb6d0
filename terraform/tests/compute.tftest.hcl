# Tests of the module compute: both functions and their event source mappings.

mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = aws_lambda_function.ingest
    values = { version = "12" }
  }

  override_resource {
    target = aws_lambda_function.archive
    values = { version = "34" }
  }

  override_resource {
    target = aws_lambda_alias.ingest
    values = { arn = "arn:aws:lambda:sa-east-1:123456789012:function:ingest:live" }
  }

  override_resource {
    target = aws_lambda_alias.archive
    values = { arn = "arn:aws:lambda:sa-east-1:123456789012:function:archive:live" }
  }

  # Versions that a roll-back can choose. The one of ingest-fn is older than the setting ON_CONFLICT.
  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = {
      environment = [{ variables = { DEDUP_WINDOW_SECONDS = "2000000", DEDUP_KEY = "/detail/id", CONFLICT_IGNORE = "[\"/sent_at\"]", CLAIM_CACHE_ENTRIES = "7", LAKE_LAYOUT = "objects" } }]
    }
  }

  override_data {
    target = data.aws_lambda_function.chosen_archive
    values = {
      description = "Writes each new claim and each new pack of claims to lake as one object."
      environment = [{ variables = { OBJECT_PREFIX = "raw/events/", LOG_ROUTINE_OUTCOMES = "true" } }]
    }
  }
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  name_prefix                            = "stack"
  ingest_code                            = { zip = "versions.tf" }
  archive_code                           = { zip = "main.tf" }
  ingest_version                         = null
  archive_version                        = null
  architecture                           = "arm64"
  function_timeout_seconds               = 20
  memory_mb                              = 512
  log_level                              = "DEBUG"
  log_retention_days                     = 14
  logs_kms_key_arn                       = ""
  tracing_mode                           = "Active"
  ingest_role_arn                        = "arn:aws:iam::123456789012:role/ingest"
  archive_role_arn                       = "arn:aws:iam::123456789012:role/archive"
  table_name                             = "claims"
  bucket_name                            = "lake"
  object_prefix                          = "raw/events/"
  dedup_window_seconds                   = 2000000
  dedup_key                              = "/detail/id"
  conflict_ignore                        = ["/sent_at"]
  log_routine_outcomes                   = false
  on_conflict                            = "dead-letter"
  claim_cache_entries                    = 0
  claim_writes                           = "batch"
  lake_layout                            = "objects"
  max_receive_count                      = 4
  queue_arn                              = "arn:aws:sqs:sa-east-1:123456789012:queue"
  stream_arn                             = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000"
  on_failure_queue_arn                   = "arn:aws:sqs:sa-east-1:123456789012:on-failure"
  ingest_enabled                         = true
  archive_enabled                        = true
  ingest_batch_size                      = 100
  ingest_batching_window_seconds         = 7
  ingest_maximum_concurrency             = 20
  ingest_provisioned_pollers             = null
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
      DEDUP_KEY            = "/detail/id"
      CONFLICT_IGNORE      = "[\"/sent_at\"]"
      ON_CONFLICT          = "dead-letter"
      CLAIM_CACHE_ENTRIES  = "0"
      CLAIM_WRITES         = "batch"
      LAKE_LAYOUT          = "objects"
      MAX_RECEIVE_COUNT    = "4"
      LOG_ROUTINE_OUTCOMES = "false"
    })
    error_message = "ingest-fn does not get exactly the environment variables that it reads."
  }

  assert {
    condition = one(aws_lambda_function.archive.environment).variables == tomap({
      BUCKET_NAME          = "lake"
      OBJECT_PREFIX        = "raw/events/"
      LOG_ROUTINE_OUTCOMES = "false"
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
      aws_lambda_event_source_mapping.ingest.enabled,
      aws_lambda_event_source_mapping.ingest.event_source_arn == "arn:aws:sqs:sa-east-1:123456789012:queue",
      aws_lambda_event_source_mapping.ingest.function_name == "arn:aws:lambda:sa-east-1:123456789012:function:ingest:live",
      aws_lambda_event_source_mapping.ingest.batch_size == 100,
      aws_lambda_event_source_mapping.ingest.maximum_batching_window_in_seconds == 7,
      one(aws_lambda_event_source_mapping.ingest.scaling_config).maximum_concurrency == 20,
      aws_lambda_event_source_mapping.ingest.function_response_types == toset(["ReportBatchItemFailures"]),
    ])
    error_message = "A setting of the queue mapping is wrong."
  }

  assert {
    condition = alltrue([
      aws_lambda_event_source_mapping.archive.enabled,
      aws_lambda_event_source_mapping.archive.event_source_arn == "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      aws_lambda_event_source_mapping.archive.function_name == "arn:aws:lambda:sa-east-1:123456789012:function:archive:live",
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

  # The same patterns as pack_filter in crates/pipeline.
  assert {
    condition = toset([for filter in one(aws_lambda_event_source_mapping.archive.filter_criteria).filter : filter.pattern]) == toset([
      jsonencode({ dynamodb = { NewImage = { sk = { S = [{ prefix = "CLAIM" }] }, layout = { S = [{ exists = false }] } } } }),
      jsonencode({ dynamodb = { NewImage = { sk = { S = [{ prefix = "CLAIM" }] }, layout = { S = ["object"] } } } }),
      jsonencode({ dynamodb = { NewImage = { sk = { S = ["PACK"] } } } }),
    ])
    error_message = "The stream mapping must deliver every new image of a pack, and of a claim that is not packed, of any dedup key and with any event name: a MODIFY can be a new claim too."
  }
}

# The stream of the variables is older than the plan, so the stack may have had the filter of an older release until now.
run "packs_together_with_their_filter_are_refused" {
  command   = plan
  state_key = "older_release"

  module {
    source = "./modules/compute"
  }

  variables {
    lake_layout = "packs"
  }

  expect_failures = [terraform_data.filter_passes_packs]
}

run "packs_on_a_new_stack_are_accepted" {
  state_key = "new_stack"

  module {
    source = "./modules/compute"
  }

  variables {
    lake_layout = "packs"
    stream_arn  = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/${formatdate("YYYY-MM-DD'T'hh:mm:ss.000", timeadd(timestamp(), "-4m"))}"
  }

  assert {
    condition     = one(aws_lambda_function.ingest.environment).variables["LAKE_LAYOUT"] == "packs"
    error_message = "ingest-fn does not get the layout."
  }
}

run "filter_is_set_without_packs" {
  state_key = "upgraded"

  module {
    source = "./modules/compute"
  }
}

run "packs_seconds_after_the_filter_are_refused" {
  command   = plan
  state_key = "upgraded"

  module {
    source = "./modules/compute"
  }

  variables {
    lake_layout = "packs"
  }

  expect_failures = [terraform_data.filter_passes_packs]
}

run "filter_was_set_long_ago" {
  state_key = "waited"

  module {
    source = "./modules/compute"
  }

  override_resource {
    target = terraform_data.filter_passes_packs
    values = { output = { applied = "2026-01-01T00:00:00Z" } }
  }
}

run "a_second_later" {
  module {
    source = "./tests/a-second-later"
  }
}

run "packs_long_after_the_filter_are_accepted" {
  state_key = "waited"

  module {
    source = "./modules/compute"
  }

  variables {
    lake_layout = "packs"
  }

  assert {
    condition     = one(aws_lambda_function.ingest.environment).variables["LAKE_LAYOUT"] == "packs"
    error_message = "ingest-fn does not get the layout."
  }
}

# A mapping that was switched off in an incident stays off at the next apply.
run "each_mapping_can_be_switched_off" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_enabled = false
  }

  assert {
    condition     = [aws_lambda_event_source_mapping.ingest.enabled, aws_lambda_event_source_mapping.archive.enabled] == [false, true]
    error_message = "ingest_enabled does not switch off exactly the queue mapping."
  }
}

run "missing_zip_fails_the_plan" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_code  = { zip = "no-such-ingest.zip" }
    archive_code = { zip = "no-such-archive.zip" }
  }

  expect_failures = [aws_lambda_function.ingest, aws_lambda_function.archive]
}

run "code_can_come_from_s3" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_code = {
      s3_bucket         = "releases"
      s3_key            = "v1.2.0/ingest-fn-arm64.zip"
      s3_object_version = "third"
      source_code_hash  = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    }
    archive_code = { s3_bucket = "releases", s3_key = "v1.2.0/archive-fn-arm64.zip" }
  }

  assert {
    condition = [
      for function in [aws_lambda_function.ingest, aws_lambda_function.archive] :
      jsonencode([function.filename, function.s3_bucket, function.s3_key, function.s3_object_version])
      ] == [
      jsonencode([null, "releases", "v1.2.0/ingest-fn-arm64.zip", "third"]),
      jsonencode([null, "releases", "v1.2.0/archive-fn-arm64.zip", null]),
    ]
    error_message = "A function does not take its code from the named object."
  }

  assert {
    condition     = aws_lambda_function.ingest.source_code_hash == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    error_message = "Terraform would not notice that the object has changed."
  }
}

run "mappings_invoke_newest_versions" {
  module {
    source = "./modules/compute"
  }

  assert {
    condition     = [output.ingest_version, output.archive_version] == ["12", "34"]
    error_message = "The mappings invoke the versions ${output.ingest_version} and ${output.archive_version}, not the newest ones."
  }
}

# The chosen version of ingest-fn caches another number of claims, which does not change what happens to an event.
run "roll_back_invokes_chosen_versions" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    archive_version = 8
  }

  assert {
    condition     = [output.ingest_version, output.archive_version] == ["7", "8"]
    error_message = "The mappings invoke the versions ${output.ingest_version} and ${output.archive_version}, not the chosen ones."
  }

  assert {
    condition = [
      for version in concat(data.aws_lambda_function.chosen_ingest, data.aws_lambda_function.chosen_archive) :
      [version.function_name, version.qualifier]
    ] == [["stack-ingest-fn", "7"], ["stack-archive-fn", "8"]]
    error_message = "The plan reads the settings of other versions."
  }
}

run "roll_back_to_another_window_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version       = 7
    dedup_window_seconds = 2000001
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_another_dedup_key_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version = 7
    dedup_key      = "/id"
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_other_ignored_members_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    conflict_ignore = []
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_another_conflict_action_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version = 7
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { ON_CONFLICT = "acknowledge" } }] }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

# A new stack, so that only the version is refused.
run "roll_back_to_another_layout_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version = 7
    lake_layout    = "packs"
    stream_arn     = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000"
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_packs_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version = 7
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { DEDUP_KEY = "/detail/id", CONFLICT_IGNORE = "[\"/sent_at\"]", LAKE_LAYOUT = "packs" } }] }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_of_ingest_to_before_packs_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version = 7
    lake_layout    = "packs"
    stream_arn     = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000"
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { DEDUP_KEY = "/detail/id", CONFLICT_IGNORE = "[\"/sent_at\"]" } }] }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_archive_that_skips_packs_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    archive_version = 8
    lake_layout     = "packs"
    stream_arn      = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000"
  }

  override_data {
    target = data.aws_lambda_function.chosen_archive
    values = {
      description = "Writes each new claim of claims to lake as one object."
      environment = [{ variables = { OBJECT_PREFIX = "raw/events/", LOG_ROUTINE_OUTCOMES = "true" } }]
    }
  }

  expect_failures = [aws_lambda_alias.archive]
}

run "roll_back_to_archive_with_packs_is_accepted" {
  module {
    source = "./modules/compute"
  }

  variables {
    archive_version = 8
    lake_layout     = "packs"
    stream_arn      = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2999-01-01T00:00:00.000"
  }

  # The text that the version above has.
  assert {
    condition     = aws_lambda_function.archive.description == data.aws_lambda_function.chosen_archive[0].description
    error_message = "Later plans would refuse a roll-back to the version that this module publishes: ${aws_lambda_function.archive.description}"
  }
}

run "roll_back_to_another_prefix_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    archive_version = 8
    object_prefix   = "orders/"
  }

  expect_failures = [aws_lambda_alias.archive]
}

run "log_groups_and_functions_follow_the_switches" {
  module {
    source = "./modules/compute"
  }

  variables {
    logs_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:key/logs"
    tracing_mode     = "PassThrough"
  }

  assert {
    condition = [for group in [aws_cloudwatch_log_group.ingest, aws_cloudwatch_log_group.archive] : group.kms_key_id] == [
      "arn:aws:kms:sa-east-1:123456789012:key/logs", "arn:aws:kms:sa-east-1:123456789012:key/logs",
    ]
    error_message = "Both log groups must be encrypted with the given key."
  }

  assert {
    condition     = [for function in [aws_lambda_function.ingest, aws_lambda_function.archive] : one(function.tracing_config).mode] == ["PassThrough", "PassThrough"]
    error_message = "Both functions must have the given tracing mode."
  }
}

run "provisioned_pollers_replace_the_concurrency" {
  module {
    source = "./modules/compute"
  }

  variables {
    ingest_provisioned_pollers = { minimum = 3, maximum = 40 }
  }

  assert {
    condition = [
      for pollers in aws_lambda_event_source_mapping.ingest.provisioned_poller_config : [pollers.minimum_pollers, pollers.maximum_pollers]
    ] == [[3, 40]]
    error_message = "The queue mapping must have the given numbers of pollers."
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.ingest.scaling_config) == 0 && length(aws_lambda_event_source_mapping.archive.provisioned_poller_config) == 0
    error_message = "Lambda refuses pollers together with a maximum concurrency, and pollers for a stream of DynamoDB."
  }
}

# The version was published by a release that had no DEDUP_KEY and no CONFLICT_IGNORE.
run "roll_back_to_before_dedup_keys_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    dedup_key       = "[\"/source\",\"/id\"]"
    conflict_ignore = ["/sent_at"]
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = {
      environment = [{ variables = { DEDUP_WINDOW_SECONDS = "2000000", EVENT_ID_POINTER = "/event_id", ON_CONFLICT = "dead-letter" } }]
    }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

# A version without these settings has their defaults, so a roll-back to it is possible if the stack has the defaults too.
run "roll_back_to_before_dedup_keys_needs_the_defaults" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    archive_version = 8
    dedup_key       = "/event_id"
    conflict_ignore = []
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { DEDUP_WINDOW_SECONDS = "2000000", EVENT_ID_POINTER = "/event_id" } }] }
  }

  override_data {
    target = data.aws_lambda_function.chosen_archive
    values = { environment = [{ variables = { OBJECT_PREFIX = "raw/events/" } }] }
  }

  assert {
    condition     = [output.ingest_version, output.archive_version] == ["7", "8"]
    error_message = "The mappings invoke the versions ${output.ingest_version} and ${output.archive_version}, not the chosen ones."
  }
}

run "roll_back_to_another_pointer_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    dedup_key       = "/event_id"
    conflict_ignore = []
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { EVENT_ID_POINTER = "/id" } }] }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

run "roll_back_to_before_ignored_members_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    ingest_version  = 7
    dedup_key       = "/event_id"
    conflict_ignore = ["/sent_at"]
  }

  override_data {
    target = data.aws_lambda_function.chosen_ingest
    values = { environment = [{ variables = { EVENT_ID_POINTER = "/event_id" } }] }
  }

  expect_failures = [aws_lambda_alias.ingest]
}

# The version of archive-fn would skip the claims of this dedup key.
run "roll_back_to_archive_that_skips_claims_is_refused" {
  command = plan

  module {
    source = "./modules/compute"
  }

  variables {
    archive_version = 8
  }

  override_data {
    target = data.aws_lambda_function.chosen_archive
    values = { environment = [{ variables = { OBJECT_PREFIX = "raw/events/" } }] }
  }

  expect_failures = [aws_lambda_alias.archive]
}
