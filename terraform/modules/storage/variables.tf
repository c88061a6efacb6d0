variable "name_prefix" {
  description = "First part of the table's name and of the bucket's default name."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Id of the account in which the bucket is created. It is part of the bucket's default name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region in which the bucket is created. It is part of the bucket's default name."
  type        = string
  nullable    = false
}

variable "bucket_name" {
  description = "Name of the data lake's bucket. If empty, it is `<name_prefix>-ingestion-data-<account_id>-<region>`."
  type        = string
  nullable    = false
}

variable "object_prefix" {
  description = "Prefix of all object keys of the data lake. It ends with a slash."
  type        = string
  nullable    = false
}

variable "table_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the table. If empty, DynamoDB encrypts the table with an AWS-owned key."
  type        = string
  nullable    = false
}

variable "bucket_kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the bucket. If empty, S3 uses the AWS-managed key `aws/s3`."
  type        = string
  nullable    = false
}

variable "deletion_protection" {
  description = "If true, DynamoDB refuses to delete the table, and Terraform does not delete the bucket while it contains objects."
  type        = bool
  nullable    = false
}

variable "glue_database_name" {
  description = "Name of a Glue database to create, with the table `events`. If empty, no database is created."
  type        = string
  nullable    = false
}

variable "on_demand_throughput" {
  description = "Limits on the table's throughput. The module `pipeline` describes the attributes."
  nullable    = false

  type = object({
    max_read_request_units  = optional(number)
    max_write_request_units = optional(number)
  })
}

variable "bucket_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the bucket's policy."
  type        = list(string)
  nullable    = false
}
