output "topic_arn" {
  description = "ARN of the topic whose messages become events."
  value       = aws_sns_topic.orders.arn
}

output "event_bus_name" {
  description = "Name of the event bus. Its events with the source `shop.orders` reach the queue."
  value       = aws_cloudwatch_event_bus.orders.name
}

output "s3_bucket_name" {
  description = "Name of the data lake's bucket."
  value       = module.pipeline.s3_bucket_name
}
