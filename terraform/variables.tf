# Apart from `region`, these are the variables of the module pipeline, which validates them and has the full descriptions. Without a
# value here, the module's default applies: Terraform treats null as an absent value.

variable "region" {
  description = "AWS region of the whole stack."
  type        = string
  default     = "sa-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be an AWS region code such as sa-east-1: Terraform builds ARNs and the bucket's name from it."
  }
}

variable "project" {
  description = "First part of every resource name."
  type        = string
  default     = "dynamo-locking"
  nullable    = false
}

variable "stage" {
  description = "Second part of every resource name."
  type        = string
  default     = "dev"
  nullable    = false
}

variable "dedup_window_seconds" {
  description = "Dedup window: the time for which a claim is valid. Until the claim expires, other messages with its event id are duplicates or conflicts. The default is 16 days."
  type        = number
  default     = null
}

variable "late_duplicates_seconds" {
  description = "Longest time from the first message of an event to the last duplicate that a producer sends. The dedup window must be long enough for such late duplicates. The default is one day."
  type        = number
  default     = null
}

variable "dedup_key" {
  description = "What identifies an event: a JSON Pointer (RFC 6901) to the event id in a message's body, a JSON array of 2 to 8 such pointers, `attribute:NAME` (an SQS message attribute), or `content` (the whole body). Changing it starts a new key space: a late duplicate of an event that was claimed under the old key is archived again."
  type        = string
  default     = null
}

variable "conflict_ignore" {
  description = "JSON Pointers to the members that `ingest-fn` ignores when it compares the bodies of two messages of one event. With the dedup key `content`, changing the list also starts a new key space."
  type        = list(string)
  default     = null
}

variable "on_conflict" {
  description = "Action on a conflict, which is a message whose body differs from the body in its event's claim: `acknowledge` drops the message, `dead-letter` lets it fail until SQS moves it to the dead-letter queue."
  type        = string
  default     = null
}

variable "lake_layout" {
  description = "Layout of the data lake for new claims: `objects` archives each event as an object of its own, `packs` archives many events in one object."
  type        = string
  default     = null
}

variable "ingest" {
  description = "Settings of `ingest-fn` and of the queue mapping, which invokes it."

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
      minimum = optional(number)
      maximum = optional(number)
    }))
    claim_writes        = optional(string)
    claim_cache_entries = optional(number)
  })

  default  = {}
  nullable = false
}

variable "archive" {
  description = "Settings of `archive-fn` and of the stream mapping, which invokes it."

  type = object({
    zip                            = optional(string)
    s3_bucket                      = optional(string)
    s3_key                         = optional(string)
    s3_object_version              = optional(string)
    source_code_hash               = optional(string)
    batch_size                     = optional(number)
    batching_window_seconds        = optional(number)
    parallelization_factor         = optional(number)
    bisect_batch_on_function_error = optional(bool)
    maximum_retry_attempts         = optional(number)
    maximum_record_age_seconds     = optional(number)
  })

  default  = {}
  nullable = false
}

variable "ingest_version" {
  description = "Published version of `ingest-fn` that the queue mapping invokes, for a roll-back. If null, the mapping invokes the newest version."
  type        = string
  default     = null
}

variable "ingest_enabled" {
  description = "If false, Lambda does not invoke `ingest-fn`. Messages wait in the queue, and SQS deletes them after `retention.queue_seconds`. The alarms that detect a stopped pipeline still fire."
  type        = bool
  default     = null
}

variable "archive_version" {
  description = "Published version of `archive-fn` that the stream mapping invokes, for a roll-back. If null, the mapping invokes the newest version."
  type        = string
  default     = null
}

variable "archive_enabled" {
  description = "If false, Lambda does not invoke `archive-fn`. Claims wait in the stream. Set the variable to true again before the oldest of them reaches `archive.maximum_record_age_seconds`: the stream mapping discards older records. The alarms that detect a stopped pipeline still fire."
  type        = bool
  default     = null
}

variable "functions" {
  description = "Settings of both functions."

  type = object({
    architecture    = optional(string)
    timeout_seconds = optional(number)
    memory_mb       = optional(number)
    log_level       = optional(string)
    tracing_mode    = optional(string)
  })

  default  = {}
  nullable = false
}

variable "log_routine_outcomes" {
  description = "If false, the functions write no log lines for the outcomes `won`, `duplicate`, `written`, `already_there` and `skipped`. The setting does not affect metrics, alarms or the lines of other outcomes. The saved queries and `producer trace` do not show outcomes that are not logged."
  type        = bool
  default     = null
}

variable "max_receive_count" {
  description = "Number of receives after which a message becomes a dead letter."
  type        = number
  default     = null
}

variable "max_message_bytes" {
  description = "Size of the largest message that the queue accepts. SQS rejects larger messages when they are sent. The default is 256 KiB. `ingest-fn` accepts up to 1 MiB, the maximum of SQS, but rejects a body that does not fit into a DynamoDB item (400 KB) even after compression. More than 256 KiB requires version 6.8 or later of the AWS provider."
  type        = number
  default     = null
}

variable "retention" {
  description = "Retention periods of the queues and the log groups."

  type = object({
    queue_seconds      = optional(number)
    dlq_seconds        = optional(number)
    on_failure_seconds = optional(number)
    logs_days          = optional(number)
  })

  default  = {}
  nullable = false
}

variable "bucket_name" {
  description = "Name of the data lake's bucket. If empty, it is `<project>-<stage>-ingestion-data-<account id>-<region>`."
  type        = string
  default     = null
}

variable "object_prefix" {
  description = "Prefix of all object keys of the data lake. Changing it starts a new, empty lake. The objects of the old lake remain, and S3 still refuses to overwrite them."
  type        = string
  default     = null
}

variable "table_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the table. If empty, DynamoDB encrypts the table with an AWS-owned key."
  type        = string
  default     = null
}

variable "bucket_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the bucket. If empty, S3 uses the AWS-managed key `aws/s3`."
  type        = string
  default     = null
}

variable "queue_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the three queues. If empty, SQS encrypts them with a key of its own. The key policy must allow the services in `senders` to use the key."
  type        = string
  default     = null
}

variable "logs_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for both log groups. If empty, CloudWatch Logs encrypts them with a key of its own. The key policy must allow CloudWatch Logs to use the key."
  type        = string
  default     = null
}

variable "permissions_boundary" {
  description = "ARN of a policy that limits the permissions of both functions' roles. If empty, the roles have no permissions boundary."
  type        = string
  default     = null
}

variable "senders" {
  description = "Sources that may send to the queue, in addition to this account's own roles."

  type = object({
    sns_topic_arns  = optional(list(string))
    event_rule_arns = optional(list(string))
    s3_bucket_arns  = optional(list(string))
    account_ids     = optional(list(string))
  })

  default  = {}
  nullable = false
}

variable "queue_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the queue's policy. These statements cannot replace a statement of the module."
  type        = list(string)
  default     = null
}

variable "bucket_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the bucket's policy. These statements cannot replace a statement of the module."
  type        = list(string)
  default     = null
}

variable "on_demand_throughput" {
  description = "Limits on the table's throughput, which cap its cost. DynamoDB throttles requests above them."

  type = object({
    max_read_request_units  = optional(number)
    max_write_request_units = optional(number)
  })

  default  = {}
  nullable = false
}

variable "deletion_protection" {
  description = "If true, Terraform refuses a plan that would delete the stack, DynamoDB refuses to delete the table, and Terraform does not delete the bucket while it contains objects. If false, `terraform destroy` deletes the stack with all its data. The section `Destroy` of terraform/README.md describes how to change it from true to false."
  type        = bool
  default     = null
}

variable "glue_database_name" {
  description = "Name of a Glue database to create, with a table through which Athena queries the data lake. If empty, no database is created."
  type        = string
  default     = null
}

variable "alarms" {
  description = "Receivers, periods and thresholds of the alarms. An alarm fires if its metric is above its threshold."

  type = object({
    email                = optional(string)
    topic_arns           = optional(list(string))
    period_seconds       = optional(number)
    no_progress_seconds  = optional(number)
    queue_age_seconds    = optional(number)
    iterator_age_seconds = optional(number)
    archive_lag_seconds  = optional(number)
    conflicts            = optional(number)
    rejected_messages    = optional(number)
    failed_messages      = optional(number)
    failed_records       = optional(number)
    throttled_writes     = optional(number)
  })

  default  = {}
  nullable = false
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights; each key of the map is a query's name. Each query reads the log groups of both functions. In the default queries `what happened to event X` and `what happened in trace X`, replace X with an event id or a trace id. If `log_routine_outcomes` is false, the results contain no routine outcomes."
  type        = map(string)
  default     = null
}
