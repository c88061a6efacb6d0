locals {
  # What both functions write; see the namespace and the dimension in the crate `lambda-support`.
  namespace = "DynamoLocking"

  queues = {
    queue      = { name = var.queue_name, retention_seconds = var.queue_retention_seconds }
    dlq        = { name = var.dlq_name, retention_seconds = var.dlq_retention_seconds }
    on-failure = { name = var.on_failure_queue_name, retention_seconds = var.on_failure_retention_seconds }
  }

  functions = {
    ingest-fn  = var.ingest_function_name
    archive-fn = var.archive_function_name
  }

  alarms = merge(
    {
      for role in ["dlq", "on-failure"] : "${role}-not-empty" => {
        description = role == "dlq" ? "Messages failed each of their receives. Find out why, then redrive them." : "Stream records were given up: their claims are in the table and not in the data lake, until their ttl."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = local.queues[role].name }
        statistic   = "Maximum"
        above       = 0
        periods     = 1
      }
    },
    {
      # SQS deletes what has passed the retention. A dead letter's age counts from its move in this metric, and from its
      # first enqueue for the retention: half of it leaves room for the difference.
      for role, queue in local.queues : "${role}-message-age" => {
        description = "The oldest message has used half of the queue's retention, after which SQS deletes it."
        namespace   = "AWS/SQS"
        metric      = "ApproximateAgeOfOldestMessage"
        dimensions  = { QueueName = queue.name }
        statistic   = "Maximum"
        above       = floor(queue.retention_seconds / 2)
        periods     = 1
      }
    },
    {
      for role, name in local.functions : "${role}-errors" => {
        description = "Invocations failed as a whole. The functions report single failures, so this is a crash, a timeout or a bad configuration."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = name }
        statistic   = "Sum"
        above       = 0
        periods     = 1
      }
    },
    {
      for role, name in local.functions : "${role}-throttles" => {
        description = "The account has no concurrency left for this function."
        namespace   = "AWS/Lambda"
        metric      = "Throttles"
        dimensions  = { FunctionName = name }
        statistic   = "Sum"
        above       = 0
        periods     = 3
      }
    },
    {
      stream-iterator-age = {
        description = "The archive is an hour behind the stream, which keeps 24: records are failing, or it is too slow."
        namespace   = "AWS/Lambda"
        metric      = "IteratorAge"
        dimensions  = { FunctionName = var.archive_function_name }
        statistic   = "Maximum"
        above       = 3600000 # milliseconds
        periods     = 1
      }
      conflicts = {
        description = "Two bodies of one event differ: a producer reuses an event id. The log has both digests."
        namespace   = local.namespace
        metric      = "Conflict"
        dimensions  = { FunctionName = var.ingest_function_name }
        statistic   = "Sum"
        above       = 0
        periods     = 1
      }
      quarantined-records = {
        description = "Stream records say that they are claims and can never be written. They are kept whole under _unusable/."
        namespace   = local.namespace
        metric      = "Quarantined"
        dimensions  = { FunctionName = var.archive_function_name }
        statistic   = "Sum"
        above       = 0
        periods     = 1
      }
      archive-lag = {
        description = "For a quarter of an hour, claims took more than five minutes to become objects."
        namespace   = local.namespace
        metric      = "LagMaxMs"
        dimensions  = { FunctionName = var.archive_function_name }
        statistic   = "Maximum"
        above       = 300000 # milliseconds
        periods     = 3
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 300
  evaluation_periods  = each.value.periods

  # No data is no invocation and an idle queue.
  treat_missing_data = "notBreaching"

  alarm_actions = local.alarm_topic_arns
  ok_actions    = local.alarm_topic_arns
}

# A topic exists where there is somebody to tell.
resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:the AWS-managed key refuses CloudWatch, so that alarms would not arrive; messages are alarm names and numbers

  for_each = local.alarm_emails

  name = "${var.name_prefix}-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = local.alarm_emails

  topic_arn = aws_sns_topic.alarms[each.key].arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  alarm_emails     = toset(compact([var.alarm_email]))
  alarm_topic_arns = [for topic in aws_sns_topic.alarms : topic.arn]
}

# In CloudWatch Logs Insights, over both functions' lines.
resource "aws_cloudwatch_query_definition" "saved" {
  for_each = var.saved_queries

  name            = "${var.name_prefix}/${each.key}"
  log_group_names = [var.ingest_log_group, var.archive_log_group]
  query_string    = each.value
}
