variable "region" {
  description = "AWS region of both stacks."
  type        = string
  default     = "eu-west-1"
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
  description = "If true, Terraform refuses to delete the stacks."
  type        = bool
  default     = true
  nullable    = false
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights. If null, the module saves its own queries. An empty map saves none."
  type        = map(string)
  default     = null
}
