locals {
  # The namespace of the metrics that both functions write. The crate `lambda-support` defines it.
  namespace = "DynamoLocking"

  # The shortest time for which each queue keeps a message. A dead letter's retention counts from its first enqueue. So a message that
  # is moved at the end of the queue's retention stays in the dead-letter queue only for the rest of the dead-letter queue's retention.
  dlq_keeps_seconds        = var.dlq_retention_seconds - var.queue_retention_seconds
  on_failure_keeps_seconds = var.on_failure_retention_seconds

  # A message that keeps failing becomes a dead letter after max_receive_count visibility timeouts. If less than that is left of its
  # retention when it is first received, SQS deletes it, and no queue has it. The alarm leaves half of the time before that to act.
  queue_keeps_seconds = var.queue_retention_seconds - var.max_receive_count * var.visibility_timeout_seconds
  queue_age_seconds   = min(var.alarms.queue_age_seconds, floor(local.queue_keeps_seconds / 2))

  functions = {
    ingest-fn  = var.ingest_function_name
    archive-fn = var.archive_function_name
  }

  # The dimensions of each source of metrics.
  table      = { TableName = var.table_name }
  queue      = { QueueName = var.queue_name }
  dlq        = { QueueName = var.dlq_name }
  on_failure = { QueueName = var.on_failure_queue_name }
  ingest     = { FunctionName = var.ingest_function_name }
  archive    = { FunctionName = var.archive_function_name }

  # Alarms on one metric. An alarm fires if the statistic is above `above` in `periods` successive periods.
  metric_alarms = merge(
    {
      for role, dimensions in { dlq = local.dlq, on-failure = local.on_failure } : "${role}-not-empty" => {
        namespace                   = "AWS/SQS"
        metric                      = "ApproximateNumberOfMessagesVisible"
        dimensions                  = dimensions
        statistic                   = "Maximum"
        above                       = 0
        periods                     = 1
      }
    },
    {
      # This metric counts from a message's arrival in the queue: for a dead letter, from its move.
      for role, queue in {
        queue      = { dimensions = local.queue, age_seconds = local.queue_age_seconds }
        dlq        = { dimensions = local.dlq, age_seconds = floor(local.dlq_keeps_seconds / 2) }
        on-failure = { dimensions = local.on_failure, age_seconds = floor(local.on_failure_keeps_seconds / 2) }
        } : "${role}-message-age" => {
        namespace  = "AWS/SQS"
        metric     = "ApproximateAgeOfOldestMessage"
        dimensions = queue.dimensions
        statistic  = "Maximum"
        above      = queue.age_seconds
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
        dimensions = local.archive
        statistic  = "Maximum"
        above      = var.alarms.iterator_age_seconds * 1000 # milliseconds
        periods    = 1
      }
      # Lambda counts a record here if it discarded the record and could not send a message to the on-failure queue. The metric belongs
      # to the mapping, not to the function, and exists because the mapping's metrics_config has EventCount:
      # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
      dropped-records = {
        namespace  = "AWS/Lambda"
        metric     = "DroppedEventCount"
        dimensions = { EventSourceMappingUUID = var.archive_mapping_uuid }
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
      destination-failures = {
        namespace  = "AWS/Lambda"
        metric     = "DestinationDeliveryFailures"
        dimensions = local.archive
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
      conflicts = {
        namespace  = local.namespace
        metric     = "Conflict"
        dimensions = local.ingest
        statistic  = "Sum"
        above      = var.alarms.conflicts
        periods    = 1
      }
      rejected-messages = {
        namespace  = local.namespace
        metric     = "Rejected"
        dimensions = local.ingest
        statistic  = "Sum"
        above      = var.alarms.rejected_messages
        periods    = 1
      }
      # Two periods skip a single fault that the next receive gets over. With the defaults, the alarm still precedes the first dead
      # letter: a message is received at 0, 185 and 370 seconds, and becomes a dead letter after 555.
      failed-messages = {
        namespace  = local.namespace
        metric     = "Failed"
        dimensions = local.ingest
        statistic  = "Sum"
        above      = var.alarms.failed_messages
        periods    = 2
      }
      failed-records = {
        namespace  = local.namespace
        metric     = "Failed"
        dimensions = local.archive
        statistic  = "Sum"
        above      = var.alarms.failed_records
        periods    = 3
      }
      quarantined-records = {
        namespace  = local.namespace
        metric     = "Quarantined"
        dimensions = local.archive
        statistic  = "Sum"
        above      = 0
        periods    = 1
      }
      archive-lag = {
        namespace  = local.namespace
        metric     = "LagMaxMs"
        dimensions = local.archive
        statistic  = "Maximum"
        above      = var.alarms.archive_lag_seconds * 1000 # milliseconds
        periods    = 3
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.metric_alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = join(" ", local.alarm_descriptions[each.key])
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = var.alarms.period_seconds
  evaluation_periods  = each.value.periods

  # Missing data means that the function was not invoked or that the queue is idle. The alarms in metric_math.tf notice a function that
  # should have been invoked.
  treat_missing_data = "notBreaching"

  alarm_actions = local.alarm_topic_arns
  ok_actions    = local.alarm_topic_arns
}
