output "ingest_role_arn" {
  description = "Role of `ingest-fn`, once its policy is in place: Lambda refuses a mapping whose role may not read."
  value       = aws_iam_role.ingest.arn
  depends_on  = [aws_iam_role_policy.ingest]
}

output "archive_role_arn" {
  description = "Role of `archive-fn`, once its policy is in place: Lambda refuses a mapping whose role may not read."
  value       = aws_iam_role.archive.arn
  depends_on  = [aws_iam_role_policy.archive]
}
