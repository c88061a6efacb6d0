output "sqs_queue_urls" {
  description = "URL of the queue of each stack."
  value       = { for name, stack in module.pipeline : name => stack.sqs_queue_url }
}

output "s3_bucket_names" {
  description = "Name of the bucket of each stack."
  value       = { for name, stack in module.pipeline : name => stack.s3_bucket_name }
}
