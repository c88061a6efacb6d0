data "aws_caller_identity" "current" {}

locals {
  account_id  = data.aws_caller_identity.current.account_id
  name_prefix = "${var.project}-${var.stage}"
}

# The queue that producers send to, its dead-letter queue, and the on-failure queue that names discarded stream records.
module "messaging" {
  source = "./modules/messaging"

  name_prefix                  = local.name_prefix
  account_id                   = local.account_id
  region                       = var.region
  function_timeout_seconds     = var.function_timeout_seconds
  batching_window_seconds      = var.ingest_batching_window_seconds
  max_receive_count            = var.max_receive_count
  queue_retention_seconds      = var.queue_retention_seconds
  dlq_retention_seconds        = var.dlq_retention_seconds
  on_failure_retention_seconds = var.on_failure_retention_seconds
}

# The table of claims with its stream, and the data lake's bucket.
module "storage" {
  source = "./modules/storage"

  name_prefix         = local.name_prefix
  account_id          = local.account_id
  region              = var.region
  bucket_name         = var.bucket_name
  object_prefix       = var.object_prefix
  table_kms_key_arn   = var.table_kms_key_arn
  bucket_kms_key_arn  = var.bucket_kms_key_arn
  deletion_protection = var.deletion_protection
  force_destroy       = var.force_destroy
  glue_database_name  = var.glue_database_name
}

# One role for each function, with the permissions that it needs and no others.
module "iam" {
  source = "./modules/iam"

  name_prefix           = local.name_prefix
  region                = var.region
  queue_arn             = module.messaging.queue_arn
  table_arn             = module.storage.table_arn
  claim_writes          = var.claim_writes
  stream_arn            = module.storage.stream_arn
  bucket_arn            = module.storage.bucket_arn
  object_prefix         = var.object_prefix
  on_failure_queue_arn  = module.messaging.on_failure_queue_arn
  ingest_log_group_arn  = module.compute.ingest_log_group_arn
  archive_log_group_arn = module.compute.archive_log_group_arn
  table_kms_key_arn     = var.table_kms_key_arn
  bucket_kms_key_arn    = var.bucket_kms_key_arn
}

# Both functions, and the event source mappings that invoke them: queue -> ingest-fn -> table, stream -> archive-fn -> bucket.
module "compute" {
  source = "./modules/compute"

  name_prefix              = local.name_prefix
  architecture             = var.architecture
  function_timeout_seconds = var.function_timeout_seconds
  memory_mb                = var.memory_mb
  log_level                = var.log_level
  log_retention_days       = var.log_retention_days

  ingest_zip           = var.ingest_zip
  ingest_role_arn      = module.iam.ingest_role_arn
  table_name           = module.storage.table_name
  dedup_window_seconds = var.dedup_window_seconds
  event_id_pointer     = var.event_id_pointer
  on_conflict          = var.on_conflict
  claim_writes         = var.claim_writes
  claim_cache_entries  = var.claim_cache_entries

  queue_arn                      = module.messaging.queue_arn
  ingest_batch_size              = var.ingest_batch_size
  ingest_batching_window_seconds = var.ingest_batching_window_seconds
  ingest_maximum_concurrency     = var.ingest_maximum_concurrency

  archive_zip      = var.archive_zip
  archive_role_arn = module.iam.archive_role_arn
  bucket_name      = module.storage.bucket_name
  object_prefix    = var.object_prefix

  stream_arn                             = module.storage.stream_arn
  on_failure_queue_arn                   = module.messaging.on_failure_queue_arn
  archive_batch_size                     = var.archive_batch_size
  archive_batching_window_seconds        = var.archive_batching_window_seconds
  archive_parallelization_factor         = var.archive_parallelization_factor
  archive_bisect_batch_on_function_error = var.archive_bisect_batch_on_function_error
  archive_maximum_retry_attempts         = var.archive_maximum_retry_attempts
  archive_maximum_record_age_seconds     = var.archive_maximum_record_age_seconds
}

# Alarms, the dashboard and saved queries.
module "observability" {
  source = "./modules/observability"

  name_prefix                  = local.name_prefix
  region                       = var.region
  queue_name                   = module.messaging.queue_name
  dlq_name                     = module.messaging.dlq_name
  on_failure_queue_name        = module.messaging.on_failure_queue_name
  queue_retention_seconds      = var.queue_retention_seconds
  dlq_retention_seconds        = var.dlq_retention_seconds
  on_failure_retention_seconds = var.on_failure_retention_seconds
  table_name                   = module.storage.table_name
  ingest_function_name         = module.compute.ingest_function_name
  archive_function_name        = module.compute.archive_function_name
  ingest_log_group             = module.compute.ingest_log_group
  archive_log_group            = module.compute.archive_log_group
  alarm_email                  = var.alarm_email
  saved_queries                = var.saved_queries
}
