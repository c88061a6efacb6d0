output "ingest_function_name" {
  description = "Name of `ingest-fn`."
  value       = aws_lambda_function.ingest.function_name
}

output "archive_function_name" {
  description = "Name of `archive-fn`."
  value       = aws_lambda_function.archive.function_name
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
