locals {
  no_progress_periods = var.alarms.no_progress_seconds / var.alarms.period_seconds

  # Alarms on an expression over several metrics. An alarm fires if the expression is above `above` in `periods` successive periods.
  # scripts/check-alarms tests each one with series of values.
  #
  # In an expression, a value that is missing from one of two series counts as 0. Whether FILL adds values to a series that has none
  # at all is not documented. No expression here depends on it:
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
  math_alarms = merge(
    {
      # 0 if archive-fn completed a record in the period, 1 if an event was won and no record was completed. A period without either
      # repeats the last value, and with missing data, the alarm keeps its state. So a single event that does not reach the lake raises
      # the alarm, and only a completed record ends it. `0 * won` adds the periods in which archive-fn was not invoked and has no
      # metrics.
      archive-fn-no-progress = {
        metrics = {
          won           = { namespace = local.namespace, metric = "Won", dimensions = local.ingest, statistic = "Sum" }
          written       = { namespace = local.namespace, metric = "Written", dimensions = local.archive, statistic = "Sum" }
          already_there = { namespace = local.namespace, metric = "AlreadyThere", dimensions = local.archive, statistic = "Sum" }
          quarantined   = { namespace = local.namespace, metric = "Quarantined", dimensions = local.archive, statistic = "Sum" }
        }
        expression   = "FILL(IF((written + already_there + quarantined + 0 * won) > 0, 0, IF(won > 0, 1)), REPEAT)"
        above        = 0
        periods      = local.no_progress_periods
        missing_data = "ignore"
      }

      # 1 if messages were sent and none was deleted. A queue with one message that nobody receives needs no such memory as above: its
      # age raises queue-message-age.
      ingest-fn-no-progress = {
        metrics = {
          sent    = { namespace = "AWS/SQS", metric = "NumberOfMessagesSent", dimensions = local.queue, statistic = "Sum" }
          deleted = { namespace = "AWS/SQS", metric = "NumberOfMessagesDeleted", dimensions = local.queue, statistic = "Sum" }
        }
        expression   = "IF((deleted + 0 * sent) > 0, 0, IF(sent > 0, 1, 0))"
        above        = 0
        periods      = local.no_progress_periods
        missing_data = "notBreaching"
      }

      # DynamoDB writes this metric only while it throttles. One AWS page says that alarms on DynamoDB's metrics keep their state when
      # data is missing, whatever their setting. With FILL, no data is missing.
      table-write-throttles = {
        metrics = {
          throttled = { namespace = "AWS/DynamoDB", metric = "WriteThrottleEvents", dimensions = local.table, statistic = "Sum" }
        }
        expression   = "FILL(throttled, 0)"
        above        = var.alarms.throttled_writes
        periods      = 2
        missing_data = "notBreaching"
      }
    },
    {
      # An alarm on the number of messages stays in ALARM until the queue is empty, and notifies no one of later ones. This one fires
      # again whenever the number grows. A queue that has no data yet counts as empty.
      for role, dimensions in { dlq = local.dlq, on-failure = local.on_failure } : "${role}-growth" => {
        metrics = {
          visible = { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = dimensions, statistic = "Maximum" }
        }
        expression   = "DIFF(FILL(visible, 0))"
        above        = 0
        periods      = 1
        missing_data = "notBreaching"
      }
    },
    # 1 if events were won, and archive-fn wrote neither a pack nor another object. Unlike archive-fn-no-progress, it does not count
    # retried and quarantined records as progress.
    var.lake_layout != "packs" ? {} : {
      nothing-written = {
        metrics = {
          won     = { namespace = local.namespace, metric = "Won", dimensions = local.ingest, statistic = "Sum" }
          packs   = { namespace = local.namespace, metric = "Packs", dimensions = local.archive, statistic = "Sum" }
          written = { namespace = local.namespace, metric = "Written", dimensions = local.archive, statistic = "Sum" }
        }
        expression   = "IF((packs + written + 0 * won) > 0, 0, IF(won > 0, 1, 0))"
        above        = 0
        periods      = local.no_progress_periods
        missing_data = "notBreaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "math" {
  for_each = local.math_alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = join(" ", local.alarm_descriptions[each.key])
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing_data

  metric_query {
    id          = "result"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.statistic
        period      = var.alarms.period_seconds
      }
    }
  }

  alarm_actions = local.alarm_topic_arns
  ok_actions    = local.alarm_topic_arns
}
