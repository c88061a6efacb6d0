output "region" {
  description = "Region of the stack."
  value       = module.pipeline.region
}

output "sqs_queue_url" {
  description = "URL of the queue that producers send to."
  value       = module.pipeline.sqs_queue_url
}

output "sqs_dlq_url" {
  description = "URL of the dead-letter queue."
  value       = module.pipeline.sqs_dlq_url
}

output "dynamodb_table_name" {
  description = "Name of the table of claims."
  value       = module.pipeline.dynamodb_table_name
}

output "s3_bucket_name" {
  description = "Name of the data lake's bucket."
  value       = module.pipeline.s3_bucket_name
}

output "object_prefix" {
  description = "Prefix of all object keys of the data lake."
  value       = module.pipeline.object_prefix
}

output "ingest_log_group" {
  description = "Name of the log group of `ingest-fn`."
  value       = module.pipeline.ingest_log_group
}

output "archive_log_group" {
  description = "Name of the log group of `archive-fn`."
  value       = module.pipeline.archive_log_group
}
