resource "aws_iam_role" "ingest" {
  name               = "dynamo-locking-dev-ingest-fn"
  assume_role_policy = "{}"
}
