variable "name_prefix" {
  description = "First part of each role's name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region of the services through which the keys may be used."
  type        = string
  nullable    = false
}

variable "queue_arn" {
  description = "Queue that `ingest-fn` consumes."
  type        = string
  nullable    = false
}

variable "table_arn" {
  description = "Table that `ingest-fn` puts claims into."
  type        = string
  nullable    = false
}

variable "claim_writes" {
  description = "How `ingest-fn` writes claims: with `batch`, it may insert them by PartiQL too."
  type        = string
  nullable    = false
}

variable "stream_arn" {
  description = "Stream that `archive-fn` reads."
  type        = string
  nullable    = false
}

variable "bucket_arn" {
  description = "Bucket that `archive-fn` writes to."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "The only prefix in the bucket that `archive-fn` may write under, with a / at its end."
  type        = string
  nullable    = false
}

variable "on_failure_queue_arn" {
  description = "Queue that names the stream records that were given up."
  type        = string
  nullable    = false
}

variable "ingest_log_group_arn" {
  description = "Log group of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "archive_log_group_arn" {
  description = "Log group of `archive-fn`."
  type        = string
  nullable    = false
}

variable "table_kms_key_arn" {
  description = "Customer-managed key of the table; empty is none."
  type        = string
  nullable    = false
}

variable "bucket_kms_key_arn" {
  description = "Customer-managed key of the bucket; empty is none."
  type        = string
  nullable    = false
}
