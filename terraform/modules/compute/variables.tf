variable "name_prefix" {
  description = "First part of each function's name."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "Instruction set that the zips were built for: `x86_64` or `arm64`."
  type        = string
  nullable    = false
}

variable "function_timeout_seconds" {
  description = "Time that one invocation of either function gets."
  type        = number
  nullable    = false
}

variable "memory_mb" {
  description = "Memory of each function in MB."
  type        = number
  nullable    = false
}

variable "log_level" {
  description = "Lowest level of the functions' own log lines: `INFO` or `DEBUG`. The metrics are INFO lines."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that the functions' log lines are kept."
  type        = number
  nullable    = false
}

variable "ingest_zip" {
  description = "Zip of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "ingest_role_arn" {
  description = "Role of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "table_name" {
  description = "Table of claims."
  type        = string
  nullable    = false
}

variable "dedup_window_seconds" {
  description = "How long a claim holds."
  type        = number
  nullable    = false
}

variable "event_id_pointer" {
  description = "JSON Pointer (RFC 6901) to the event id in a message's body."
  type        = string
  nullable    = false
}

variable "on_conflict" {
  description = "What becomes of a body other than the one that won its event: `acknowledge` or `dead-letter`."
  type        = string
  nullable    = false
}

variable "claim_writes" {
  description = "How `ingest-fn` writes the claims of a batch: `single` or `batch`."
  type        = string
  nullable    = false
}

variable "claim_cache_entries" {
  description = "Claims that a warm sandbox of `ingest-fn` remembers; 0 switches the cache off."
  type        = number
  nullable    = false
}

variable "queue_arn" {
  description = "Queue that `ingest-fn` consumes."
  type        = string
  nullable    = false
}

variable "ingest_batch_size" {
  description = "Messages that one invocation of `ingest-fn` gets at most."
  type        = number
  nullable    = false
}

variable "ingest_batching_window_seconds" {
  description = "How long Lambda waits for a batch of messages to fill."
  type        = number
  nullable    = false
}

variable "ingest_maximum_concurrency" {
  description = "Sandboxes of `ingest-fn` that the queue may keep busy."
  type        = number
  nullable    = false
}

variable "archive_zip" {
  description = "Zip of `archive-fn`."
  type        = string
  nullable    = false
}

variable "archive_role_arn" {
  description = "Role of `archive-fn`."
  type        = string
  nullable    = false
}

variable "bucket_name" {
  description = "Data lake's bucket."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "Where the data lake begins in its bucket."
  type        = string
  nullable    = false
}

variable "stream_arn" {
  description = "Stream of the table of claims."
  type        = string
  nullable    = false
}

variable "on_failure_queue_arn" {
  description = "Queue that names the stream records that were given up."
  type        = string
  nullable    = false
}

variable "archive_batch_size" {
  description = "Stream records that one invocation of `archive-fn` gets at most."
  type        = number
  nullable    = false
}

variable "archive_batching_window_seconds" {
  description = "How long Lambda waits for a batch of stream records to fill."
  type        = number
  nullable    = false
}

variable "archive_parallelization_factor" {
  description = "Batches of one stream shard that are worked on at once."
  type        = number
  nullable    = false
}

variable "archive_bisect_batch_on_function_error" {
  description = "Whether a batch whose invocation failed as a whole comes again in halves."
  type        = bool
  nullable    = false
}

variable "archive_maximum_retry_attempts" {
  description = "How often a failed record is tried again; -1 is without limit, until its age ends it."
  type        = number
  nullable    = false
}

variable "archive_maximum_record_age_seconds" {
  description = "Age at which a record that still fails is given up."
  type        = number
  nullable    = false
}
