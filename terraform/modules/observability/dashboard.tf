locals {
  # A grid of three rows. The first shows the queues, the second the functions' outcomes and the lag, the third Lambda and DynamoDB.
  widgets = [
    {
      title = "Queue: messages in and out", stat = "Sum", x = 0, y = 0
      metrics = [
        ["AWS/SQS", "NumberOfMessagesSent", "QueueName", var.queue_name],
        ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", var.queue_name],
      ]
    },
    {
      title = "Queue: waiting messages, and age of the oldest (s)", stat = "Maximum", x = 8, y = 0
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queue_name],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name, { yAxis = "right" }],
      ]
    },
    {
      title = "Dead letters and on-failure messages", stat = "Maximum", x = 16, y = 0
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dlq_name],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.on_failure_queue_name],
      ]
    },
    {
      title = "ingest-fn: outcomes", stat = "Sum", x = 0, y = 6
      metrics = [
        for metric in ["Won", "Duplicate", "Conflict", "Rejected", "Failed"] :
        [local.namespace, metric, "FunctionName", var.ingest_function_name]
      ]
    },
    {
      title = "archive-fn: outcomes", stat = "Sum", x = 8, y = 6
      metrics = [
        for metric in ["Written", "AlreadyThere", "Skipped", "Quarantined", "Failed"] :
        [local.namespace, metric, "FunctionName", var.archive_function_name]
      ]
    },
    {
      title = "archive-fn: time from claim to object, and lag behind the stream (ms)", stat = "Maximum", x = 16, y = 6
      metrics = [
        [local.namespace, "LagMaxMs", "FunctionName", var.archive_function_name],
        ["AWS/Lambda", "IteratorAge", "FunctionName", var.archive_function_name],
      ]
    },
    {
      title = "Functions: errors and throttles", stat = "Sum", x = 0, y = 12
      metrics = [
        for pair in setproduct(["Errors", "Throttles"], values(local.functions)) :
        ["AWS/Lambda", pair[0], "FunctionName", pair[1]]
      ]
    },
    {
      title = "Functions: duration (ms)", stat = "p99", x = 8, y = 12
      metrics = [
        for name in values(local.functions) : ["AWS/Lambda", "Duration", "FunctionName", name]
      ]
    },
    {
      title = "Table: consumed and throttled writes", stat = "Sum", x = 16, y = 12
      metrics = [
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", var.table_name],
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", var.table_name, { yAxis = "right" }],
      ]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "flow" {
  # Dashboards belong to the whole account, so without the region, the same stack in a second region would overwrite the first one's.
  dashboard_name = "${var.name_prefix}-${var.region}"

  dashboard_body = jsonencode({
    widgets = [
      for widget in local.widgets : {
        type   = "metric"
        x      = widget.x
        y      = widget.y
        width  = 8
        height = 6
        properties = {
          title   = widget.title
          region  = var.region
          stat    = widget.stat
          period  = 60
          metrics = widget.metrics
        }
      }
    ]
  })

  # Dashboards from before their names had the region keep their names.
  lifecycle {
    ignore_changes = [dashboard_name]
  }
}
