# Tests of the validations of the module pipeline, including accepted values at the limits. A run that expects a failure breaks one
# validation, because Terraform does not tell which validation of an object failed. The tests deploy nothing, so any file can serve as
# a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

# A duplicate that is sent a day after its event may wait 14 days in the dead-letter queue and then another day in the queue.
run "window_that_ends_before_a_redrive_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = (1 + 1 + 14) * 86400 - 1
    retention            = { on_failure_seconds = 86400 }
  }

  expect_failures = [var.dedup_window_seconds]
}

run "later_duplicates_need_longer_window" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    late_duplicates_seconds = 86400 + 1
  }

  expect_failures = [var.dedup_window_seconds]
}

run "window_that_covers_late_duplicates_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    late_duplicates_seconds = 4 * 86400
    dedup_window_seconds    = (4 + 1 + 14) * 86400
  }
}

run "negative_lateness_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    late_duplicates_seconds = -1
  }

  expect_failures = [var.late_duplicates_seconds]
}

# The window must be at least a day longer than the retention of the on-failure queue.
run "window_too_short_for_on_failure_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = 15 * 86400 - 1
    retention            = { queue_seconds = 86400, dlq_seconds = 2 * 86400 }
  }

  expect_failures = [var.dedup_window_seconds]
}

run "window_of_16_days_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = (1 + 1 + 14) * 86400
  }
}

run "longer_queue_retention_needs_longer_window" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { queue_seconds = 2 * 86400 }
  }

  expect_failures = [var.dedup_window_seconds]
}

run "short_window_fits_short_retentions" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds    = 3 * 86400
    late_duplicates_seconds = 86400 - 3600
    retention               = { queue_seconds = 3600, dlq_seconds = 2 * 86400, on_failure_seconds = 2 * 86400 }
  }
}

run "window_over_a_century_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = 3162240001
  }

  expect_failures = [var.dedup_window_seconds]
}

# SQS deletes a message that keeps failing before it becomes a dead letter if it is first received too near the end of the
# retention. The alarm queue-message-age must go off before any message can be received that late.
run "queue_retention_must_cover_alarm_and_receives" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { queue_seconds = 2 * 3 * (6 * 30 + 5) - 1 }
  }

  expect_failures = [var.retention]
}

run "shortest_queue_retention_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { queue_seconds = 2 * 3 * (6 * 30 + 5) }
  }
}

run "dlq_retention_must_exceed_queue_by_a_day" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { queue_seconds = 86400, dlq_seconds = 2 * 86400 - 1 }
  }

  expect_failures = [var.retention]
}

run "log_level_that_drops_metrics_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { log_level = "WARN" }
  }

  expect_failures = [var.functions]
}

# The mapping must discard a record, and name it in the on-failure queue, before the stream drops it after 24 hours.
run "record_age_of_24_hours_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", maximum_record_age_seconds = 24 * 3600 }
  }

  expect_failures = [var.archive]
}

# With -1, Lambda would retry a record until the stream drops it, and would not name it in the on-failure queue.
run "unlimited_record_age_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", maximum_record_age_seconds = -1 }
  }

  expect_failures = [var.archive]
}

run "batch_over_ten_needs_a_batching_window" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", batch_size = 11, batching_window_seconds = 0 }
  }

  expect_failures = [var.ingest]
}

# With packs, batches have 1,000 messages unless the settings say otherwise.
run "packs_need_a_batching_window" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "packs"
    ingest      = { zip = "versions.tf", batching_window_seconds = 0 }
  }

  expect_failures = [var.ingest]
}

run "packs_need_time_for_all_claims" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "packs"
    functions   = { timeout_seconds = 11 }
  }

  expect_failures = [var.ingest]
}

run "packs_with_enough_time_are_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "packs"
    functions   = { timeout_seconds = 12 }
  }
}

run "larger_packs_need_more_time" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "packs"
    ingest      = { zip = "versions.tf", batch_size = 4601 }
  }

  expect_failures = [var.ingest]
}

run "objects_need_no_time_for_packs" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { timeout_seconds = 5 }
  }
}

# 2 x 3 x (6 x 30 s + 20 s).
run "queue_retention_must_cover_the_window_of_packs" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "packs"
    retention   = { queue_seconds = 1199 }
  }

  expect_failures = [var.retention]
}

run "unknown_layout_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    lake_layout = "pack"
  }

  expect_failures = [var.lake_layout]
}

# The roles' policies would treat the asterisk as a wildcard.
run "prefix_with_a_wildcard_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "events*/"
  }

  expect_failures = [var.object_prefix]
}

run "prefix_without_a_slash_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "events"
  }

  expect_failures = [var.object_prefix]
}

run "nested_prefix_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "raw/team=a/events/"
  }
}

run "overlong_default_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    project = "a-project-with-a-long-name"
  }

  expect_failures = [var.bucket_name]
}

# An entry takes 150 bytes, and a batch takes up to 64 MB.
run "cache_that_leaves_too_little_memory_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { memory_mb = 128 }
    ingest    = { zip = "versions.tf", claim_cache_entries = 447393 }
  }

  expect_failures = [var.ingest]
}

run "largest_cache_in_128_mb_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { memory_mb = 128 }
    ingest    = { zip = "versions.tf", claim_cache_entries = 447392 }
  }
}

run "largest_cache_in_256_mb_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { memory_mb = 256 }
    ingest    = { zip = "versions.tf", claim_cache_entries = 1000000 }
  }
}

# A dot in a bucket name breaks TLS.
run "bucket_name_with_a_dot_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "data.lake"
  }

  expect_failures = [var.bucket_name]
}

run "unknown_conflict_action_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    on_conflict = "Acknowledge"
  }

  expect_failures = [var.on_conflict]
}

run "unknown_claim_writes_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", claim_writes = "batched" }
  }

  expect_failures = [var.ingest]
}

run "cache_over_a_million_entries_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { memory_mb = 512 }
    ingest    = { zip = "versions.tf", claim_cache_entries = 1000001 }
  }

  expect_failures = [var.ingest]
}

run "batch_over_10000_messages_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", batch_size = 10001 }
  }

  expect_failures = [var.ingest]
}

run "batching_window_over_300_s_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", batching_window_seconds = 301 }
  }

  expect_failures = [var.ingest]
}

run "maximum_concurrency_of_one_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", maximum_concurrency = 1 }
  }

  expect_failures = [var.ingest]
}

run "batch_over_10000_records_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", batch_size = 10001 }
  }

  expect_failures = [var.archive]
}

run "negative_stream_window_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", batching_window_seconds = -1 }
  }

  expect_failures = [var.archive]
}

run "parallelization_factor_over_10_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", parallelization_factor = 11 }
  }

  expect_failures = [var.archive]
}

run "retry_attempts_below_minus_one_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    archive = { zip = "versions.tf", maximum_retry_attempts = -2 }
  }

  expect_failures = [var.archive]
}

run "unknown_architecture_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { architecture = "riscv64" }
  }

  expect_failures = [var.functions]
}

run "timeout_over_900_s_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { timeout_seconds = 901 }
  }

  expect_failures = [var.functions]
}

run "memory_below_128_mb_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { memory_mb = 127 }
  }

  expect_failures = [var.functions]
}

run "max_receive_count_of_zero_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    max_receive_count = 0
  }

  expect_failures = [var.max_receive_count]
}

run "messages_over_1_mib_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    max_message_bytes = 1048577
  }

  expect_failures = [var.max_message_bytes]
}

run "messages_below_1_kib_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    max_message_bytes = 1023
  }

  expect_failures = [var.max_message_bytes]
}

# Versions of the provider below 6.8 refuse more than 262144, so no test plans the maximum of SQS.
run "messages_of_1_kib_are_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    max_message_bytes = 1024
  }
}

run "queue_retention_below_60_s_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { queue_seconds = 59 }
  }

  expect_failures = [var.retention]
}

run "dlq_retention_over_14_days_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = 60 * 86400
    retention            = { dlq_seconds = 14 * 86400 + 1 }
  }

  expect_failures = [var.retention]
}

run "on_failure_retention_over_14_days_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    dedup_window_seconds = 60 * 86400
    retention            = { on_failure_seconds = 14 * 86400 + 1 }
  }

  expect_failures = [var.retention]
}

run "on_failure_retention_below_a_day_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { on_failure_seconds = 86399 }
  }

  expect_failures = [var.retention]
}

run "unlimited_log_retention_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    retention = { logs_days = 0 }
  }

  expect_failures = [var.retention]
}

run "kms_alias_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    table_kms_key_arn  = "alias/claims"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:alias/lake"
  }

  expect_failures = [var.table_kms_key_arn, var.bucket_kms_key_arn]
}

run "names_that_aws_refuses_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    stage              = "dev-"
    glue_database_name = "data-lake"
  }

  expect_failures = [var.stage, var.glue_database_name]
}

run "project_that_s3_refuses_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    project = "Dynamo_Locking"
  }

  expect_failures = [var.project]
}

run "email_without_an_at_sign_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { email = "nobody" }
  }

  expect_failures = [var.alarms]
}

# The root module passes the region to its provider.
run "malformed_region_is_refused" {
  command = plan

  variables {
    region = "São Paulo"
  }

  expect_failures = [var.region]
}
