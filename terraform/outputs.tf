output "region" {
  description = "Region of the stack."
  value       = var.region
}

output "sqs_queue_url" {
  description = "URL of the queue that producers send to."
  value       = module.messaging.queue_url
}

output "max_message_bytes" {
  description = "Largest message that the queue accepts: 256 KiB, the maximum that this version of the Terraform provider can set. SQS rejects larger messages when they are sent. The functions themselves accept 1 MiB, the maximum of SQS."
  value       = module.messaging.max_message_bytes
}

output "sqs_dlq_url" {
  description = "URL of the dead-letter queue, which holds messages that failed each of their receives."
  value       = module.messaging.dlq_url
}

output "on_failure_queue_url" {
  description = "URL of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  value       = module.messaging.on_failure_queue_url
}

output "dynamodb_table_name" {
  description = "Name of the table of claims."
  value       = module.storage.table_name
}

output "s3_bucket_name" {
  description = "Name of the data lake's bucket."
  value       = module.storage.bucket_name
}

output "object_prefix" {
  description = "Prefix of all the data lake's keys in its bucket."
  value       = var.object_prefix
}

output "event_id_pointer" {
  description = "JSON Pointer to the event id in a message's body."
  value       = var.event_id_pointer
}

output "ingest_function_name" {
  description = "Name of `ingest-fn`, the function that claims the events in SQS messages."
  value       = module.compute.ingest_function_name
}

output "archive_function_name" {
  description = "Name of `archive-fn`, the function that writes claims to S3."
  value       = module.compute.archive_function_name
}

output "ingest_role_arn" {
  description = "ARN of the role of `ingest-fn`."
  value       = module.iam.ingest_role_arn
}

output "archive_role_arn" {
  description = "ARN of the role of `archive-fn`."
  value       = module.iam.archive_role_arn
}

output "ingest_log_group" {
  description = "Name of the log group of `ingest-fn`."
  value       = module.compute.ingest_log_group
}

output "archive_log_group" {
  description = "Name of the log group of `archive-fn`."
  value       = module.compute.archive_log_group
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard that shows the queues, the functions and the table."
  value       = module.observability.dashboard_name
}

output "tail_archive_log_command" {
  description = "Command that follows the log of `archive-fn` (AWS CLI version 2)."
  value       = "aws logs tail ${module.compute.archive_log_group} --region ${var.region} --follow --format short"
}

output "run_producer_command" {
  description = "Command that sends 50 copies of one event to this stack and checks the result. Run it in the repository's root."
  value       = "AWS_REGION=${var.region} cargo run -p producer -- --terraform-dir terraform"
}

output "redrive_dlq_command" {
  description = "Command that moves the dead letters back to the queue."
  value       = "aws sqs start-message-move-task --region ${var.region} --source-arn ${module.messaging.dlq_arn}"
}
