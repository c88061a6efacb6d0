# Made-up values for attributes that AWS would assign. Terraform or the provider checks their format.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_region" {
  defaults = { id = "sa-east-1" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{}" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
}

mock_resource "aws_sqs_queue" {
  defaults = { arn = "arn:aws:sqs:sa-east-1:123456789012:mock" }
}

# The stream is younger than every plan, as that of a new stack.
mock_resource "aws_dynamodb_table" {
  defaults = { stream_arn = "arn:aws:dynamodb:sa-east-1:123456789012:table/mock/stream/2999-01-01T00:00:00.000" }
}

mock_resource "aws_lambda_function" {
  defaults = { arn = "arn:aws:lambda:sa-east-1:123456789012:function:mock" }
}

mock_resource "aws_lambda_alias" {
  defaults = { arn = "arn:aws:lambda:sa-east-1:123456789012:function:mock:live" }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:sa-east-1:123456789012:rule/mock" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:sa-east-1:123456789012:mock" }
}
