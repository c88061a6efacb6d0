output "queue_url" {
  description = "URL of the queue that producers send to."
  value       = aws_sqs_queue.queue.url
}

output "queue_arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.queue.arn
}

output "queue_name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.queue.name
}

output "max_message_bytes" {
  description = "Size of the largest message that the queue accepts."
  value       = aws_sqs_queue.queue.max_message_size
}

output "visibility_timeout_seconds" {
  description = "Visibility timeout of the queue: the time between two receives of a message that keeps failing."
  value       = aws_sqs_queue.queue.visibility_timeout_seconds
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dlq.url
}

output "dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dlq.arn
}

output "dlq_name" {
  description = "Name of the dead-letter queue."
  value       = aws_sqs_queue.dlq.name
}

output "on_failure_queue_url" {
  description = "URL of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  value       = aws_sqs_queue.on_failure.url
}

output "on_failure_queue_arn" {
  description = "ARN of the on-failure queue."
  value       = aws_sqs_queue.on_failure.arn
}

output "on_failure_queue_name" {
  description = "Name of the on-failure queue."
  value       = aws_sqs_queue.on_failure.name
}
