variable "region" {
  description = "AWS region of the whole stack."
  type        = string
  default     = "sa-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as sa-east-1: ARNs and the bucket's name are built from it."
  }
}

variable "project" {
  description = "First part of every name, and the tag `Project`."
  type        = string
  default     = "dynamo-locking"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", var.project))
    error_message = "project must be lower case letters, digits and hyphens: it begins a bucket's name, which S3 allows nothing else in."
  }
}

variable "stage" {
  description = "Second part of every name, and the tag `Environment`."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.stage))
    error_message = "stage must be lower case letters, digits and hyphens: it is part of a bucket's name, which S3 allows nothing else in."
  }
}

variable "ingest_zip" {
  description = "Zip of `ingest-fn`, relative to the root module. `scripts/package` makes it."
  type        = string
  default     = "../target/lambda/ingest-fn/bootstrap.zip"
  nullable    = false
}

variable "archive_zip" {
  description = "Zip of `archive-fn`, relative to the root module. `scripts/package` makes it."
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
    error_message = "architecture must be x86_64 or arm64: Lambda has no other."
  }
}

variable "function_timeout_seconds" {
  description = "Time that one invocation of either function gets. The queue's visibility timeout follows from it."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.function_timeout_seconds >= 5 && var.function_timeout_seconds <= 900 && floor(var.function_timeout_seconds) == var.function_timeout_seconds
    error_message = "function_timeout_seconds must be a whole number from 5 to 900: the functions stop a second before their deadline, so less leaves no time to work, and Lambda allows no more."
  }
}

variable "memory_mb" {
  description = "Memory of each function in MB; its share of a CPU grows with it."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 128 to 10240: Lambda allows nothing else."
  }
}

variable "log_level" {
  description = "Lowest level of the functions' own log lines: `INFO` or `DEBUG`."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["INFO", "DEBUG"], var.log_level)
    error_message = "log_level must be INFO or DEBUG: the metrics are INFO lines of the log, and a higher level would drop them and blind the alarms."
  }
}

variable "log_retention_days" {
  description = "Days that the functions' log lines are kept. 30 cover the dedup window and a look back."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the periods that CloudWatch Logs has, such as 14, 30, 90 or 365; 0, for ever, is not taken, because its cost has no end."
  }
}

variable "dedup_window_seconds" {
  description = "How long a claim holds. The default is 16 days."
  type        = number
  default     = 1382400
  nullable    = false

  validation {
    condition     = var.dedup_window_seconds <= 3162240000 && floor(var.dedup_window_seconds) == var.dedup_window_seconds
    error_message = "dedup_window_seconds must be a whole number of at most a century (3162240000): ingest-fn takes no other."
  }

  validation {
    condition     = var.dedup_window_seconds > var.queue_retention_seconds + var.dlq_retention_seconds
    error_message = "dedup_window_seconds must be longer than queue_retention_seconds + dlq_retention_seconds: a message that waits out the dead-letter queue and then the queue after its redrive must still meet its claim, or it is archived twice."
  }

  validation {
    condition     = var.dedup_window_seconds >= var.on_failure_retention_seconds + 86400
    error_message = "dedup_window_seconds must be longer than on_failure_retention_seconds by a day (86400): a claim whose record was given up exists in the table only, and a message names it from up to a day after the claim; when the window ends, the next duplicate may overwrite it."
  }
}

variable "event_id_pointer" {
  description = "JSON Pointer (RFC 6901) to the event id in a message's body."
  type        = string
  default     = "/event_id"
  nullable    = false

  validation {
    condition     = can(regex("^(/([^~/]|~[01])*)+$", var.event_id_pointer))
    error_message = "event_id_pointer must begin with /, with ~ only as ~0 or ~1 (RFC 6901): ingest-fn refuses to start with anything else."
  }
}

variable "on_conflict" {
  description = "What becomes of a body other than the one that won its event: `acknowledge` or `dead-letter`."
  type        = string
  default     = "acknowledge"
  nullable    = false

  validation {
    condition     = contains(["acknowledge", "dead-letter"], var.on_conflict)
    error_message = "on_conflict must be acknowledge or dead-letter: ingest-fn refuses to start with anything else."
  }
}

variable "claim_writes" {
  description = "How `ingest-fn` writes the claims of a batch: `single`, each by itself, or `batch`, many in one request, which takes less of new events and more of duplicates."
  type        = string
  default     = "single"
  nullable    = false

  validation {
    condition     = contains(["single", "batch"], var.claim_writes)
    error_message = "claim_writes must be single or batch: ingest-fn refuses to start with anything else."
  }
}

variable "claim_cache_entries" {
  description = "Claims that a warm sandbox of `ingest-fn` remembers; 0 switches the cache off."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.claim_cache_entries >= 0 && var.claim_cache_entries <= 1000000 && floor(var.claim_cache_entries) == var.claim_cache_entries
    error_message = "claim_cache_entries must be a whole number from 0 to 1000000: ingest-fn takes no other."
  }
}

variable "queue_retention_seconds" {
  description = "How long the queue keeps what nobody received. SQS then deletes it. The default is a day."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.queue_retention_seconds >= 60 && var.queue_retention_seconds <= 1209600
    error_message = "queue_retention_seconds must be from 60 to 1209600 (14 days): SQS allows nothing else."
  }

  validation {
    condition     = var.queue_retention_seconds > var.max_receive_count * (6 * var.function_timeout_seconds + var.ingest_batching_window_seconds)
    error_message = "queue_retention_seconds must be longer than max_receive_count visibility timeouts (6 x function_timeout_seconds + ingest_batching_window_seconds each): a message that fails each time would be deleted before it could become a dead letter."
  }
}

variable "dlq_retention_seconds" {
  description = "How long the dead-letter queue keeps a message, from its first enqueue on. The default, 14 days, is the longest that SQS has."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dlq_retention_seconds <= 1209600
    error_message = "dlq_retention_seconds must be at most 1209600 (14 days): SQS allows no more."
  }

  validation {
    condition     = var.dlq_retention_seconds >= var.queue_retention_seconds + 86400
    error_message = "dlq_retention_seconds must be longer than queue_retention_seconds by a day (86400): a dead letter keeps the time of its first enqueue, and one that comes at the end of the queue's retention would be gone before anyone could look."
  }
}

variable "on_failure_retention_seconds" {
  description = "How long the on-failure queue keeps a message. The default, 14 days, is the longest that SQS has."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.on_failure_retention_seconds >= 86400 && var.on_failure_retention_seconds <= 1209600
    error_message = "on_failure_retention_seconds must be from 86400 (a day) to 1209600 (14 days): each message names a claim that exists in the table only, and SQS allows no more."
  }
}

variable "max_receive_count" {
  description = "Receives after which a message becomes a dead letter."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be a whole number from 1 to 1000: SQS allows nothing else. AWS advises 5 or more where the function may be throttled."
  }
}

variable "ingest_batch_size" {
  description = "Messages that one invocation of `ingest-fn` gets at most."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.ingest_batch_size >= 1 && var.ingest_batch_size <= 10000 && floor(var.ingest_batch_size) == var.ingest_batch_size
    error_message = "ingest_batch_size must be a whole number from 1 to 10000: Lambda allows nothing else."
  }

  validation {
    condition     = var.ingest_batch_size <= 10 || var.ingest_batching_window_seconds >= 1
    error_message = "ingest_batch_size above 10 needs an ingest_batching_window_seconds of 1 or more: SQS hands out 10 at a time, and Lambda collects larger batches only within a window."
  }
}

variable "ingest_batching_window_seconds" {
  description = "How long Lambda waits for a batch to fill. The queue's visibility timeout grows with it."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.ingest_batching_window_seconds >= 0 && var.ingest_batching_window_seconds <= 300 && floor(var.ingest_batching_window_seconds) == var.ingest_batching_window_seconds
    error_message = "ingest_batching_window_seconds must be a whole number from 0 to 300: Lambda allows nothing else."
  }
}

variable "ingest_maximum_concurrency" {
  description = "Sandboxes of `ingest-fn` that the queue may keep busy."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.ingest_maximum_concurrency >= 2 && var.ingest_maximum_concurrency <= 1000 && floor(var.ingest_maximum_concurrency) == var.ingest_maximum_concurrency
    error_message = "ingest_maximum_concurrency must be a whole number from 2 to 1000: Lambda allows nothing else, and without one a throttled function pushes good messages into the dead-letter queue."
  }
}

variable "archive_batch_size" {
  description = "Stream records that one invocation of `archive-fn` gets at most."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.archive_batch_size >= 1 && var.archive_batch_size <= 10000 && floor(var.archive_batch_size) == var.archive_batch_size
    error_message = "archive_batch_size must be a whole number from 1 to 10000: Lambda allows nothing else."
  }
}

variable "archive_batching_window_seconds" {
  description = "How long Lambda waits for a batch of stream records to fill. 0, at once, keeps the archive's lag low."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.archive_batching_window_seconds >= 0 && var.archive_batching_window_seconds <= 300 && floor(var.archive_batching_window_seconds) == var.archive_batching_window_seconds
    error_message = "archive_batching_window_seconds must be a whole number from 0 to 300: Lambda allows nothing else."
  }
}

variable "archive_parallelization_factor" {
  description = "Batches of one stream shard that are worked on at once. Records of one event stay in order."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.archive_parallelization_factor >= 1 && var.archive_parallelization_factor <= 10 && floor(var.archive_parallelization_factor) == var.archive_parallelization_factor
    error_message = "archive_parallelization_factor must be a whole number from 1 to 10: Lambda allows nothing else."
  }
}

variable "archive_bisect_batch_on_function_error" {
  description = "Whether a batch whose invocation failed as a whole comes again in halves, so that one record cannot take the others with it."
  type        = bool
  default     = true
  nullable    = false
}

variable "archive_maximum_retry_attempts" {
  description = "How often a failed record is tried again; -1 is without limit, until its age ends it."
  type        = number
  default     = -1
  nullable    = false

  validation {
    condition     = var.archive_maximum_retry_attempts >= -1 && var.archive_maximum_retry_attempts <= 10000 && floor(var.archive_maximum_retry_attempts) == var.archive_maximum_retry_attempts
    error_message = "archive_maximum_retry_attempts must be a whole number from -1 to 10000: Lambda allows nothing else. With a limit, an outage of S3 that outlasts it turns good claims into messages in the on-failure queue."
  }
}

variable "archive_maximum_record_age_seconds" {
  description = "Age at which a record that still fails is given up and named in the on-failure queue. The default is 22 hours."
  type        = number
  default     = 79200
  nullable    = false

  validation {
    condition     = var.archive_maximum_record_age_seconds >= 7200 && var.archive_maximum_record_age_seconds <= 82800 && floor(var.archive_maximum_record_age_seconds) == var.archive_maximum_record_age_seconds
    error_message = "archive_maximum_record_age_seconds must be a whole number from 7200 to 82800: under two hours a short outage of S3 gives good claims up, and above 23 hours a record may leave the stream, which keeps 24, before it is given up."
  }
}

variable "bucket_name" {
  description = "Name of the data lake's bucket; empty is `<project>-<stage>-ingestion-data-<account id>-<region>`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be empty or 3 to 63 lower case letters, digits and hyphens; a dot would break TLS, which the bucket's policy demands."
  }

  validation {
    condition     = var.bucket_name != "" || length("${var.project}-${var.stage}-ingestion-data-123456789012-${var.region}") <= 63
    error_message = "bucket_name must be set for a project and stage this long: the default name would pass the 63 characters that S3 allows."
  }
}

variable "object_prefix" {
  description = "Where the data lake begins in its bucket. Another prefix is another lake."
  type        = string
  default     = "events/"
  nullable    = false

  validation {
    condition     = can(regex("^([a-zA-Z0-9!_.'()=-]+/)+$", var.object_prefix)) && length(var.object_prefix) <= 900
    error_message = "object_prefix must be folder names, each followed by /, of letters, digits and the characters ! - _ . ' ( ) =, and at most 900 characters: archive-fn refuses to start with others, and the roles' policies would take * for a wildcard."
  }
}

variable "table_kms_key_arn" {
  description = "ARN of a customer-managed key for the table; empty is DynamoDB's own key."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.table_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.table_kms_key_arn))
    error_message = "table_kms_key_arn must be empty or a key's ARN (arn:...:key/...): IAM policies do not follow aliases."
  }
}

variable "bucket_kms_key_arn" {
  description = "ARN of a customer-managed key for the bucket; empty is the AWS-managed key `aws/s3`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.bucket_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.bucket_kms_key_arn))
    error_message = "bucket_kms_key_arn must be empty or a key's ARN (arn:...:key/...): IAM policies do not follow aliases."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table. `terraform destroy` needs it off."
  type        = bool
  default     = true
  nullable    = false
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the bucket with all that is in it."
  type        = bool
  default     = false
  nullable    = false
}

variable "glue_database_name" {
  description = "Name of a Glue database to create, with a table through which Athena reads the data lake; empty is none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.glue_database_name == "" || can(regex("^[a-z0-9_]{1,255}$", var.glue_database_name))
    error_message = "glue_database_name must be empty or lower case letters, digits and underscores: Athena takes no other name without quotes."
  }
}

variable "alarm_email" {
  description = "Address that alarms are sent to, through an SNS topic, once it has confirmed; empty is no topic."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.alarm_email == "" || can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be empty or an e-mail address: SNS sends a confirmation to it."
  }
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights, by name, over both functions' log groups. In the default's first, put an event's id for X."
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
