module "pipeline" {
  # In a repository of your own:
  # source = "git::https://github.com/OWNER/REPOSITORY.git//terraform/modules/pipeline?ref=vX.Y.Z"
  source = "../../modules/pipeline"

  project = "orders"
  stage   = var.stage

  # What identifies an event, which members may differ in duplicates of it, and how long duplicates may arrive. The window is the sum of
  # this time and of the retentions of the queue and of the dead-letter queue.
  dedup_key               = "/order/id"
  conflict_ignore         = ["/sent_at", "/attempt"]
  on_conflict             = "dead-letter"
  late_duplicates_seconds = 2 * 86400
  dedup_window_seconds    = (2 + 1 + 14) * 86400

  # Many events in one object. A batch of ingest-fn makes at least one object, so a larger batch makes larger objects.
  lake_layout = "packs"

  ingest = {
    zip                     = var.ingest_zip
    batch_size              = 2000
    batching_window_seconds = 10
    maximum_concurrency     = 20
    claim_writes            = "single"
  }

  archive = {
    zip                    = var.archive_zip
    batch_size             = 500
    parallelization_factor = 4
  }

  functions = {
    architecture = "x86_64"
    memory_mb    = 512
  }

  retention = {
    queue_seconds = 86400
    dlq_seconds   = 14 * 86400
    logs_days     = 90
  }

  # AWS recommends at least 5 receives if other functions of the account can use up its concurrency.
  max_receive_count = 5

  object_prefix       = "raw/orders/"
  glue_database_name  = "orders_${var.stage}"
  deletion_protection = var.deletion_protection

  alarms        = { email = var.alarm_email }
  saved_queries = var.saved_queries
}
