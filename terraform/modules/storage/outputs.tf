output "table_name" {
  description = "Name of the table of claims."
  value       = aws_dynamodb_table.claims.name
}

output "table_arn" {
  description = "ARN of the table of claims."
  value       = aws_dynamodb_table.claims.arn
}

output "stream_arn" {
  description = "ARN of the table's stream."
  value       = aws_dynamodb_table.claims.stream_arn
}

output "bucket_name" {
  description = "Name of the data lake's bucket."
  value       = aws_s3_bucket.lake.bucket
}

output "bucket_arn" {
  description = "ARN of the data lake's bucket."
  value       = aws_s3_bucket.lake.arn
}
