output "ingest_role_arn" {
  description = "ARN of the role of `ingest-fn`. Terraform returns the ARN only after creating the role's policy. Without that policy, Lambda would refuse to create the event source mapping."
  value       = aws_iam_role.ingest.arn
  depends_on  = [aws_iam_role_policy.ingest]
}

output "archive_role_arn" {
  description = "ARN of the role of `archive-fn`. Terraform returns the ARN only after creating the role's policy. Without that policy, Lambda would refuse to create the event source mapping."
  value       = aws_iam_role.archive.arn
  depends_on  = [aws_iam_role_policy.archive]
}

output "producer_policy_json" {
  description = "Policy document for a role that sends events to the queue."
  value       = data.aws_iam_policy_document.producer.json
}

output "operator_policy_json" {
  description = "Policy document for a role that runs `producer trace` and `ops replay` on this stack."
  value       = data.aws_iam_policy_document.operator.json
}
