output "sqs_queue_url" {
  description = "URL of the queue that producers send to."
  value       = module.pipeline.sqs_queue_url
}

output "producers_role_arn" {
  description = "ARN of the role that the producers use to send events."
  value       = aws_iam_role.producers.arn
}
