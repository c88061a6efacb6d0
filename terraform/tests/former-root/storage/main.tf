resource "aws_dynamodb_table" "claims" {
  name = "dynamo-locking-dev-ingestion-state"
}

resource "aws_s3_bucket" "lake" {
  bucket = "dynamo-locking-dev-ingestion-data-123456789012-sa-east-1"
}
