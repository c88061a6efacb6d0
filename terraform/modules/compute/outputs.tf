output "ingest_function_name" {
  description = "Name of `ingest-fn`."
  value       = aws_lambda_function.ingest.function_name
}

output "archive_function_name" {
  description = "Name of `archive-fn`."
  value       = aws_lambda_function.archive.function_name
}

output "ingest_version" {
  description = "Published version of `ingest-fn` that the queue mapping invokes."
  value       = aws_lambda_alias.ingest.function_version
}

output "archive_version" {
  description = "Published version of `archive-fn` that the stream mapping invokes."
  value       = aws_lambda_alias.archive.function_version
}

output "ingest_mapping_uuid" {
  description = "UUID of the queue mapping."
  value       = aws_lambda_event_source_mapping.ingest.uuid
}

output "archive_mapping_uuid" {
  description = "UUID of the stream mapping, for the dimension `EventSourceMappingUUID` of the mapping's metrics."
  value       = aws_lambda_event_source_mapping.archive.uuid
}

output "ingest_log_group" {
  description = "Name of the log group of `ingest-fn`."
  value       = aws_cloudwatch_log_group.ingest.name
}

output "archive_log_group" {
  description = "Name of the log group of `archive-fn`."
  value       = aws_cloudwatch_log_group.archive.name
}

output "ingest_log_group_arn" {
  description = "ARN of the log group of `ingest-fn`."
  value       = aws_cloudwatch_log_group.ingest.arn
}

output "archive_log_group_arn" {
  description = "ARN of the log group of `archive-fn`."
  value       = aws_cloudwatch_log_group.archive.arn
}
