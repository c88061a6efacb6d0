# The zips that scripts/package builds, unless the code comes from elsewhere.
locals {
  ingest = merge(var.ingest, {
    zip = var.ingest.s3_key == null ? coalesce(var.ingest.zip, "../target/lambda/ingest-fn/bootstrap.zip") : var.ingest.zip
  })

  archive = merge(var.archive, {
    zip = var.archive.s3_key == null ? coalesce(var.archive.zip, "../target/lambda/archive-fn/bootstrap.zip") : var.archive.zip
  })
}

# The provider, the backend and the tags are in versions.tf. Everything else is in the module, so that other configurations can use it.
module "pipeline" {
  source = "./modules/pipeline"

  project                 = var.project
  stage                   = var.stage
  dedup_window_seconds    = var.dedup_window_seconds
  late_duplicates_seconds = var.late_duplicates_seconds
  dedup_key               = var.dedup_key
  conflict_ignore         = var.conflict_ignore
  on_conflict             = var.on_conflict
  lake_layout             = var.lake_layout
  ingest                  = local.ingest
  archive                 = local.archive
  ingest_version          = var.ingest_version
  ingest_enabled          = var.ingest_enabled
  archive_version         = var.archive_version
  archive_enabled         = var.archive_enabled
  functions               = var.functions
  log_routine_outcomes    = var.log_routine_outcomes
  max_receive_count       = var.max_receive_count
  max_message_bytes       = var.max_message_bytes
  retention               = var.retention
  bucket_name             = var.bucket_name
  object_prefix           = var.object_prefix
  table_kms_key_arn       = var.table_kms_key_arn
  bucket_kms_key_arn      = var.bucket_kms_key_arn
  queue_kms_key_arn       = var.queue_kms_key_arn
  logs_kms_key_arn        = var.logs_kms_key_arn
  permissions_boundary    = var.permissions_boundary
  senders                 = var.senders
  queue_policy_documents  = var.queue_policy_documents
  bucket_policy_documents = var.bucket_policy_documents
  on_demand_throughput    = var.on_demand_throughput
  deletion_protection     = var.deletion_protection
  glue_database_name      = var.glue_database_name
  alarms                  = var.alarms
  saved_queries           = var.saved_queries
}

# Stacks that were deployed before the module existed keep their resources.
moved {
  from = module.messaging
  to   = module.pipeline.module.messaging
}

moved {
  from = module.storage
  to   = module.pipeline.module.storage
}

moved {
  from = module.iam
  to   = module.pipeline.module.iam
}

moved {
  from = module.compute
  to   = module.pipeline.module.compute
}

moved {
  from = module.observability
  to   = module.pipeline.module.observability
}
