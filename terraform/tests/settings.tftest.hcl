# A plan in which no two settings have the same value. scripts/terraform-plans.py checks that each one reaches its resource, because a
# test of the root cannot read the resources of its modules. Equal defaults would hide a setting that is passed to the wrong module.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# The version of archive-fn for the roll-back. It is new enough to read claims of other dedup keys than /event_id, and packs.
override_data {
  target = module.pipeline.module.compute.data.aws_lambda_function.chosen_archive
  values = {
    description = "Writes each new claim and each new pack of a table."
    environment = [{ variables = { LOG_ROUTINE_OUTCOMES = "false" } }]
  }
}

run "each_setting_reaches_its_resource" {
  command = plan

  variables {
    ingest = {
      zip                     = "versions.tf"
      batch_size              = 11
      batching_window_seconds = 7
      maximum_concurrency     = 12
      claim_writes            = "batch"
      claim_cache_entries     = 1300
    }
    archive = {
      zip                            = "main.tf"
      batch_size                     = 140
      batching_window_seconds        = 3
      parallelization_factor         = 4
      bisect_batch_on_function_error = false
      maximum_retry_attempts         = 15
      maximum_record_age_seconds     = 72000
    }
    functions               = { timeout_seconds = 40, memory_mb = 320, log_level = "DEBUG", architecture = "arm64", tracing_mode = "PassThrough" }
    retention               = { queue_seconds = 43200, dlq_seconds = 518400, on_failure_seconds = 691200, logs_days = 90 }
    max_receive_count       = 5
    max_message_bytes       = 131072
    dedup_window_seconds    = 2000000
    late_duplicates_seconds = 50000
    dedup_key               = " [\"/source\", \"/id\"]\n"
    conflict_ignore         = ["/trace/id", "/sent_at", "/trace/id"]
    log_routine_outcomes    = false
    on_conflict             = "dead-letter"
    lake_layout             = "packs"
    object_prefix           = "raw/"
    ingest_enabled          = false
    archive_version         = "6"
    alarms = {
      period_seconds       = 60
      no_progress_seconds  = 600
      queue_age_seconds    = 500
      iterator_age_seconds = 700
      archive_lag_seconds  = 800
      conflicts            = 21
      rejected_messages    = 22
      failed_messages      = 23
      failed_records       = 24
      throttled_writes     = 25
    }
    on_demand_throughput = { max_read_request_units = 1001, max_write_request_units = 1002 }
    table_kms_key_arn    = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn   = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    queue_kms_key_arn    = "arn:aws:kms:sa-east-1:123456789012:key/queues"
    logs_kms_key_arn     = "arn:aws:kms:sa-east-1:123456789012:key/logs"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
    glue_database_name   = "lake"
  }
}

run "packs_have_larger_batches" {
  command = plan

  variables {
    ingest      = { zip = "versions.tf" }
    archive     = { zip = "main.tf" }
    lake_layout = "packs"
  }
}
