variable "project" {
  description = "First part of every resource name."
  type        = string
  default     = "dynamo-locking"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", var.project))
    error_message = "project must have at least two characters, contain only lower-case letters, digits and hyphens, start with a letter, and not end with a hyphen: the bucket's default name starts with it."
  }

  validation {
    condition     = length("${var.project}-${var.stage}-archive-fn-${local.region}") <= 64
    error_message = "project and stage must be shorter: the name of a role, ${var.project}-${var.stage}-archive-fn-${local.region}, would exceed the 64 characters that IAM allows."
  }
}

variable "stage" {
  description = "Second part of every resource name."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.stage))
    error_message = "stage must contain only lower-case letters, digits and single hyphens between them: it is part of the bucket's default name."
  }
}

variable "dedup_window_seconds" {
  description = "Dedup window: the time for which a claim is valid. Until the claim expires, other messages with its event id are duplicates or conflicts. The default is 16 days."
  type        = number
  default     = 1382400
  nullable    = false

  validation {
    condition     = var.dedup_window_seconds <= 3162240000 && floor(var.dedup_window_seconds) == var.dedup_window_seconds
    error_message = "dedup_window_seconds must be a whole number of at most 3162240000 (a century): ingest-fn rejects anything else when it starts."
  }

  validation {
    condition     = var.dedup_window_seconds >= var.late_duplicates_seconds + var.retention.queue_seconds + var.retention.dlq_seconds
    error_message = "dedup_window_seconds must be at least late_duplicates_seconds + retention.queue_seconds + retention.dlq_seconds: a duplicate that is sent late_duplicates_seconds after its event may wait in the dead-letter queue and, after a redrive, in the queue again. If the event's claim has expired by then, the event is archived twice."
  }

  validation {
    condition     = var.dedup_window_seconds >= var.retention.on_failure_seconds + 86400
    error_message = "dedup_window_seconds must be at least retention.on_failure_seconds plus a day (86400): the event of a discarded record exists only in its claim, and the message that names the record arrives up to a day after the claim. Once the window ends, the next message of the event may overwrite the claim."
  }
}

variable "late_duplicates_seconds" {
  description = "Longest time from the first message of an event to the last duplicate that a producer sends. The dedup window must be long enough for such late duplicates. The default is one day."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.late_duplicates_seconds >= 0 && floor(var.late_duplicates_seconds) == var.late_duplicates_seconds
    error_message = "late_duplicates_seconds must be a whole number of at least 0: it is the longest time from the first message of an event to the last duplicate that a producer sends."
  }
}

variable "dedup_key" {
  description = "What identifies an event: a JSON Pointer (RFC 6901) to the event id in a message's body, a JSON array of 2 to 8 such pointers, `attribute:NAME` (an SQS message attribute), or `content` (the whole body). Changing it starts a new key space: a late duplicate of an event that was claimed under the old key is archived again."
  type        = string
  default     = "/event_id"
  nullable    = false
}

variable "conflict_ignore" {
  description = "JSON Pointers to the members that `ingest-fn` ignores when it compares the bodies of two messages of one event. With the dedup key `content`, changing the list also starts a new key space."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "on_conflict" {
  description = "Action on a conflict, which is a message whose body differs from the body in its event's claim: `acknowledge` drops the message, `dead-letter` lets it fail until SQS moves it to the dead-letter queue."
  type        = string
  default     = "acknowledge"
  nullable    = false

  validation {
    condition     = contains(["acknowledge", "dead-letter"], var.on_conflict)
    error_message = "on_conflict must be acknowledge or dead-letter: ingest-fn rejects anything else when it starts."
  }
}

variable "lake_layout" {
  description = "Layout of the data lake for new claims: `objects` archives each event as an object of its own, `packs` archives many events in one object."
  type        = string
  default     = "objects"
  nullable    = false

  validation {
    condition     = contains(["objects", "packs"], var.lake_layout)
    error_message = "lake_layout must be objects or packs: ingest-fn rejects anything else when it starts."
  }
}

variable "ingest" {
  description = <<-TEXT
    Settings of `ingest-fn` and of the queue mapping, which invokes it.
    - `zip`: Path of the zip of `ingest-fn`, relative to the folder from which Terraform runs. `scripts/package` builds the zip, and a release contains it. Set either `zip`, or both `s3_bucket` and `s3_key`.
    - `s3_bucket`: Name of the bucket from which Lambda takes the zip. It must be in the stack's region.
    - `s3_key`: Key of the zip in `s3_bucket`. Terraform detects a change of the key, but not a new object under the same key.
    - `s3_object_version`: Version of the object, if the bucket is versioned. Terraform detects a change of the version.
    - `source_code_hash`: SHA-256 of the zip in S3, in Base64. Change it together with the object, so that Terraform deploys the new code.
    - `batch_size`: Maximum number of messages in one invocation of `ingest-fn`. The default is 10, or 1000 with packs (`lake_layout`). Lambda ends a batch early if its payload reaches 6 MB.
    - `batching_window_seconds`: Maximum time that Lambda waits for a batch of messages to fill. The default is 5, or 20 with packs. The queue's visibility timeout grows with it.
    - `maximum_concurrency`: Maximum number of sandboxes of `ingest-fn` that the queue mapping invokes at once. The default is 10. Lambda accepts either `maximum_concurrency` or `provisioned_pollers`.
    - `provisioned_pollers`: Number of pollers that Lambda keeps running for the queue mapping: at least `minimum` (2 by default), at most `maximum` (200 by default). AWS charges for each poller by the hour. Each poller invokes up to 10 sandboxes at once. If null, Lambda scales the pollers itself.
    - `claim_writes`: Method by which `ingest-fn` writes the claims of a batch: `single` writes each claim in its own request, `batch` writes many claims in one request. `batch` costs less than `single` for new events, and more for duplicates.
    - `claim_cache_entries`: Number of claims that a warm sandbox of `ingest-fn` caches; 0 disables the cache.
  TEXT

  type = object({
    zip                     = optional(string)
    s3_bucket               = optional(string)
    s3_key                  = optional(string)
    s3_object_version       = optional(string)
    source_code_hash        = optional(string)
    batch_size              = optional(number)
    batching_window_seconds = optional(number)
    maximum_concurrency     = optional(number)
    provisioned_pollers = optional(object({
      minimum = optional(number, 2)
      maximum = optional(number, 200)
    }))
    claim_writes        = optional(string, "single")
    claim_cache_entries = optional(number, 10000)
  })

  nullable = false

  validation {
    condition     = (var.ingest.zip == null) != (var.ingest.s3_key == null)
    error_message = "ingest must have either zip (a local file), or both s3_bucket and s3_key (an object in S3): Lambda takes the code from one of the two."
  }

  validation {
    condition     = (var.ingest.s3_bucket == null) == (var.ingest.s3_key == null)
    error_message = "ingest must have both s3_bucket and s3_key, or neither: together they name the object with the zip."
  }

  validation {
    condition     = var.ingest.s3_key != null || var.ingest.s3_object_version == null && var.ingest.source_code_hash == null
    error_message = "ingest.s3_object_version and ingest.source_code_hash describe an object in S3, so they need ingest.s3_key. Terraform computes the hash of a local zip itself."
  }

  validation {
    condition     = var.ingest.source_code_hash == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.ingest.source_code_hash))
    error_message = "ingest.source_code_hash must be a SHA-256 in Base64, as Lambda reports it: openssl dgst -sha256 -binary ZIP | base64. The file SHA256SUMS of a release has the same hash, but in hexadecimal."
  }

  validation {
    condition = (
      var.ingest.batch_size == null ? true :
      var.ingest.batch_size >= 1 && var.ingest.batch_size <= 10000 && floor(var.ingest.batch_size) == var.ingest.batch_size
    )
    error_message = "ingest.batch_size must be a whole number from 1 to 10000, the range that Lambda allows."
  }

  validation {
    condition = (
      coalesce(var.ingest.batch_size, local.default_batch_size) <= 10 ||
      coalesce(var.ingest.batching_window_seconds, local.default_batching_window_seconds) >= 1
    )
    error_message = "ingest.batch_size above 10 requires ingest.batching_window_seconds of at least 1: SQS returns at most 10 messages at a time, and Lambda collects a larger batch only if it has a batching window."
  }

  validation {
    condition = (
      var.ingest.batching_window_seconds == null ? true :
      var.ingest.batching_window_seconds >= 0 && var.ingest.batching_window_seconds <= 300 && floor(var.ingest.batching_window_seconds) == var.ingest.batching_window_seconds
    )
    error_message = "ingest.batching_window_seconds must be a whole number from 0 to 300, the range that Lambda allows."
  }

  # ingest-fn stops up to two seconds before its timeout, and reserves five seconds before that for closing packs. It has ten puts in
  # flight: if each takes 50 ms, a claim takes 5 ms.
  validation {
    condition = (
      var.lake_layout == "objects" ||
      var.functions.timeout_seconds >= 7 + 0.005 * coalesce(var.ingest.batch_size, local.default_batch_size)
    )
    error_message = "ingest.batch_size must be at most ${max(0, floor((var.functions.timeout_seconds - 7) / 0.005))} with lake_layout = \"packs\" and functions.timeout_seconds = ${var.functions.timeout_seconds}: ingest-fn may need 5 ms for each message, and 7 seconds to close packs. If it has too little time, messages fail, and good messages become dead letters. Set a smaller ingest.batch_size, or a longer functions.timeout_seconds."
  }

  validation {
    condition = (
      var.ingest.maximum_concurrency == null ? true :
      var.ingest.maximum_concurrency >= 2 && var.ingest.maximum_concurrency <= 1000 && floor(var.ingest.maximum_concurrency) == var.ingest.maximum_concurrency
    )
    error_message = "ingest.maximum_concurrency must be a whole number from 2 to 1000, the range that Lambda allows. There is no value for unlimited: Lambda would keep receiving messages while the function is throttled, and good messages would become dead letters."
  }

  validation {
    condition     = var.ingest.provisioned_pollers == null || var.ingest.maximum_concurrency == null
    error_message = "ingest must not have both maximum_concurrency and provisioned_pollers: Lambda accepts only one of the two."
  }

  validation {
    condition = alltrue([
      for pollers in var.ingest.provisioned_pollers[*] :
      pollers.minimum >= 2 && pollers.minimum <= 200 && floor(pollers.minimum) == pollers.minimum &&
      pollers.maximum <= 2000 && pollers.maximum >= pollers.minimum && floor(pollers.maximum) == pollers.maximum
    ])
    error_message = "ingest.provisioned_pollers.minimum must be a whole number from 2 to 200, the range that Lambda allows for SQS. ingest.provisioned_pollers.maximum must be a whole number that is not less than the minimum, and at most 2000, the limit of the AWS provider."
  }

  validation {
    condition     = contains(["single", "batch"], var.ingest.claim_writes)
    error_message = "ingest.claim_writes must be single or batch: ingest-fn rejects anything else when it starts."
  }

  validation {
    condition     = var.ingest.claim_cache_entries >= 0 && var.ingest.claim_cache_entries <= 1000000 && floor(var.ingest.claim_cache_entries) == var.ingest.claim_cache_entries
    error_message = "ingest.claim_cache_entries must be a whole number from 0 to 1000000: ingest-fn rejects anything else when it starts."
  }

  # An entry takes at most 150 bytes. The largest batches need up to 64 MB (ingest-fn/tests/compiled.rs).
  validation {
    condition     = var.ingest.claim_cache_entries * 150 <= (var.functions.memory_mb - 64) * 1048576
    error_message = "ingest.claim_cache_entries must be at most ${floor((var.functions.memory_mb - 64) * 1048576 / 150)} with functions.memory_mb = ${var.functions.memory_mb}: an entry takes up to 150 bytes, and a batch up to 64 MB. Lambda kills a function that runs out of memory, and each message of the batch loses one of its max_receive_count receives."
  }
}

variable "archive" {
  description = <<-TEXT
    Settings of `archive-fn` and of the stream mapping, which invokes it.
    - `zip`: Path of the zip of `archive-fn`, relative to the folder from which Terraform runs. `scripts/package` builds the zip, and a release contains it. Set either `zip`, or both `s3_bucket` and `s3_key`.
    - `s3_bucket`: Name of the bucket from which Lambda takes the zip. It must be in the stack's region.
    - `s3_key`: Key of the zip in `s3_bucket`. Terraform detects a change of the key, but not a new object under the same key.
    - `s3_object_version`: Version of the object, if the bucket is versioned. Terraform detects a change of the version.
    - `source_code_hash`: SHA-256 of the zip in S3, in Base64. Change it together with the object, so that Terraform deploys the new code.
    - `batch_size`: Maximum number of stream records in one invocation of `archive-fn`.
    - `batching_window_seconds`: Maximum time that Lambda waits for a batch of stream records to fill. With the default, 0, Lambda does not wait, which keeps the archive's lag low.
    - `parallelization_factor`: Number of batches of one stream shard that Lambda processes at once. The records of one event stay in order.
    - `bisect_batch_on_function_error`: If true, Lambda splits a batch whose invocation failed as a whole and retries the halves, so that one record cannot make the others fail.
    - `maximum_retry_attempts`: Number of times that Lambda retries a failed record. With -1, it retries until the record reaches `archive.maximum_record_age_seconds`.
    - `maximum_record_age_seconds`: Age at which the stream mapping discards a record that still fails. The mapping then sends the on-failure queue a message that names the record. The default is 22 hours.
  TEXT

  type = object({
    zip                            = optional(string)
    s3_bucket                      = optional(string)
    s3_key                         = optional(string)
    s3_object_version              = optional(string)
    source_code_hash               = optional(string)
    batch_size                     = optional(number, 100)
    batching_window_seconds        = optional(number, 0)
    parallelization_factor         = optional(number, 2)
    bisect_batch_on_function_error = optional(bool, true)
    maximum_retry_attempts         = optional(number, -1)
    maximum_record_age_seconds     = optional(number, 79200)
  })

  nullable = false

  validation {
    condition     = (var.archive.zip == null) != (var.archive.s3_key == null)
    error_message = "archive must have either zip (a local file), or both s3_bucket and s3_key (an object in S3): Lambda takes the code from one of the two."
  }

  validation {
    condition     = (var.archive.s3_bucket == null) == (var.archive.s3_key == null)
    error_message = "archive must have both s3_bucket and s3_key, or neither: together they name the object with the zip."
  }

  validation {
    condition     = var.archive.s3_key != null || var.archive.s3_object_version == null && var.archive.source_code_hash == null
    error_message = "archive.s3_object_version and archive.source_code_hash describe an object in S3, so they need archive.s3_key. Terraform computes the hash of a local zip itself."
  }

  validation {
    condition     = var.archive.source_code_hash == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.archive.source_code_hash))
    error_message = "archive.source_code_hash must be a SHA-256 in Base64, as Lambda reports it: openssl dgst -sha256 -binary ZIP | base64. The file SHA256SUMS of a release has the same hash, but in hexadecimal."
  }

  validation {
    condition     = var.archive.batch_size >= 1 && var.archive.batch_size <= 10000 && floor(var.archive.batch_size) == var.archive.batch_size
    error_message = "archive.batch_size must be a whole number from 1 to 10000, the range that Lambda allows."
  }

  validation {
    condition     = var.archive.batching_window_seconds >= 0 && var.archive.batching_window_seconds <= 300 && floor(var.archive.batching_window_seconds) == var.archive.batching_window_seconds
    error_message = "archive.batching_window_seconds must be a whole number from 0 to 300, the range that Lambda allows."
  }

  validation {
    condition     = var.archive.parallelization_factor >= 1 && var.archive.parallelization_factor <= 10 && floor(var.archive.parallelization_factor) == var.archive.parallelization_factor
    error_message = "archive.parallelization_factor must be a whole number from 1 to 10, the range that Lambda allows."
  }

  validation {
    condition     = var.archive.maximum_retry_attempts >= -1 && var.archive.maximum_retry_attempts <= 10000 && floor(var.archive.maximum_retry_attempts) == var.archive.maximum_retry_attempts
    error_message = "archive.maximum_retry_attempts must be a whole number from -1 (no limit) to 10000, the range that Lambda allows. With a limit, Lambda discards good records if an S3 outage outlasts the retries."
  }

  validation {
    condition     = var.archive.maximum_record_age_seconds >= 7200 && var.archive.maximum_record_age_seconds <= 82800 && floor(var.archive.maximum_record_age_seconds) == var.archive.maximum_record_age_seconds
    error_message = "archive.maximum_record_age_seconds must be a whole number from 7200 to 82800. Below two hours, a short S3 outage makes the mapping discard good records. Above 23 hours, a record may be lost: the stream drops it after 24 hours, possibly before the mapping names it in the on-failure queue."
  }
}

variable "ingest_version" {
  description = "Published version of `ingest-fn` that the queue mapping invokes, for a roll-back. If null, the mapping invokes the newest version."
  type        = string
  default     = null

  validation {
    condition     = var.ingest_version == null || can(regex("^[1-9][0-9]*$", var.ingest_version))
    error_message = "ingest_version must be the number of a published version. $LATEST is not one, and its code changes with the next deployment."
  }
}

variable "ingest_enabled" {
  description = "If false, Lambda does not invoke `ingest-fn`. Messages wait in the queue, and SQS deletes them after `retention.queue_seconds`. The alarms that detect a stopped pipeline still fire."
  type        = bool
  default     = true
  nullable    = false
}

variable "archive_version" {
  description = "Published version of `archive-fn` that the stream mapping invokes, for a roll-back. If null, the mapping invokes the newest version."
  type        = string
  default     = null

  validation {
    condition     = var.archive_version == null || can(regex("^[1-9][0-9]*$", var.archive_version))
    error_message = "archive_version must be the number of a published version. $LATEST is not one, and its code changes with the next deployment."
  }
}

variable "archive_enabled" {
  description = "If false, Lambda does not invoke `archive-fn`. Claims wait in the stream. Set the variable to true again before the oldest of them reaches `archive.maximum_record_age_seconds`: the stream mapping discards older records. The alarms that detect a stopped pipeline still fire."
  type        = bool
  default     = true
  nullable    = false
}

variable "functions" {
  description = <<-TEXT
    Settings of both functions.
    - `architecture`: Instruction set that the zips were built for: `x86_64` or `arm64`.
    - `timeout_seconds`: Timeout of one invocation of either function. The queue's visibility timeout is derived from it.
    - `memory_mb`: Memory of each function in MB. A function's share of a CPU grows with its memory.
    - `log_level`: Lowest level of the log lines that the functions write: `INFO` or `DEBUG`.
    - `tracing_mode`: `Active` lets Lambda send traces of a sample of the invocations to X-Ray, which charges per trace. `PassThrough` sends nothing to X-Ray.
  TEXT

  type = object({
    architecture    = optional(string, "x86_64")
    timeout_seconds = optional(number, 30)
    memory_mb       = optional(number, 256)
    log_level       = optional(string, "INFO")
    tracing_mode    = optional(string, "Active")
  })

  default  = {}
  nullable = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.functions.architecture)
    error_message = "functions.architecture must be x86_64 or arm64: Lambda supports no others."
  }

  validation {
    condition     = var.functions.timeout_seconds >= 5 && var.functions.timeout_seconds <= 900 && floor(var.functions.timeout_seconds) == var.functions.timeout_seconds
    error_message = "functions.timeout_seconds must be a whole number from 5 to 900. The functions stop one second before their deadline, so a shorter timeout leaves too little time to work. Lambda allows at most 900 seconds."
  }

  validation {
    condition     = var.functions.memory_mb >= 128 && var.functions.memory_mb <= 10240 && floor(var.functions.memory_mb) == var.functions.memory_mb
    error_message = "functions.memory_mb must be a whole number from 128 to 10240, the range that Lambda allows."
  }

  validation {
    condition     = contains(["INFO", "DEBUG"], var.functions.log_level)
    error_message = "functions.log_level must be INFO or DEBUG: the metrics are log lines at level INFO, so a higher level would drop them, and the alarms on them would never fire."
  }

  validation {
    condition     = contains(["Active", "PassThrough"], var.functions.tracing_mode)
    error_message = "functions.tracing_mode must be Active or PassThrough, the modes that Lambda supports."
  }
}

variable "log_routine_outcomes" {
  description = "If false, the functions write no log lines for the outcomes `won`, `duplicate`, `written`, `already_there` and `skipped`. The setting does not affect metrics, alarms or the lines of other outcomes. The saved queries and `producer trace` do not show outcomes that are not logged."
  type        = bool
  default     = true
  nullable    = false
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

variable "max_message_bytes" {
  description = "Size of the largest message that the queue accepts. SQS rejects larger messages when they are sent. The default is 256 KiB. `ingest-fn` accepts up to 1 MiB, the maximum of SQS, but rejects a body that does not fit into a DynamoDB item (400 KB) even after compression. More than 256 KiB requires version 6.8 or later of the AWS provider."
  type        = number
  default     = 262144
  nullable    = false

  validation {
    condition     = var.max_message_bytes >= 1024 && var.max_message_bytes <= 1048576 && floor(var.max_message_bytes) == var.max_message_bytes
    error_message = "max_message_bytes must be a whole number from 1024 to 1048576 (1 MiB), the range that SQS allows. Versions of the AWS provider below 6.8 refuse more than 262144 (256 KiB)."
  }
}

variable "retention" {
  description = <<-TEXT
    Retention periods of the queues and the log groups.
    - `queue_seconds`: Time after which SQS deletes a message that is still in the queue. The default is one day.
    - `dlq_seconds`: Time after which SQS deletes a dead letter, counted from its first enqueue. The default, 14 days, is the maximum of SQS.
    - `on_failure_seconds`: Time after which SQS deletes a message from the on-failure queue. The default, 14 days, is the maximum of SQS.
    - `logs_days`: Number of days for which CloudWatch Logs keeps the functions' log lines. The default covers the default dedup window and two more weeks.
  TEXT

  type = object({
    queue_seconds      = optional(number, 86400)
    dlq_seconds        = optional(number, 1209600)
    on_failure_seconds = optional(number, 1209600)
    logs_days          = optional(number, 30)
  })

  default  = {}
  nullable = false

  validation {
    condition     = var.retention.queue_seconds >= 60 && var.retention.queue_seconds <= 1209600
    error_message = "retention.queue_seconds must be from 60 to 1209600 (14 days), the range that SQS allows."
  }

  validation {
    condition     = var.retention.queue_seconds >= 2 * var.max_receive_count * (6 * var.functions.timeout_seconds + local.ingest.batching_window_seconds)
    error_message = "retention.queue_seconds must be at least 2 x max_receive_count x (6 x functions.timeout_seconds + ingest.batching_window_seconds). The part in parentheses is the visibility timeout. A failing message becomes a dead letter max_receive_count visibility timeouts after its first receive, and SQS deletes a message whose retention ends earlier. The factor 2 leaves time for the alarm queue-message-age to fire first."
  }

  validation {
    condition     = var.retention.dlq_seconds <= 1209600
    error_message = "retention.dlq_seconds must be at most 1209600 (14 days), the maximum of SQS."
  }

  validation {
    condition     = var.retention.dlq_seconds >= var.retention.queue_seconds + 86400
    error_message = "retention.dlq_seconds must be at least retention.queue_seconds plus a day (86400): a dead letter keeps the time of its first enqueue. With a shorter retention, a message that becomes a dead letter at the end of the queue's retention is deleted before anyone can look at it."
  }

  validation {
    condition     = var.retention.on_failure_seconds >= 86400 && var.retention.on_failure_seconds <= 1209600
    error_message = "retention.on_failure_seconds must be from 86400 (a day) to 1209600 (14 days): each message names a claim that is not in the data lake yet, and an operator needs time to replay it. 14 days is the maximum of SQS."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.retention.logs_days)
    error_message = "retention.logs_days must be a period that CloudWatch Logs supports, such as 14, 30, 90 or 365. 0 is refused, because CloudWatch would keep the lines forever, at a cost that never stops growing."
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

  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html. The names that end with .mrap contain a dot.
  validation {
    condition     = !can(regex("^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|-an)$", var.bucket_name != "" ? var.bucket_name : "${var.project}-"))
    error_message = "bucket_name, or project if bucket_name is empty, must not start with xn--, sthree- or amzn-s3-demo-, and bucket_name must not end with -s3alias, --ol-s3, --x-s3, --table-s3 or -an: S3 reserves these names."
  }

  validation {
    condition     = var.bucket_name != "" || length("${var.project}-${var.stage}-ingestion-data-123456789012-${local.region}") <= 63
    error_message = "bucket_name must be set: with this project, stage and region, the default name would exceed the 63 characters that S3 allows."
  }
}

variable "object_prefix" {
  description = "Prefix of all object keys of the data lake. Changing it starts a new, empty lake. The objects of the old lake remain, and S3 still refuses to overwrite them."
  type        = string
  default     = "events/"
  nullable    = false

  validation {
    condition     = can(regex("^([a-zA-Z0-9!_.'()=-]+/)+$", var.object_prefix)) && length(var.object_prefix) <= 900
    error_message = "object_prefix must consist of folder names, each followed by /, and have at most 900 characters. A folder name may contain letters, digits and ! - _ . ' ( ) =. archive-fn rejects any other prefix when it starts, and the roles' policies would treat * as a wildcard."
  }

  validation {
    condition     = !can(regex("(^|/)[.]{1,2}/", var.object_prefix))
    error_message = "object_prefix must not have . or .. as a folder name: S3 stores such keys, but many clients resolve them like paths and then read or write another key."
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

  validation {
    condition     = var.table_kms_key_arn == "" || try(split(":", var.table_kms_key_arn)[3], "") == local.region
    error_message = "table_kms_key_arn must be the ARN of a key in ${local.region}, the region of the table: DynamoDB cannot use a key of another region."
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

  validation {
    condition     = var.bucket_kms_key_arn == "" || try(split(":", var.bucket_kms_key_arn)[3], "") == local.region
    error_message = "bucket_kms_key_arn must be the ARN of a key in ${local.region}, the region of the bucket: S3 cannot use a key of another region."
  }
}

variable "queue_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the three queues. If empty, SQS encrypts them with a key of its own. The key policy must allow the services in `senders` to use the key."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.queue_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.queue_kms_key_arn))
    error_message = "queue_kms_key_arn must be empty or the ARN of a key (arn:...:key/...), not of an alias: IAM policies do not resolve aliases."
  }

  validation {
    condition     = var.queue_kms_key_arn == "" || try(split(":", var.queue_kms_key_arn)[3], "") == local.region
    error_message = "queue_kms_key_arn must be the ARN of a key in ${local.region}, the region of the queues: SQS cannot use a key of another region."
  }
}

variable "logs_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for both log groups. If empty, CloudWatch Logs encrypts them with a key of its own. The key policy must allow CloudWatch Logs to use the key."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.logs_kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.logs_kms_key_arn))
    error_message = "logs_kms_key_arn must be empty or the ARN of a key (arn:...:key/...), not of an alias: CloudWatch Logs does not resolve aliases."
  }

  validation {
    condition     = var.logs_kms_key_arn == "" || try(split(":", var.logs_kms_key_arn)[3], "") == local.region
    error_message = "logs_kms_key_arn must be the ARN of a key in ${local.region}, the region of the log groups: CloudWatch Logs cannot use a key of another region."
  }
}

variable "permissions_boundary" {
  description = "ARN of a policy that limits the permissions of both functions' roles. If empty, the roles have no permissions boundary."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.permissions_boundary == "" || can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be empty or the ARN of a managed policy (arn:...:policy/...): IAM accepts nothing else as a boundary."
  }
}

variable "senders" {
  description = <<-TEXT
    Sources that may send to the queue, in addition to this account's own roles.
    - `sns_topic_arns`: ARNs of SNS topics. Their subscriptions must use raw message delivery.
    - `event_rule_arns`: ARNs of EventBridge rules.
    - `s3_bucket_arns`: ARNs of buckets of this account that send their notifications to the queue.
    - `account_ids`: Ids of other accounts, whose own policies decide which of their roles may send.
  TEXT

  type = object({
    sns_topic_arns  = optional(list(string), [])
    event_rule_arns = optional(list(string), [])
    s3_bucket_arns  = optional(list(string), [])
    account_ids     = optional(list(string), [])
  })

  default  = {}
  nullable = false

  # A wildcard would let topics, rules or buckets of any account send.
  validation {
    condition     = alltrue([for arn in var.senders.sns_topic_arns : can(regex("^arn:[^:*?]+:sns:[^:*?]+:[0-9]{12}:[^:*?]+$", arn))])
    error_message = "senders.sns_topic_arns must contain ARNs of SNS topics (arn:...:sns:REGION:ACCOUNT:NAME) without wildcards: a wildcard could let topics of other accounts send to the queue."
  }

  validation {
    condition     = alltrue([for arn in var.senders.event_rule_arns : can(regex("^arn:[^:*?]+:events:[^:*?]+:[0-9]{12}:rule/[^:*?]+$", arn))])
    error_message = "senders.event_rule_arns must contain ARNs of EventBridge rules (arn:...:events:REGION:ACCOUNT:rule/..) without wildcards: a wildcard could let rules of other accounts send to the queue."
  }

  validation {
    condition     = alltrue([for arn in var.senders.s3_bucket_arns : can(regex("^arn:[^:*?]+:s3:::[^:*?/]+$", arn))])
    error_message = "senders.s3_bucket_arns must contain ARNs of buckets (arn:...:s3:::NAME), not of objects, without wildcards: a notification names its bucket as its source."
  }

  validation {
    condition     = alltrue([for id in var.senders.account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "senders.account_ids must contain ids of accounts, which have 12 digits: each becomes a principal in the queue's policy."
  }
}

variable "queue_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the queue's policy. These statements cannot replace a statement of the module."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for document in var.queue_policy_documents : can(jsondecode(document).Statement)])
    error_message = "queue_policy_documents must contain policy documents: JSON objects with a Statement."
  }

  validation {
    condition = length(setintersection(["DenyInsecureTransport"], flatten([
      for document in var.queue_policy_documents : [for statement in flatten([try(jsondecode(document).Statement, [])]) : try(statement.Sid, "")]
    ]))) == 0
    error_message = "queue_policy_documents must not contain a statement with the Sid DenyInsecureTransport: the module's own statement would replace it."
  }
}

variable "bucket_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the bucket's policy. These statements cannot replace a statement of the module."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for document in var.bucket_policy_documents : can(jsondecode(document).Statement)])
    error_message = "bucket_policy_documents must contain policy documents: JSON objects with a Statement."
  }

  validation {
    condition = length(setintersection(["DenyInsecureTransport", "DenyWriteWithoutIfNoneMatch"], flatten([
      for document in var.bucket_policy_documents : [for statement in flatten([try(jsondecode(document).Statement, [])]) : try(statement.Sid, "")]
    ]))) == 0
    error_message = "bucket_policy_documents must not contain a statement with the Sid DenyInsecureTransport or DenyWriteWithoutIfNoneMatch: the module's own statement would replace it."
  }
}

variable "on_demand_throughput" {
  description = <<-TEXT
    Limits on the table's throughput, which cap its cost. DynamoDB throttles requests above them.
    - `max_read_request_units`: Read request units per second. If null, a new table has no limit, and an existing table keeps its limit; -1 removes the limit.
    - `max_write_request_units`: Write request units per second. If null, a new table has no limit, and an existing table keeps its limit; -1 removes the limit.
  TEXT

  type = object({
    max_read_request_units  = optional(number)
    max_write_request_units = optional(number)
  })

  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for limit in values(var.on_demand_throughput) : limit == null ? true : (limit == -1 || limit >= 1) && floor(limit) == limit
    ])
    error_message = "on_demand_throughput must have whole numbers of at least 1, or -1, which removes a limit: DynamoDB accepts no others."
  }
}

variable "deletion_protection" {
  description = "If true, Terraform refuses a plan that would delete the stack, DynamoDB refuses to delete the table, and Terraform does not delete the bucket while it contains objects. If false, `terraform destroy` deletes the stack with all its data. The section `Destroy` of terraform/README.md describes how to change it from true to false."
  type        = bool
  default     = true
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

variable "alarms" {
  description = <<-TEXT
    Receivers, periods and thresholds of the alarms. An alarm fires if its metric is above its threshold.
    - `email`: E-mail address that receives alarms through an SNS topic, once its owner has confirmed the subscription. If empty, no topic is created.
    - `topic_arns`: ARNs of existing SNS topics that receive the alarms too, for example the topic of a pager.
    - `period_seconds`: Period over which the alarms aggregate their metrics.
    - `no_progress_seconds`: Time after which `ingest-fn-no-progress` fires without a processed message, and `archive-fn-no-progress` without a processed record.
    - `queue_age_seconds`: Age of the oldest message in the queue above which `queue-message-age` fires. The threshold is lower if half of (`retention.queue_seconds` - `max_receive_count` x visibility timeout) is less.
    - `iterator_age_seconds`: Time by which `archive-fn` may be behind the table's stream before `stream-iterator-age` fires.
    - `archive_lag_seconds`: Time from a claim to its object above which `archive-lag` fires.
    - `conflicts`: Number of conflicts in a period above which `conflicts` fires.
    - `rejected_messages`: Number of rejected messages in a period above which `rejected-messages` fires.
    - `failed_messages`: Threshold for failed messages in a period. `failed-messages` fires if two successive periods exceed it.
    - `failed_records`: Threshold for failed stream records in a period. `failed-records` fires if three successive periods exceed it.
    - `throttled_writes`: Threshold for throttled writes to the table in a period. `table-write-throttles` fires if two successive periods exceed it.
  TEXT

  type = object({
    email                = optional(string, "")
    topic_arns           = optional(list(string), [])
    period_seconds       = optional(number, 300)
    no_progress_seconds  = optional(number, 900)
    queue_age_seconds    = optional(number, 900)
    iterator_age_seconds = optional(number, 3600)
    archive_lag_seconds  = optional(number, 300)
    conflicts            = optional(number, 0)
    rejected_messages    = optional(number, 0)
    failed_messages      = optional(number, 0)
    failed_records       = optional(number, 0)
    throttled_writes     = optional(number, 0)
  })

  default  = {}
  nullable = false

  validation {
    condition     = var.alarms.email == "" || can(regex("^[^@ ]+@[^@ ]+$", var.alarms.email))
    error_message = "alarms.email must be empty or an e-mail address: SNS sends a confirmation request to it."
  }

  validation {
    condition     = alltrue([for arn in var.alarms.topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:]+$", arn))])
    error_message = "alarms.topic_arns must contain ARNs of SNS topics (arn:...:sns:REGION:ACCOUNT:NAME)."
  }

  validation {
    condition     = alltrue([for arn in var.alarms.topic_arns : try(split(":", arn)[3], "") == local.region])
    error_message = "alarms.topic_arns must contain ARNs of topics in ${local.region}, the region of the alarms: CloudWatch refuses an alarm with a topic of another region."
  }

  validation {
    condition     = var.alarms.period_seconds >= 60 && var.alarms.period_seconds <= 3600 && var.alarms.period_seconds % 60 == 0
    error_message = "alarms.period_seconds must be a multiple of 60 from 60 to 3600: the metrics have one value per minute, and an alarm with a longer period would fire too late."
  }

  validation {
    condition = (
      var.alarms.no_progress_seconds >= var.alarms.period_seconds && var.alarms.no_progress_seconds <= 43200 &&
      var.alarms.no_progress_seconds % var.alarms.period_seconds == 0
    )
    error_message = "alarms.no_progress_seconds must be a multiple of alarms.period_seconds, and at most 43200 (12 hours): CloudWatch counts whole periods. The stream keeps records for 24 hours, and the alarm must leave time to act."
  }

  validation {
    condition     = var.alarms.queue_age_seconds >= 60
    error_message = "alarms.queue_age_seconds must be at least 60: even in normal operation, a message waits for its receive and for Lambda's batching window."
  }

  validation {
    condition     = var.alarms.iterator_age_seconds >= 60 && var.alarms.iterator_age_seconds <= 43200
    error_message = "alarms.iterator_age_seconds must be from 60 to 43200 (12 hours): the stream keeps records for 24 hours, and the alarm must leave time to act."
  }

  validation {
    condition     = var.alarms.archive_lag_seconds >= 1 && var.alarms.archive_lag_seconds <= 43200
    error_message = "alarms.archive_lag_seconds must be from 1 to 43200 (12 hours): the stream keeps records for 24 hours, and the alarm must leave time to act."
  }

  validation {
    condition = alltrue([
      for count in [
        var.alarms.conflicts, var.alarms.rejected_messages, var.alarms.failed_messages, var.alarms.failed_records, var.alarms.throttled_writes,
      ] : count >= 0
    ])
    error_message = "alarms.conflicts, rejected_messages, failed_messages, failed_records and throttled_writes must be at least 0: no count is negative, so every count would exceed a lower threshold."
  }
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights; each key of the map is a query's name. Each query reads the log groups of both functions. In the default queries `what happened to event X` and `what happened in trace X`, replace X with an event id or a trace id. If `log_routine_outcomes` is false, the results contain no routine outcomes."
  type        = map(string)
  nullable    = false

  default = {
    "what happened to event X" = <<-QUERY
      fields @timestamp, outcome, event_id, claim_id, message_id, trace_id, key, lag_ms, differs, error
      | filter event_id = "X"
      | sort @timestamp asc
      | limit 1000
    QUERY

    "what happened in trace X" = <<-QUERY
      fields @timestamp, outcome, event_id, claim_id, message_id, trace_id, key, lag_ms, differs, error
      | filter trace_id = "X"
      | sort @timestamp asc
      | limit 1000
    QUERY

    "conflicts by differing members" = <<-QUERY
      filter outcome = "conflict"
      | stats count(*) as messages, min(@timestamp) as first, max(@timestamp) as last, latest(event_id) as example by differs
      | sort messages desc
    QUERY

    "failures by reason" = <<-QUERY
      filter outcome in ["failed", "rejected", "conflict", "quarantined"]
      | stats count(*) as records, min(@timestamp) as first, max(@timestamp) as last by outcome, error
      | sort records desc
    QUERY
  }
}
