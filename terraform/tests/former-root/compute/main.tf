resource "aws_cloudwatch_log_group" "ingest" {
  name = "/aws/lambda/dynamo-locking-dev-ingest-fn"
}
