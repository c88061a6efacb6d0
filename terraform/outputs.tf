output "region" {
  description = "Region of the stack."
  value       = module.pipeline.region
}

output "sqs_queue_url" {
  description = "URL of the queue that producers send to."
  value       = module.pipeline.sqs_queue_url
}

output "sqs_queue_arn" {
  description = "ARN of the queue that producers send to."
  value       = module.pipeline.sqs_queue_arn
}

output "sqs_queue_name" {
  description = "Name of the queue that producers send to."
  value       = module.pipeline.sqs_queue_name
}

output "max_message_bytes" {
  description = "Size of the largest message that the queue accepts. SQS rejects larger messages when they are sent."
  value       = module.pipeline.max_message_bytes
}

output "visibility_timeout_seconds" {
  description = "Visibility timeout of the queue: the time between two receives of a message that keeps failing."
  value       = module.pipeline.visibility_timeout_seconds
}

output "sqs_dlq_url" {
  description = "URL of the dead-letter queue, which holds the messages that were received `max_receive_count` times and never acknowledged."
  value       = module.pipeline.sqs_dlq_url
}

output "sqs_dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = module.pipeline.sqs_dlq_arn
}

output "sqs_dlq_name" {
  description = "Name of the dead-letter queue."
  value       = module.pipeline.sqs_dlq_name
}

output "on_failure_queue_url" {
  description = "URL of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  value       = module.pipeline.on_failure_queue_url
}

output "on_failure_queue_arn" {
  description = "ARN of the on-failure queue."
  value       = module.pipeline.on_failure_queue_arn
}

output "on_failure_queue_name" {
  description = "Name of the on-failure queue."
  value       = module.pipeline.on_failure_queue_name
}

output "dynamodb_table_name" {
  description = "Name of the table of claims."
  value       = module.pipeline.dynamodb_table_name
}

output "dynamodb_table_arn" {
  description = "ARN of the table of claims."
  value       = module.pipeline.dynamodb_table_arn
}

output "dynamodb_stream_arn" {
  description = "ARN of the claims table's stream."
  value       = module.pipeline.dynamodb_stream_arn
}

output "s3_bucket_name" {
  description = "Name of the data lake's bucket."
  value       = module.pipeline.s3_bucket_name
}

output "s3_bucket_arn" {
  description = "ARN of the data lake's bucket."
  value       = module.pipeline.s3_bucket_arn
}

output "object_prefix" {
  description = "Prefix of all object keys of the data lake."
  value       = module.pipeline.object_prefix
}

output "dedup_window_seconds" {
  description = "Dedup window: the time for which a claim is valid."
  value       = module.pipeline.dedup_window_seconds
}

output "dedup_key" {
  description = "What identifies an event: a JSON Pointer, a JSON array of pointers (written without white space), `attribute:NAME` or `content`."
  value       = module.pipeline.dedup_key
}

output "conflict_ignore" {
  description = "Sorted list, without duplicates, of JSON Pointers to the members that `ingest-fn` ignores when it compares two bodies."
  value       = module.pipeline.conflict_ignore
}

output "lake_layout" {
  description = "Layout of the data lake for new claims: `objects` (one object for each event) or `packs` (one object for many events)."
  value       = module.pipeline.lake_layout
}

output "log_routine_outcomes" {
  description = "True if the functions log the outcomes `won`, `duplicate`, `written`, `already_there` and `skipped`."
  value       = module.pipeline.log_routine_outcomes
}

output "ingest_function_name" {
  description = "Name of `ingest-fn`, the function that claims the events in SQS messages."
  value       = module.pipeline.ingest_function_name
}

output "archive_function_name" {
  description = "Name of `archive-fn`, the function that writes claims to S3."
  value       = module.pipeline.archive_function_name
}

output "ingest_version" {
  description = "Published version of `ingest-fn` that the queue mapping invokes."
  value       = module.pipeline.ingest_version
}

output "archive_version" {
  description = "Published version of `archive-fn` that the stream mapping invokes."
  value       = module.pipeline.archive_version
}

output "ingest_role_arn" {
  description = "ARN of the role of `ingest-fn`."
  value       = module.pipeline.ingest_role_arn
}

output "archive_role_arn" {
  description = "ARN of the role of `archive-fn`."
  value       = module.pipeline.archive_role_arn
}

output "producer_policy_json" {
  description = "Policy document for a role that sends events to the queue."
  value       = module.pipeline.producer_policy_json
}

output "operator_policy_json" {
  description = "Policy document for a role that runs `producer trace` and `ops replay` on this stack."
  value       = module.pipeline.operator_policy_json
}

output "ingest_mapping_uuid" {
  description = "UUID of the queue mapping."
  value       = module.pipeline.ingest_mapping_uuid
}

output "archive_mapping_uuid" {
  description = "UUID of the stream mapping, for the dimension `EventSourceMappingUUID` of the mapping's metrics."
  value       = module.pipeline.archive_mapping_uuid
}

output "ingest_log_group" {
  description = "Name of the log group of `ingest-fn`."
  value       = module.pipeline.ingest_log_group
}

output "ingest_log_group_arn" {
  description = "ARN of the log group of `ingest-fn`."
  value       = module.pipeline.ingest_log_group_arn
}

output "archive_log_group" {
  description = "Name of the log group of `archive-fn`."
  value       = module.pipeline.archive_log_group
}

output "archive_log_group_arn" {
  description = "ARN of the log group of `archive-fn`."
  value       = module.pipeline.archive_log_group_arn
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard that shows the queues, the functions and the table."
  value       = module.pipeline.dashboard_name
}

output "tail_archive_log_command" {
  description = "Command that follows the log of `archive-fn` (AWS CLI version 2)."
  value       = module.pipeline.tail_archive_log_command
}

output "run_producer_command" {
  description = "Command that sends 50 copies of one event to this stack and checks the result. Run it in the repository's root."
  value       = "AWS_REGION=${var.region} cargo run -p producer -- --terraform-dir terraform"
}

output "redrive_dlq_command" {
  description = "Command that moves the dead letters back to the queue."
  value       = module.pipeline.redrive_dlq_command
}
