data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account_id  = data.aws_caller_identity.current.account_id
  name_prefix = "${var.project}-${var.stage}"

  # Version 6 of the provider deprecates `name` in favor of `region`, which version 5 does not have. Both have `id`.
  region = data.aws_region.current.id

  # Each batch of ingest-fn makes at least one pack, so packs need larger batches.
  default_batch_size              = var.lake_layout == "packs" ? 1000 : 10
  default_batching_window_seconds = var.lake_layout == "packs" ? 20 : 5

  ingest = merge(var.ingest, {
    batch_size              = coalesce(var.ingest.batch_size, local.default_batch_size)
    batching_window_seconds = coalesce(var.ingest.batching_window_seconds, local.default_batching_window_seconds)
  })
}

# The settings that say what identifies an event, checked and normalized.
module "event_rules" {
  source = "../event-rules"

  dedup_key       = var.dedup_key
  conflict_ignore = var.conflict_ignore
}

# The queue that producers send to, its dead-letter queue, and the on-failure queue that names discarded stream records.
module "messaging" {
  source = "../messaging"

  name_prefix                  = local.name_prefix
  account_id                   = local.account_id
  region                       = local.region
  max_message_bytes            = var.max_message_bytes
  function_timeout_seconds     = var.functions.timeout_seconds
  batching_window_seconds      = local.ingest.batching_window_seconds
  max_receive_count            = var.max_receive_count
  queue_retention_seconds      = var.retention.queue_seconds
  dlq_retention_seconds        = var.retention.dlq_seconds
  on_failure_retention_seconds = var.retention.on_failure_seconds
  kms_key_arn                  = var.queue_kms_key_arn
  senders                      = var.senders
  queue_policy_documents       = var.queue_policy_documents
}

# The table of claims with its stream, and the data lake's bucket.
module "storage" {
  source = "../storage"

  name_prefix        = local.name_prefix
  account_id         = local.account_id
  region             = local.region
  bucket_name        = var.bucket_name
  object_prefix      = var.object_prefix
  table_kms_key_arn  = var.table_kms_key_arn
  bucket_kms_key_arn = var.bucket_kms_key_arn

  bucket_policy_documents = var.bucket_policy_documents
  on_demand_throughput    = var.on_demand_throughput

  deletion_protection = var.deletion_protection
  glue_database_name  = var.glue_database_name
}

# One role for each function, with the permissions that it needs and no others.
module "iam" {
  source = "../iam"

  name_prefix           = local.name_prefix
  region                = local.region
  queue_arn             = module.messaging.queue_arn
  dlq_arn               = module.messaging.dlq_arn
  table_arn             = module.storage.table_arn
  claim_writes          = var.ingest.claim_writes
  stream_arn            = module.storage.stream_arn
  bucket_arn            = module.storage.bucket_arn
  object_prefix         = var.object_prefix
  on_failure_queue_arn  = module.messaging.on_failure_queue_arn
  ingest_log_group_arn  = module.compute.ingest_log_group_arn
  archive_log_group_arn = module.compute.archive_log_group_arn
  table_kms_key_arn     = var.table_kms_key_arn
  bucket_kms_key_arn    = var.bucket_kms_key_arn
  queue_kms_key_arn     = var.queue_kms_key_arn
  tracing_mode          = var.functions.tracing_mode
  permissions_boundary  = var.permissions_boundary
}

# Both functions, and the event source mappings that invoke them: queue -> ingest-fn -> table, stream -> archive-fn -> bucket.
module "compute" {
  source = "../compute"

  name_prefix              = local.name_prefix
  architecture             = var.functions.architecture
  function_timeout_seconds = var.functions.timeout_seconds
  memory_mb                = var.functions.memory_mb
  log_level                = var.functions.log_level
  log_routine_outcomes     = var.log_routine_outcomes
  log_retention_days       = var.retention.logs_days
  logs_kms_key_arn         = var.logs_kms_key_arn
  tracing_mode             = var.functions.tracing_mode

  ingest_code          = var.ingest
  ingest_version       = var.ingest_version
  ingest_role_arn      = module.iam.ingest_role_arn
  table_name           = module.storage.table_name
  dedup_window_seconds = var.dedup_window_seconds
  dedup_key            = module.event_rules.dedup_key
  conflict_ignore      = module.event_rules.conflict_ignore
  on_conflict          = var.on_conflict
  claim_writes         = var.ingest.claim_writes
  claim_cache_entries  = var.ingest.claim_cache_entries
  lake_layout          = var.lake_layout
  max_receive_count    = var.max_receive_count

  queue_arn                      = module.messaging.queue_arn
  ingest_enabled                 = var.ingest_enabled
  ingest_batch_size              = local.ingest.batch_size
  ingest_batching_window_seconds = local.ingest.batching_window_seconds
  ingest_maximum_concurrency     = coalesce(var.ingest.maximum_concurrency, 10)
  ingest_provisioned_pollers     = var.ingest.provisioned_pollers

  archive_code     = var.archive
  archive_version  = var.archive_version
  archive_role_arn = module.iam.archive_role_arn
  bucket_name      = module.storage.bucket_name
  object_prefix    = var.object_prefix

  stream_arn                             = module.storage.stream_arn
  on_failure_queue_arn                   = module.messaging.on_failure_queue_arn
  archive_enabled                        = var.archive_enabled
  archive_batch_size                     = var.archive.batch_size
  archive_batching_window_seconds        = var.archive.batching_window_seconds
  archive_parallelization_factor         = var.archive.parallelization_factor
  archive_bisect_batch_on_function_error = var.archive.bisect_batch_on_function_error
  archive_maximum_retry_attempts         = var.archive.maximum_retry_attempts
  archive_maximum_record_age_seconds     = var.archive.maximum_record_age_seconds
}

# Alarms, the dashboard and saved queries.
module "observability" {
  source = "../observability"

  name_prefix                  = local.name_prefix
  region                       = local.region
  queue_name                   = module.messaging.queue_name
  dlq_name                     = module.messaging.dlq_name
  on_failure_queue_name        = module.messaging.on_failure_queue_name
  queue_retention_seconds      = var.retention.queue_seconds
  max_receive_count            = var.max_receive_count
  visibility_timeout_seconds   = module.messaging.visibility_timeout_seconds
  dlq_retention_seconds        = var.retention.dlq_seconds
  on_failure_retention_seconds = var.retention.on_failure_seconds
  table_name                   = module.storage.table_name
  ingest_function_name         = module.compute.ingest_function_name
  archive_function_name        = module.compute.archive_function_name
  archive_mapping_uuid         = module.compute.archive_mapping_uuid
  ingest_log_group             = module.compute.ingest_log_group
  archive_log_group            = module.compute.archive_log_group
  lake_layout                  = var.lake_layout
  alarms                       = var.alarms
  saved_queries                = var.saved_queries
}
