output "ingest_role_arn" {
  description = "ARN of the role of `ingest-fn`, available once its policy is in place: Lambda refuses to create a mapping whose role may not read its source."
  value       = aws_iam_role.ingest.arn
  depends_on  = [aws_iam_role_policy.ingest]
}

output "archive_role_arn" {
  description = "ARN of the role of `archive-fn`, available once its policy is in place: Lambda refuses to create a mapping whose role may not read its source."
  value       = aws_iam_role.archive.arn
  depends_on  = [aws_iam_role_policy.archive]
}
