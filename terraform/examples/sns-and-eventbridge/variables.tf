variable "region" {
  description = "AWS region of the stack."
  type        = string
  default     = "eu-west-1"
  nullable    = false
}

variable "stage" {
  description = "Stage of the stack, for example `dev` or `production`. It is part of every resource name."
  type        = string
  default     = "dev"
  nullable    = false
}

variable "ingest_zip" {
  description = "Path of the zip of `ingest-fn`, relative to this folder."
  type        = string
  default     = "../../../target/lambda/ingest-fn/bootstrap.zip"
  nullable    = false
}

variable "archive_zip" {
  description = "Path of the zip of `archive-fn`, relative to this folder."
  type        = string
  default     = "../../../target/lambda/archive-fn/bootstrap.zip"
  nullable    = false
}

variable "deletion_protection" {
  description = "If true, Terraform refuses to delete the stack. The example `complete` describes how to destroy it."
  type        = bool
  default     = true
  nullable    = false
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights. If null, the module saves its own queries. An empty map saves none."
  type        = map(string)
  default     = null
}
