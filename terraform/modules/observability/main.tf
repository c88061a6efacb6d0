locals {
  # The namespace of the metrics that both functions write. The crate `lambda-support` defines it.
  namespace = "DynamoLocking"

  # The shortest time for which each queue keeps a message. A dead letter's retention counts from its first enqueue. So a message that
  # is moved at the end of the queue's retention stays in the dead-letter queue only for the rest of the dead-letter queue's retention.
  queues = {
    queue      = { name = var.queue_name, keeps_seconds = var.queue_retention_seconds }
    dlq        = { name = var.dlq_name, keeps_seconds = var.dlq_retention_seconds - var.queue_retention_seconds }
    on-failure = { name = var.on_failure_queue_name, keeps_seconds = var.on_failure_retention_seconds }
  }

  functions = {
    ingest-fn  = var.ingest_function_name
    archive-fn = var.archive_function_name
  }

  alarms = merge(
    {
      for role in ["dlq", "on-failure"] : "${role}-not-empty" => {
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        dimensions = { QueueName = local.queues[role].name }
        statistic  = "Maximum"
        above      = 0
        periods    = 1
      }
    },
    {
      # This metric counts from a message's arrival in the queue: for a dead letter, from its move. SQS deletes no message before it
      # has been in the queue for `keeps_seconds`, so the alarm leaves at least half of that time to act.
      for role, queue in local.queues : "${role}-message-age" => {
        namespace  = "AWS/SQS"
        metric     = "ApproximateAgeOfOldestMessage"
        dimensions = { QueueName = queue.name }
        statistic  = "Maximum"
        above      = floor(queue.keeps_seconds / 2)
        periods    = 1
      }
    },
    {
      for role, name in local.functions : "${role}-errors" => {
        namespace  = "AWS/Lambda"
        metric     = "Errors"
        dimensions = { FunctionName = name }
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
    },
    {
      for role, name in local.functions : "${role}-throttles" => {
        namespace  = "AWS/Lambda"
        metric     = "Throttles"
        dimensions = { FunctionName = name }
        statistic  = "Sum"
        above      = 0
        periods    = 3
      }
    },
    {
      stream-iterator-age = {
        namespace  = "AWS/Lambda"
        metric     = "IteratorAge"
        dimensions = { FunctionName = var.archive_function_name }
        statistic  = "Maximum"
        above      = 3600000 # milliseconds
        periods    = 1
      }
      conflicts = {
        namespace  = local.namespace
        metric     = "Conflict"
        dimensions = { FunctionName = var.ingest_function_name }
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
      quarantined-records = {
        namespace  = local.namespace
        metric     = "Quarantined"
        dimensions = { FunctionName = var.archive_function_name }
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
      archive-lag = {
        namespace  = local.namespace
        metric     = "LagMaxMs"
        dimensions = { FunctionName = var.archive_function_name }
        statistic  = "Maximum"
        above      = 300000 # milliseconds
        periods    = 3
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = join(" ", local.alarm_descriptions[each.key])
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 300
  evaluation_periods  = each.value.periods

  # Missing data means that the function was not invoked or that the queue is idle.
  treat_missing_data = "notBreaching"

  alarm_actions = local.alarm_topic_arns
  ok_actions    = local.alarm_topic_arns
}

# The topic exists only if alarm_email is set.
resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:CloudWatch may not use the AWS-managed key, so alarms would not arrive; messages contain only texts and numbers

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

# Saved queries in CloudWatch Logs Insights, over the logs of both functions.
resource "aws_cloudwatch_query_definition" "saved" {
  for_each = var.saved_queries

  name            = "${var.name_prefix}/${each.key}"
  log_group_names = [var.ingest_log_group, var.archive_log_group]
  query_string    = each.value
}
