resource "aws_cloudwatch_dashboard" "flow" {
  dashboard_name = "dynamo-locking-dev"
  dashboard_body = "{}"
}
