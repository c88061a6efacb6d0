module "pipeline" {
  # In a repository of your own:
  # source = "git::https://github.com/OWNER/REPOSITORY.git//terraform/modules/pipeline?ref=vX.Y.Z"
  source = "../../modules/pipeline"

  project = "feeds"
  stage   = var.stage

  # EventBridge gives each event an id at this place. Publishers to the topic put their own id there.
  dedup_key = "/id"

  senders = {
    sns_topic_arns  = [aws_sns_topic.orders.arn]
    event_rule_arns = [aws_cloudwatch_event_rule.orders.arn]
  }

  ingest  = { zip = var.ingest_zip }
  archive = { zip = var.archive_zip }

  deletion_protection = var.deletion_protection
  saved_queries       = var.saved_queries
}

# SNS delivers each message of the topic to the queue.
resource "aws_sns_topic" "orders" {
  name              = "feeds-${var.stage}-orders"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sns_topic_subscription" "orders" {
  topic_arn = aws_sns_topic.orders.arn
  protocol  = "sqs"
  endpoint  = module.pipeline.sqs_queue_arn

  # Otherwise, the queue would receive an envelope of SNS, whose id is new at each publish.
  raw_message_delivery = true
}

# EventBridge delivers each event of the bus that matches the rule to the queue, as it is.
resource "aws_cloudwatch_event_bus" "orders" {
  name = "feeds-${var.stage}-orders"
}

resource "aws_cloudwatch_event_rule" "orders" {
  name           = "feeds-${var.stage}-orders"
  event_bus_name = aws_cloudwatch_event_bus.orders.name
  event_pattern  = jsonencode({ source = ["shop.orders"] })
}

resource "aws_cloudwatch_event_target" "orders" {
  event_bus_name = aws_cloudwatch_event_bus.orders.name
  rule           = aws_cloudwatch_event_rule.orders.name
  arn            = module.pipeline.sqs_queue_arn
}
