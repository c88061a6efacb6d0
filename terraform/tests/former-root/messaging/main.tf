resource "aws_sqs_queue" "queue" {
  name = "dynamo-locking-dev-ingestion-queue"
}
