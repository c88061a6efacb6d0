output "region" {
  description = "Region of the stack."
  value       = var.region
}

output "sqs_queue_url" {
  description = "Where producers send."
  value       = module.messaging.queue_url
}

output "max_message_bytes" {
  description = "Largest message that the queue takes: 256 KiB, which is as much as this Terraform provider can set. SQS refuses a larger one when it is sent. (The functions take SQS's own 1 MiB.)"
  value       = module.messaging.max_message_bytes
}

output "sqs_dlq_url" {
  description = "Dead-letter queue: messages that failed each of their receives."
  value       = module.messaging.dlq_url
}

output "on_failure_queue_url" {
  description = "Queue that names the stream records that were given up."
  value       = module.messaging.on_failure_queue_url
}

output "dynamodb_table_name" {
  description = "Table of claims."
  value       = module.storage.table_name
}

output "s3_bucket_name" {
  description = "Bucket of the data lake."
  value       = module.storage.bucket_name
}

output "object_prefix" {
  description = "Where the data lake begins in its bucket."
  value       = var.object_prefix
}

output "event_id_pointer" {
  description = "JSON Pointer to the event id in a message's body."
  value       = var.event_id_pointer
}

output "ingest_function_name" {
  description = "SQS batch in, claims out."
  value       = module.compute.ingest_function_name
}

output "archive_function_name" {
  description = "Stream batch in, objects out."
  value       = module.compute.archive_function_name
}

output "ingest_role_arn" {
  description = "Role of `ingest-fn`."
  value       = module.iam.ingest_role_arn
}

output "archive_role_arn" {
  description = "Role of `archive-fn`."
  value       = module.iam.archive_role_arn
}

output "ingest_log_group" {
  description = "Log group of `ingest-fn`."
  value       = module.compute.ingest_log_group
}

output "archive_log_group" {
  description = "Log group of `archive-fn`."
  value       = module.compute.archive_log_group
}

output "dashboard_name" {
  description = "CloudWatch dashboard of the flow."
  value       = module.observability.dashboard_name
}

output "tail_archive_log_command" {
  description = "Follows the archive's log lines (AWS CLI version 2)."
  value       = "aws logs tail ${module.compute.archive_log_group} --region ${var.region} --follow --format short"
}

output "run_producer_command" {
  description = "Floods this stack with 50 copies of one event and judges what came of it; to be run in the repository's root."
  value       = "AWS_REGION=${var.region} cargo run -p producer -- --terraform-dir terraform"
}

output "redrive_dlq_command" {
  description = "Sends the dead letters to the queue again."
  value       = "aws sqs start-message-move-task --region ${var.region} --source-arn ${module.messaging.dlq_arn}"
}
