# What the root module refuses, and what it takes at the very edge. Any file stands for a zip: nothing is deployed.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest_zip  = "versions.tf"
  archive_zip = "versions.tf"
}

run "the_window_outlasts_the_queue_and_its_dead_letter_queue" {
  command = plan

  variables {
    dedup_window_seconds         = 15 * 86400
    on_failure_retention_seconds = 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "the_window_outlasts_the_on_failure_queue_by_a_day" {
  command = plan

  variables {
    dedup_window_seconds    = 15 * 86400 - 1
    queue_retention_seconds = 86400
    dlq_retention_seconds   = 2 * 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "a_window_a_second_longer_than_both_is_taken" {
  command = plan

  variables {
    dedup_window_seconds = 15 * 86400 + 1
  }
}

run "a_longer_queue_retention_needs_a_longer_window" {
  command = plan

  variables {
    queue_retention_seconds = 2 * 86400
  }

  expect_failures = [var.dedup_window_seconds]
}

run "a_short_window_is_taken_with_short_retentions" {
  command = plan

  variables {
    dedup_window_seconds         = 3 * 86400
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 2 * 86400
    on_failure_retention_seconds = 2 * 86400
  }
}

run "a_window_of_more_than_a_century_is_refused" {
  command = plan

  variables {
    dedup_window_seconds = 3162240001
  }

  expect_failures = [var.dedup_window_seconds]
}

run "a_message_lives_long_enough_to_become_a_dead_letter" {
  command = plan

  variables {
    queue_retention_seconds = 3 * (6 * 30 + 5)
  }

  expect_failures = [var.queue_retention_seconds]
}

run "a_dead_letter_lives_a_day_longer_than_in_the_queue" {
  command = plan

  variables {
    queue_retention_seconds = 86400
    dlq_retention_seconds   = 2 * 86400 - 1
  }

  expect_failures = [var.dlq_retention_seconds]
}

run "no_queue_keeps_longer_than_sqs_can" {
  command = plan

  variables {
    dedup_window_seconds         = 60 * 86400
    dlq_retention_seconds        = 14 * 86400 + 1
    on_failure_retention_seconds = 14 * 86400 + 1
  }

  expect_failures = [var.dlq_retention_seconds, var.on_failure_retention_seconds]
}

run "log_levels_that_blind_the_metrics_are_refused" {
  command = plan

  variables {
    log_level = "WARN"
  }

  expect_failures = [var.log_level]
}

run "a_record_is_given_up_before_the_stream_drops_it" {
  command = plan

  variables {
    archive_maximum_record_age_seconds = 24 * 3600
  }

  expect_failures = [var.archive_maximum_record_age_seconds]
}

run "records_are_never_kept_until_they_silently_expire" {
  command = plan

  variables {
    archive_maximum_record_age_seconds = -1
  }

  expect_failures = [var.archive_maximum_record_age_seconds]
}

run "a_batch_of_more_than_ten_messages_needs_a_window" {
  command = plan

  variables {
    ingest_batch_size              = 11
    ingest_batching_window_seconds = 0
  }

  expect_failures = [var.ingest_batch_size]
}

run "prefixes_that_would_lose_objects_or_widen_a_policy_are_refused" {
  command = plan

  variables {
    object_prefix = "events*/"
  }

  expect_failures = [var.object_prefix]
}

run "a_prefix_ends_with_a_slash" {
  command = plan

  variables {
    object_prefix = "events"
  }

  expect_failures = [var.object_prefix]
}

run "nested_prefixes_are_taken" {
  command = plan

  variables {
    object_prefix = "raw/team=a/events/"
  }
}

run "a_default_bucket_name_that_s3_would_refuse_is_refused_first" {
  command = plan

  variables {
    project = "a-project-with-a-long-name"
  }

  expect_failures = [var.bucket_name]
}

run "what_ingest_fn_would_not_start_with_is_refused" {
  command = plan

  variables {
    event_id_pointer    = "event_id"
    on_conflict         = "Acknowledge"
    claim_cache_entries = 1000001
    claim_writes        = "batched"
  }

  expect_failures = [var.event_id_pointer, var.on_conflict, var.claim_cache_entries, var.claim_writes]
}

run "an_empty_pointer_is_refused_as_ingest_fn_refuses_it" {
  command = plan

  variables {
    event_id_pointer = ""
  }

  expect_failures = [var.event_id_pointer]
}

run "keys_are_named_by_arn_and_not_by_alias" {
  command = plan

  variables {
    table_kms_key_arn  = "alias/claims"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:alias/lake"
  }

  expect_failures = [var.table_kms_key_arn, var.bucket_kms_key_arn]
}

run "what_lambda_and_sqs_would_refuse_is_refused_first" {
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

run "names_that_aws_would_refuse_are_refused_first" {
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

run "a_bucket_name_that_breaks_tls_is_refused" {
  command = plan

  variables {
    bucket_name = "data.lake"
  }

  expect_failures = [var.bucket_name]
}
