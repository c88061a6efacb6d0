# Tests of the root module's validations, including accepted values at the limits. The tests deploy nothing, so any file can serve
# as a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest_zip  = "versions.tf"
  archive_zip = "versions.tf"
}

# A duplicate that is sent a day after its event may wait 14 days in the dead-letter queue and then another day in the queue.
run "window_that_ends_before_a_redrive_is_refused" {
  command = plan

  variables {
    dedup_window_seconds         = (1 + 1 + 14) * 86400 - 1
    on_failure_retention_seconds = 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "later_duplicates_need_longer_window" {
  command = plan

  variables {
    late_duplicates_seconds = 86400 + 1
  }

  expect_failures = [var.dedup_window_seconds]
}

run "window_that_covers_late_duplicates_is_accepted" {
  command = plan

  variables {
    late_duplicates_seconds = 4 * 86400
    dedup_window_seconds    = (4 + 1 + 14) * 86400
  }
}

run "negative_lateness_is_refused" {
  command = plan

  variables {
    late_duplicates_seconds = -1
  }

  expect_failures = [var.late_duplicates_seconds]
}

# The window must be at least a day longer than the retention of the on-failure queue.
run "window_too_short_for_on_failure_is_refused" {
  command = plan

  variables {
    dedup_window_seconds    = 15 * 86400 - 1
    queue_retention_seconds = 86400
    dlq_retention_seconds   = 2 * 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "window_of_16_days_is_accepted" {
  command = plan

  variables {
    dedup_window_seconds = (1 + 1 + 14) * 86400
  }
}

run "longer_queue_retention_needs_longer_window" {
  command = plan

  variables {
    queue_retention_seconds = 2 * 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "short_window_fits_short_retentions" {
  command = plan

  variables {
    dedup_window_seconds         = 3 * 86400
    late_duplicates_seconds      = 86400 - 3600
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 2 * 86400
    on_failure_retention_seconds = 2 * 86400
  }
}

run "window_over_a_century_is_refused" {
  command = plan

  variables {
    dedup_window_seconds = 3162240001
  }

  expect_failures = [var.dedup_window_seconds]
}

# SQS deletes a message that keeps failing before it becomes a dead letter if it is first received too near the end of the
# retention. The alarm queue-message-age must go off before any message can be received that late.
run "queue_retention_must_cover_alarm_and_receives" {
  command = plan

  variables {
    queue_retention_seconds = 2 * 3 * (6 * 30 + 5) - 1
  }

  expect_failures = [var.queue_retention_seconds]
}

run "shortest_queue_retention_is_accepted" {
  command = plan

  variables {
    queue_retention_seconds = 2 * 3 * (6 * 30 + 5)
  }
}

run "dlq_retention_must_exceed_queue_by_a_day" {
  command = plan

  variables {
    queue_retention_seconds = 86400
    dlq_retention_seconds   = 2 * 86400 - 1
  }

  expect_failures = [var.dlq_retention_seconds]
}

run "retention_over_sqs_maximum_is_refused" {
  command = plan

  variables {
    dedup_window_seconds         = 60 * 86400
    dlq_retention_seconds        = 14 * 86400 + 1
    on_failure_retention_seconds = 14 * 86400 + 1
  }

  expect_failures = [var.dlq_retention_seconds, var.on_failure_retention_seconds]
}

run "log_level_that_drops_metrics_is_refused" {
  command = plan

  variables {
    log_level = "WARN"
  }

  expect_failures = [var.log_level]
}

# The mapping must discard a record, and name it in the on-failure queue, before the stream drops it after 24 hours.
run "record_age_of_24_hours_is_refused" {
  command = plan

  variables {
    archive_maximum_record_age_seconds = 24 * 3600
  }

  expect_failures = [var.archive_maximum_record_age_seconds]
}

# With -1, Lambda would retry a record until the stream drops it, and would not name it in the on-failure queue.
run "unlimited_record_age_is_refused" {
  command = plan

  variables {
    archive_maximum_record_age_seconds = -1
  }

  expect_failures = [var.archive_maximum_record_age_seconds]
}

run "batch_over_ten_needs_a_batching_window" {
  command = plan

  variables {
    ingest_batch_size              = 11
    ingest_batching_window_seconds = 0
  }

  expect_failures = [var.ingest_batch_size]
}

# The roles' policies would treat the asterisk as a wildcard.
run "prefix_with_a_wildcard_is_refused" {
  command = plan

  variables {
    object_prefix = "events*/"
  }

  expect_failures = [var.object_prefix]
}

run "prefix_without_a_slash_is_refused" {
  command = plan

  variables {
    object_prefix = "events"
  }

  expect_failures = [var.object_prefix]
}

run "nested_prefix_is_accepted" {
  command = plan

  variables {
    object_prefix = "raw/team=a/events/"
  }
}

run "overlong_default_bucket_name_is_refused" {
  command = plan

  variables {
    project = "a-project-with-a-long-name"
  }

  expect_failures = [var.bucket_name]
}

run "values_that_ingest_fn_refuses_are_refused" {
  command = plan

  variables {
    event_id_pointer    = "event_id"
    on_conflict         = "Acknowledge"
    claim_cache_entries = 1000001
    claim_writes        = "batched"
  }

  expect_failures = [var.event_id_pointer, var.on_conflict, var.claim_cache_entries, var.claim_writes]
}

# An entry takes 150 bytes, and a batch takes up to 64 MB.
run "cache_that_leaves_too_little_memory_is_refused" {
  command = plan

  variables {
    memory_mb           = 128
    claim_cache_entries = 447393
  }

  expect_failures = [var.claim_cache_entries]
}

run "largest_cache_in_128_mb_is_accepted" {
  command = plan

  variables {
    memory_mb           = 128
    claim_cache_entries = 447392
  }
}

run "largest_cache_in_256_mb_is_accepted" {
  command = plan

  variables {
    memory_mb           = 256
    claim_cache_entries = 1000000
  }
}

run "empty_event_id_pointer_is_refused" {
  command = plan

  variables {
    event_id_pointer = ""
  }

  expect_failures = [var.event_id_pointer]
}

run "kms_alias_is_refused" {
  command = plan

  variables {
    table_kms_key_arn  = "alias/claims"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:alias/lake"
  }

  expect_failures = [var.table_kms_key_arn, var.bucket_kms_key_arn]
}

run "values_that_lambda_or_sqs_refuse_are_refused" {
  command = plan

  variables {
    architecture                    = "riscv64"
    memory_mb                       = 64
    function_timeout_seconds        = 901
    max_receive_count               = 0
    ingest_maximum_concurrency      = 1
    ingest_batching_window_seconds  = 301
    archive_batch_size              = 10001
    archive_batching_window_seconds = -1
    archive_parallelization_factor  = 11
    archive_maximum_retry_attempts  = -2
    log_retention_days              = 0
  }

  expect_failures = [
    var.architecture,
    var.memory_mb,
    var.function_timeout_seconds,
    var.max_receive_count,
    var.ingest_maximum_concurrency,
    var.ingest_batching_window_seconds,
    var.archive_batch_size,
    var.archive_batching_window_seconds,
    var.archive_parallelization_factor,
    var.archive_maximum_retry_attempts,
    var.log_retention_days,
  ]
}

run "names_that_aws_refuses_are_refused" {
  command = plan

  variables {
    region             = "São Paulo"
    project            = "Dynamo_Locking"
    stage              = "dev-"
    glue_database_name = "data-lake"
    alarm_email        = "nobody"
  }

  expect_failures = [
    var.region,
    var.project,
    var.stage,
    var.glue_database_name,
    var.alarm_email,
  ]
}

# A dot in a bucket name breaks TLS.
run "bucket_name_with_a_dot_is_refused" {
  command = plan

  variables {
    bucket_name = "data.lake"
  }

  expect_failures = [var.bucket_name]
}
