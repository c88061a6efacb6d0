variable "region" {
  description = "AWS region of the stack."
  type        = string
  default     = "eu-west-1"
  nullable    = false
}

variable "producers_deployment_role_arn" {
  description = "ARN of a role in the producers' account. Terraform assumes this role to create the producers' role."
  type        = string
  nullable    = false
}

variable "producers_service" {
  description = "AWS service that runs the producers and assumes their role."
  type        = string
  default     = "ecs-tasks.amazonaws.com"
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
  description = "If true, Terraform refuses to destroy the stack, and DynamoDB refuses to delete the table."
  type        = bool
  default     = true
  nullable    = false
}
