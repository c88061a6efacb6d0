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
  description = "Timeout of one invocation of either function."
  type        = number
  nullable    = false
}

variable "memory_mb" {
  description = "Memory of each function in MB."
  type        = number
  nullable    = false
}

variable "log_level" {
  description = "Lowest level of the log lines that the functions write: `INFO` or `DEBUG`. A higher level would drop the metrics, which are log lines at level INFO."
  type        = string
  nullable    = false
}

variable "log_routine_outcomes" {
  description = "If false, the functions write no log lines for the outcomes `won`, `duplicate`, `written`, `already_there` and `skipped`."
  type        = bool
  nullable    = false
}

variable "tracing_mode" {
  description = "Tracing mode of both functions. With `Active`, Lambda sends a sample of the invocations to X-Ray. With `PassThrough`, it sends nothing."
  type        = string
  nullable    = false
}

variable "logs_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for both log groups. If empty, CloudWatch Logs encrypts them with a key of its own."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "Number of days for which CloudWatch Logs keeps the functions' log lines."
  type        = number
  nullable    = false
}

variable "ingest_code" {
  description = "Code of `ingest-fn`: the path of a zip, or an object in S3."
  type = object({
    zip               = optional(string)
    s3_bucket         = optional(string)
    s3_key            = optional(string)
    s3_object_version = optional(string)
    source_code_hash  = optional(string)
  })
  nullable = false
}

variable "ingest_version" {
  description = "Published version of `ingest-fn` that the queue mapping invokes. If null, the mapping invokes the newest version."
  type        = string
}

variable "ingest_role_arn" {
  description = "ARN of the role of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "table_name" {
  description = "Name of the table of claims."
  type        = string
  nullable    = false
}

variable "dedup_window_seconds" {
  description = "Dedup window: the time for which a claim is valid."
  type        = number
  nullable    = false
}

variable "dedup_key" {
  description = "What identifies an event: a JSON Pointer, a JSON array of pointers (written without white space), `attribute:NAME` or `content`."
  type        = string
  nullable    = false
}

variable "conflict_ignore" {
  description = "Sorted list, without duplicates, of JSON Pointers to the members that `ingest-fn` ignores when it compares two bodies."
  type        = list(string)
  nullable    = false
}

variable "on_conflict" {
  description = "Action on a conflict, which is a message whose body differs from the body in its event's claim: `acknowledge` or `dead-letter`."
  type        = string
  nullable    = false
}

variable "claim_writes" {
  description = "Method by which `ingest-fn` writes the claims of a batch: `single` (one request for each claim) or `batch` (many claims in one request)."
  type        = string
  nullable    = false
}

variable "lake_layout" {
  description = "Layout of the data lake for new claims: `objects` (one object for each event) or `packs` (one object for many events)."
  type        = string
  nullable    = false
}

variable "max_receive_count" {
  description = "Number of receives after which the queue moves a message to the dead-letter queue."
  type        = number
  nullable    = false
}

variable "claim_cache_entries" {
  description = "Number of claims that a warm sandbox of `ingest-fn` caches; 0 disables the cache."
  type        = number
  nullable    = false
}

variable "queue_arn" {
  description = "ARN of the queue that `ingest-fn` consumes."
  type        = string
  nullable    = false
}

variable "ingest_enabled" {
  description = "If false, the queue mapping is disabled."
  type        = bool
  nullable    = false
}

variable "ingest_batch_size" {
  description = "Maximum number of messages in one invocation of `ingest-fn`."
  type        = number
  nullable    = false
}

variable "ingest_batching_window_seconds" {
  description = "Maximum time that Lambda waits for a batch of messages to fill."
  type        = number
  nullable    = false
}

variable "ingest_maximum_concurrency" {
  description = "Maximum number of sandboxes of `ingest-fn` that the queue mapping invokes at once. It has no effect with `ingest_provisioned_pollers`."
  type        = number
  nullable    = false
}

variable "ingest_provisioned_pollers" {
  description = "Minimum and maximum number of provisioned pollers of the queue mapping. If null, Lambda scales the pollers itself, and `ingest_maximum_concurrency` limits the concurrent invocations."
  type        = object({ minimum = number, maximum = number })
}

variable "archive_code" {
  description = "Code of `archive-fn`: the path of a zip, or an object in S3."
  type = object({
    zip               = optional(string)
    s3_bucket         = optional(string)
    s3_key            = optional(string)
    s3_object_version = optional(string)
    source_code_hash  = optional(string)
  })
  nullable = false
}

variable "archive_version" {
  description = "Published version of `archive-fn` that the stream mapping invokes. If null, the mapping invokes the newest version."
  type        = string
}

variable "archive_role_arn" {
  description = "ARN of the role of `archive-fn`."
  type        = string
  nullable    = false
}

variable "bucket_name" {
  description = "Name of the data lake's bucket."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "Prefix of all object keys of the data lake."
  type        = string
  nullable    = false
}

variable "stream_arn" {
  description = "ARN of the claims table's stream."
  type        = string
  nullable    = false
}

variable "on_failure_queue_arn" {
  description = "ARN of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  type        = string
  nullable    = false
}

variable "archive_enabled" {
  description = "If false, the stream mapping is disabled."
  type        = bool
  nullable    = false
}

variable "archive_batch_size" {
  description = "Maximum number of stream records in one invocation of `archive-fn`."
  type        = number
  nullable    = false
}

variable "archive_batching_window_seconds" {
  description = "Maximum time that Lambda waits for a batch of stream records to fill."
  type        = number
  nullable    = false
}

variable "archive_parallelization_factor" {
  description = "Number of batches of one stream shard that Lambda processes at once."
  type        = number
  nullable    = false
}

variable "archive_bisect_batch_on_function_error" {
  description = "If true, Lambda splits a batch whose invocation failed as a whole and retries the halves."
  type        = bool
  nullable    = false
}

variable "archive_maximum_retry_attempts" {
  description = "Number of times that Lambda retries a failed record. With -1, it retries until the record reaches `archive_maximum_record_age_seconds`."
  type        = number
  nullable    = false
}

variable "archive_maximum_record_age_seconds" {
  description = "Age at which the stream mapping discards a record that still fails."
  type        = number
  nullable    = false
}
