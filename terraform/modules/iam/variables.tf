variable "name_prefix" {
  description = "First part of each role's name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of the stack. It is part of each role's name. The policies permit the use of KMS keys only through DynamoDB, S3 and SQS in this region."
  type        = string
  nullable    = false
}

variable "queue_arn" {
  description = "ARN of the queue that `ingest-fn` consumes."
  type        = string
  nullable    = false
}

variable "dlq_arn" {
  description = "ARN of the dead-letter queue, which operators may read."
  type        = string
  nullable    = false
}

variable "table_arn" {
  description = "ARN of the table that `ingest-fn` puts claims into."
  type        = string
  nullable    = false
}

variable "claim_writes" {
  description = "Method by which `ingest-fn` writes claims. With `batch`, the role of `ingest-fn` may also insert claims with PartiQL."
  type        = string
  nullable    = false
}

variable "stream_arn" {
  description = "ARN of the stream that `archive-fn` reads."
  type        = string
  nullable    = false
}

variable "bucket_arn" {
  description = "ARN of the bucket that `archive-fn` writes to."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "Prefix of the keys that `archive-fn` may write in the bucket. It ends with a slash."
  type        = string
  nullable    = false
}

variable "on_failure_queue_arn" {
  description = "ARN of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  type        = string
  nullable    = false
}

variable "ingest_log_group_arn" {
  description = "ARN of the log group of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "archive_log_group_arn" {
  description = "ARN of the log group of `archive-fn`."
  type        = string
  nullable    = false
}

variable "table_kms_key_arn" {
  description = "ARN of the table's customer-managed KMS key. Empty if the table has none."
  type        = string
  nullable    = false
}

variable "bucket_kms_key_arn" {
  description = "ARN of the bucket's customer-managed KMS key. Empty if the bucket has none."
  type        = string
  nullable    = false
}

variable "queue_kms_key_arn" {
  description = "ARN of the queues' customer-managed KMS key. Empty if the queues have none."
  type        = string
  nullable    = false
}

variable "tracing_mode" {
  description = "Tracing mode of both functions. The roles may send X-Ray segments only if it is `Active`."
  type        = string
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of a policy that limits the permissions of both roles. Empty if there is none."
  type        = string
  nullable    = false
}
