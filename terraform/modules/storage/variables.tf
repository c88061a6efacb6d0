variable "name_prefix" {
  description = "First part of the table's name, and of the bucket's default name."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Account that the bucket is made in; part of its default name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region that the bucket is made in; part of its default name."
  type        = string
  nullable    = false
}

variable "bucket_name" {
  description = "Name of the data lake's bucket; empty is `<name_prefix>-ingestion-data-<account_id>-<region>`."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "Where the data lake begins in its bucket, with a / at its end. Under it, nothing is ever overwritten."
  type        = string
  nullable    = false
}

variable "table_kms_key_arn" {
  description = "ARN of a customer-managed key for the table; empty is DynamoDB's own key."
  type        = string
  nullable    = false
}

variable "bucket_kms_key_arn" {
  description = "ARN of a customer-managed key for the bucket; empty is the AWS-managed key `aws/s3`."
  type        = string
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table."
  type        = bool
  nullable    = false
}

variable "force_destroy" {
  description = "Whether destroying the bucket may delete all that is in it."
  type        = bool
  nullable    = false
}

variable "glue_database_name" {
  description = "Name of a Glue database to create, with the table `events`; empty is none."
  type        = string
  nullable    = false
}
