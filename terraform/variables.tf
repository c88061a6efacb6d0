variable "region" {
  description = "AWS region of the whole stack."
  type        = string
  default     = "sa-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be an AWS region code such as sa-east-1: ARNs and the bucket's name are built from it."
  }
}

variable "project" {
  description = "First part of every resource name, and the value of the tag `Project`."
  type        = string
  default     = "dynamo-locking"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", var.project))
    error_message = "project must start with a letter, contain only lower-case letters, digits and hyphens, and not end with a hyphen: bucket names start with it, and S3 allows no other characters."
  }
}

variable "stage" {
  description = "Second part of every resource name, and the value of the tag `Environment`."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.stage))
    error_message = "stage must contain only lower-case letters, digits and single hyphens between them: it is part of the bucket's name, and S3 allows no other characters."
  }
}

variable "ingest_zip" {
  description = "Path of the zip of `ingest-fn`, relative to the root module. `scripts/package` builds it."
  type        = string
  default     = "../target/lambda/ingest-fn/bootstrap.zip"
  nullable    = false
}

variable "archive_zip" {
  description = "Path of the zip of `archive-fn`, relative to the root module. `scripts/package` builds it."
  type        = string
  default     = "../target/lambda/archive-fn/bootstrap.zip"
  nullable    = false
}

variable "architecture" {
  description = "Instruction set that the zips were built for: `x86_64` or `arm64`."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64: Lambda supports no others."
  }
}

variable "function_timeout_seconds" {
  description = "Timeout of one invocation of either function. The queue's visibility timeout is derived from it."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.function_timeout_seconds >= 5 && var.function_timeout_seconds <= 900 && floor(var.function_timeout_seconds) == var.function_timeout_seconds
    error_message = "function_timeout_seconds must be a whole number from 5 to 900. The functions stop one second before their deadline, so a shorter timeout leaves no time to work. Lambda allows at most 900 seconds."
  }
}

variable "memory_mb" {
  description = "Memory of each function in MB. A function's share of a CPU grows with its memory."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 128 to 10240, the range that Lambda allows."
  }
}

variable "log_level" {
  description = "Lowest level of the log lines that the functions write: `INFO` or `DEBUG`."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["INFO", "DEBUG"], var.log_level)
    error_message = "log_level must be INFO or DEBUG: the metrics are log lines at level INFO, so a higher level would drop them, and the alarms on them would never fire."
  }
}

variable "log_retention_days" {
  description = "Number of days for which CloudWatch Logs keeps the functions' log lines. The default covers the dedup window and two more weeks."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a period that CloudWatch Logs supports, such as 14, 30, 90 or 365. 0, which keeps lines forever, is refused because its cost never stops growing."
  }
}

variable "dedup_window_seconds" {
  description = "Dedup window: the time for which a claim is valid. Until it ends, other messages of the event are duplicates or conflicts. The default is 16 days."
  type        = number
  default     = 1382400
  nullable    = false

  validation {
    condition     = var.dedup_window_seconds <= 3162240000 && floor(var.dedup_window_seconds) == var.dedup_window_seconds
    error_message = "dedup_window_seconds must be a whole number of at most 3162240000 (a century): ingest-fn refuses to start with anything else."
  }

  validation {
    condition     = var.dedup_window_seconds >= var.late_duplicates_seconds + var.queue_retention_seconds + var.dlq_retention_seconds
    error_message = "dedup_window_seconds must be at least late_duplicates_seconds + queue_retention_seconds + dlq_retention_seconds: a duplicate that is sent late_duplicates_seconds after its event may wait in the dead-letter queue and, after a redrive, in the queue again. If the event's claim has expired by then, the event is archived twice."
  }

  validation {
    condition     = var.dedup_window_seconds >= var.on_failure_retention_seconds + 86400
    error_message = "dedup_window_seconds must be at least on_failure_retention_seconds plus a day (86400): the claim of a discarded record exists only in the table, and the message that names the record arrives up to a day after the claim. Once the window ends, the next message of the event may overwrite the claim."
  }
}

variable "late_duplicates_seconds" {
  description = "Longest delay between the first copy of an event and a duplicate that a producer still sends. The dedup window must be long enough for such late duplicates. The default is one day."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.late_duplicates_seconds >= 0 && floor(var.late_duplicates_seconds) == var.late_duplicates_seconds
    error_message = "late_duplicates_seconds must be a whole number of at least 0: it is the longest delay between the first copy of an event and a duplicate that a producer still sends."
  }
}

variable "event_id_pointer" {
  description = "JSON Pointer (RFC 6901) to the event id in a message's body."
  type        = string
  default     = "/event_id"
  nullable    = false

  validation {
    condition     = can(regex("^(/([^~/]|~[01])*)+$", var.event_id_pointer))
    error_message = "event_id_pointer must start with / and use ~ only in ~0 and ~1 (RFC 6901): ingest-fn refuses to start with anything else."
  }
}

variable "on_conflict" {
  description = "Action on a conflict, which is a message whose body differs from the body in its event's claim: `acknowledge` drops the message, `dead-letter` lets it fail until SQS moves it to the dead-letter queue."
  type        = string
  default     = "acknowledge"
  nullable    = false

  validation {
    condition     = contains(["acknowledge", "dead-letter"], var.on_conflict)
    error_message = "on_conflict must be acknowledge or dead-letter: ingest-fn refuses to start with anything else."
  }
}

variable "claim_writes" {
  description = "Method by which `ingest-fn` writes the claims of a batch: `single` writes each claim by itself, `batch` writes many in one request. `batch` costs less for new events and more for duplicates."
  type        = string
  default     = "single"
  nullable    = false

  validation {
    condition     = contains(["single", "batch"], var.claim_writes)
    error_message = "claim_writes must be single or batch: ingest-fn refuses to start with anything else."
  }
}

variable "claim_cache_entries" {
  description = "Number of claims that a warm sandbox of `ingest-fn` caches; 0 disables the cache."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.claim_cache_entries >= 0 && var.claim_cache_entries <= 1000000 && floor(var.claim_cache_entries) == var.claim_cache_entries
    error_message = "claim_cache_entries must be a whole number from 0 to 1000000: ingest-fn refuses to start with anything else."
  }

  # An entry takes at most 150 bytes. The largest batches need up to 64 MB (ingest-fn/tests/compiled.rs).
  validation {
    condition     = var.claim_cache_entries * 150 <= (var.memory_mb - 64) * 1048576
    error_message = "claim_cache_entries must be at most ${floor((var.memory_mb - 64) * 1048576 / 150)} with memory_mb = ${var.memory_mb}: an entry takes 150 bytes, and a batch takes up to 64 MB. Lambda kills a function that runs out of memory, and each time, its messages use up a receive."
  }
}

variable "queue_retention_seconds" {
  description = "Time after which SQS deletes a message that is still in the queue. The default is one day."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.queue_retention_seconds >= 60 && var.queue_retention_seconds <= 1209600
    error_message = "queue_retention_seconds must be from 60 to 1209600 (14 days), the range that SQS allows."
  }

  validation {
    condition     = var.queue_retention_seconds >= 2 * var.max_receive_count * (6 * var.function_timeout_seconds + var.ingest_batching_window_seconds)
    error_message = "queue_retention_seconds must be at least 2 x max_receive_count x (6 x function_timeout_seconds + ingest_batching_window_seconds). The part in parentheses is the visibility timeout, and a message that keeps failing becomes a dead letter after max_receive_count of these. If less of its retention is left when it is first received, SQS deletes it before that. The alarm queue-message-age must go off earlier, and it goes off at half of the retention."
  }
}

variable "dlq_retention_seconds" {
  description = "Time after which SQS deletes a dead letter, counted from its first enqueue. The default, 14 days, is the maximum of SQS."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dlq_retention_seconds <= 1209600
    error_message = "dlq_retention_seconds must be at most 1209600 (14 days), the maximum of SQS."
  }

  validation {
    condition     = var.dlq_retention_seconds >= var.queue_retention_seconds + 86400
    error_message = "dlq_retention_seconds must be at least queue_retention_seconds plus a day (86400): a dead letter keeps the time of its first enqueue. With a shorter retention, a message that becomes a dead letter at the end of the queue's retention is deleted before anyone can look at it."
  }
}

variable "on_failure_retention_seconds" {
  description = "Time after which SQS deletes a message from the on-failure queue. The default, 14 days, is the maximum of SQS."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.on_failure_retention_seconds >= 86400 && var.on_failure_retention_seconds <= 1209600
    error_message = "on_failure_retention_seconds must be from 86400 (a day) to 1209600 (14 days): each message names a claim that exists only in the table, and 14 days is the maximum of SQS."
  }
}

variable "max_receive_count" {
  description = "Number of receives after which a message becomes a dead letter."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be a whole number from 1 to 1000, the range that SQS allows. AWS recommends at least 5 if the function may be throttled."
  }
}

variable "ingest_batch_size" {
  description = "Maximum number of messages in one invocation of `ingest-fn`."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.ingest_batch_size >= 1 && var.ingest_batch_size <= 10000 && floor(var.ingest_batch_size) == var.ingest_batch_size
    error_message = "ingest_batch_size must be a whole number from 1 to 10000, the range that Lambda allows."
  }

  validation {
    condition     = var.ingest_batch_size <= 10 || var.ingest_batching_window_seconds >= 1
    error_message = "ingest_batch_size above 10 requires ingest_batching_window_seconds of at least 1: SQS returns at most 10 messages at a time, and Lambda collects larger batches only within a window."
  }
}

variable "ingest_batching_window_seconds" {
  description = "Maximum time that Lambda waits for a batch of messages to fill. The queue's visibility timeout grows with it."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.ingest_batching_window_seconds >= 0 && var.ingest_batching_window_seconds <= 300 && floor(var.ingest_batching_window_seconds) == var.ingest_batching_window_seconds
    error_message = "ingest_batching_window_seconds must be a whole number from 0 to 300, the range that Lambda allows."
  }
}

variable "ingest_maximum_concurrency" {
  description = "Maximum number of sandboxes of `ingest-fn` that the queue mapping invokes at once."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.ingest_maximum_concurrency >= 2 && var.ingest_maximum_concurrency <= 1000 && floor(var.ingest_maximum_concurrency) == var.ingest_maximum_concurrency
    error_message = "ingest_maximum_concurrency must be a whole number from 2 to 1000, the range that Lambda allows. Without a limit, Lambda keeps receiving messages while the function is throttled, and good messages become dead letters."
  }
}

variable "archive_batch_size" {
  description = "Maximum number of stream records in one invocation of `archive-fn`."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.archive_batch_size >= 1 && var.archive_batch_size <= 10000 && floor(var.archive_batch_size) == var.archive_batch_size
    error_message = "archive_batch_size must be a whole number from 1 to 10000, the range that Lambda allows."
  }
}

variable "archive_batching_window_seconds" {
  description = "Maximum time that Lambda waits for a batch of stream records to fill. The default, 0, means no wait and keeps the archive's lag low."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.archive_batching_window_seconds >= 0 && var.archive_batching_window_seconds <= 300 && floor(var.archive_batching_window_seconds) == var.archive_batching_window_seconds
    error_message = "archive_batching_window_seconds must be a whole number from 0 to 300, the range that Lambda allows."
  }
}

variable "archive_parallelization_factor" {
  description = "Number of batches of one stream shard that Lambda processes at once. The records of one event stay in order."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.archive_parallelization_factor >= 1 && var.archive_parallelization_factor <= 10 && floor(var.archive_parallelization_factor) == var.archive_parallelization_factor
    error_message = "archive_parallelization_factor must be a whole number from 1 to 10, the range that Lambda allows."
  }
}

variable "archive_bisect_batch_on_function_error" {
  description = "If true, Lambda splits a batch whose invocation failed as a whole and retries the halves, so that one record cannot make the others fail."
  type        = bool
  default     = true
  nullable    = false
}

variable "archive_maximum_retry_attempts" {
  description = "Number of times that Lambda retries a failed record. With -1, it retries until the record reaches `archive_maximum_record_age_seconds`."
  type        = number
  default     = -1
  nullable    = false

  validation {
    condition     = var.archive_maximum_retry_attempts >= -1 && var.archive_maximum_retry_attempts <= 10000 && floor(var.archive_maximum_retry_attempts) == var.archive_maximum_retry_attempts
    error_message = "archive_maximum_retry_attempts must be a whole number from -1 (no limit) to 10000, the range that Lambda allows. With a limit, Lambda discards good records if an S3 outage outlasts the retries."
  }
}

variable "archive_maximum_record_age_seconds" {
  description = "Age at which the stream mapping discards a record that still fails. A message that names the record is then sent to the on-failure queue. The default is 22 hours."
  type        = number
  default     = 79200
  nullable    = false

  validation {
    condition     = var.archive_maximum_record_age_seconds >= 7200 && var.archive_maximum_record_age_seconds <= 82800 && floor(var.archive_maximum_record_age_seconds) == var.archive_maximum_record_age_seconds
    error_message = "archive_maximum_record_age_seconds must be a whole number from 7200 to 82800. Below two hours, a short S3 outage makes the mapping discard good records. Above 23 hours, a record may leave the stream, which keeps records for 24 hours, before the mapping discards it and names it in the on-failure queue."
  }
}

variable "bucket_name" {
  description = "Name of the data lake's bucket. If empty, it is `<project>-<stage>-ingestion-data-<account id>-<region>`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be empty or 3 to 63 lower-case letters, digits and hyphens: a dot would break TLS, which the bucket's policy requires."
  }

  validation {
    condition     = var.bucket_name != "" || length("${var.project}-${var.stage}-ingestion-data-123456789012-${var.region}") <= 63
    error_message = "bucket_name must be set if project and stage are this long: the default name would exceed the 63 characters that S3 allows."
  }
}

variable "object_prefix" {
  description = "Prefix of all the data lake's keys in its bucket. Changing it starts a new, empty lake."
  type        = string
  default     = "events/"
  nullable    = false

  validation {
    condition     = can(regex("^([a-zA-Z0-9!_.'()=-]+/)+$", var.object_prefix)) && length(var.object_prefix) <= 900
    error_message = "object_prefix must consist of folder names, each followed by /, with only letters, digits and the characters ! - _ . ' ( ) =, and at most 900 characters in all: archive-fn refuses to start with any other prefix, and the roles' policies would treat * as a wildcard."
  }
}

variable "table_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the table. If empty, DynamoDB encrypts the table with an AWS-owned key."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.table_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.table_kms_key_arn))
    error_message = "table_kms_key_arn must be empty or the ARN of a key (arn:...:key/...), not of an alias: IAM policies do not resolve aliases."
  }
}

variable "bucket_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the bucket. If empty, S3 uses the AWS-managed key `aws/s3`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.bucket_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.bucket_kms_key_arn))
    error_message = "bucket_kms_key_arn must be empty or the ARN of a key (arn:...:key/...), not of an alias: IAM policies do not resolve aliases."
  }
}

variable "deletion_protection" {
  description = "If true, DynamoDB refuses to delete the table. Set it to false before `terraform destroy`."
  type        = bool
  default     = true
  nullable    = false
}

variable "force_destroy" {
  description = "If true, `terraform destroy` deletes the bucket even if it contains objects."
  type        = bool
  default     = false
  nullable    = false
}

variable "glue_database_name" {
  description = "Name of a Glue database to create, with a table through which Athena queries the data lake. If empty, no database is created."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.glue_database_name == "" || can(regex("^[a-z0-9_]{1,255}$", var.glue_database_name))
    error_message = "glue_database_name must be empty or contain only lower-case letters, digits and underscores: Athena accepts other names only in quotes."
  }
}

variable "alarm_email" {
  description = "E-mail address that receives alarms through an SNS topic, once its owner has confirmed the subscription. If empty, no topic is created."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.alarm_email == "" || can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be empty or an e-mail address: SNS sends a confirmation request to it."
  }
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights; each key of the map is a query's name. Each query reads the log groups of both functions. In the default query `what happened to event X`, replace X by an event id."
  type        = map(string)
  nullable    = false

  default = {
    "what happened to event X" = <<-QUERY
      fields @timestamp, outcome, event_id, claim_id, message_id, key, lag_ms, error
      | filter event_id = "X"
      | sort @timestamp asc
      | limit 1000
    QUERY

    "failures by reason" = <<-QUERY
      filter outcome in ["failed", "rejected", "conflict", "quarantined"]
      | stats count(*) as records, min(@timestamp) as first, max(@timestamp) as last by outcome, error
      | sort records desc
    QUERY
  }
}
