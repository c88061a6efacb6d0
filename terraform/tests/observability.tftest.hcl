# Tests of the module observability: alarms, topics and saved queries. scripts/check-alarms tests when the alarms fire.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix                  = "stack"
  region                       = "sa-east-1"
  queue_name                   = "queue"
  dlq_name                     = "dlq"
  on_failure_queue_name        = "on-failure"
  queue_retention_seconds      = 86400
  max_receive_count            = 3
  visibility_timeout_seconds   = 185
  dlq_retention_seconds        = 172800
  on_failure_retention_seconds = 259200
  table_name                   = "claims"
  ingest_function_name         = "ingest"
  archive_function_name        = "archive"
  archive_mapping_uuid         = "mapping"
  ingest_log_group             = "/aws/lambda/ingest"
  archive_log_group            = "/aws/lambda/archive"
  lake_layout                  = "objects"
  saved_queries                = { "what happened to event X" = "fields outcome" }

  alarms = {
    email                = ""
    topic_arns           = []
    period_seconds       = 300
    no_progress_seconds  = 900
    queue_age_seconds    = 900
    iterator_age_seconds = 3600
    archive_lag_seconds  = 300
    conflicts            = 0
    rejected_messages    = 0
    failed_messages      = 0
    failed_records       = 0
    throttled_writes     = 0
  }
}

run "each_alarm_watches_its_metrics" {
  module {
    source = "./modules/observability"
  }

  assert {
    condition = merge(
      {
        for alarm in aws_cloudwatch_metric_alarm.alarm :
        alarm.alarm_name => "${alarm.namespace} ${alarm.metric_name} of ${one(values(alarm.dimensions))} > ${alarm.threshold}"
      },
      {
        for alarm in aws_cloudwatch_metric_alarm.math :
        alarm.alarm_name => join(", ", sort(flatten([
          for query in alarm.metric_query : [
            for metric in query.metric :
            "${query.id} = ${metric.namespace} ${metric.metric_name} of ${one(values(metric.dimensions))}"
          ]
        ])))
      }
      ) == {
      stack-dlq-not-empty          = "AWS/SQS ApproximateNumberOfMessagesVisible of dlq > 0"
      stack-on-failure-not-empty   = "AWS/SQS ApproximateNumberOfMessagesVisible of on-failure > 0"
      stack-queue-message-age      = "AWS/SQS ApproximateAgeOfOldestMessage of queue > 900"
      stack-dlq-message-age        = "AWS/SQS ApproximateAgeOfOldestMessage of dlq > 43200"
      stack-on-failure-message-age = "AWS/SQS ApproximateAgeOfOldestMessage of on-failure > 129600"
      stack-ingest-fn-errors       = "AWS/Lambda Errors of ingest > 0"
      stack-archive-fn-errors      = "AWS/Lambda Errors of archive > 0"
      stack-ingest-fn-throttles    = "AWS/Lambda Throttles of ingest > 0"
      stack-archive-fn-throttles   = "AWS/Lambda Throttles of archive > 0"
      stack-stream-iterator-age    = "AWS/Lambda IteratorAge of archive > 3600000"
      stack-dropped-records        = "AWS/Lambda DroppedEventCount of mapping > 0"
      stack-destination-failures   = "AWS/Lambda DestinationDeliveryFailures of archive > 0"
      stack-conflicts              = "DynamoLocking Conflict of ingest > 0"
      stack-rejected-messages      = "DynamoLocking Rejected of ingest > 0"
      stack-failed-messages        = "DynamoLocking Failed of ingest > 0"
      stack-failed-records         = "DynamoLocking Failed of archive > 0"
      stack-quarantined-records    = "DynamoLocking Quarantined of archive > 0"
      stack-archive-lag            = "DynamoLocking LagMaxMs of archive > 300000"
      stack-dlq-growth             = "visible = AWS/SQS ApproximateNumberOfMessagesVisible of dlq"
      stack-on-failure-growth      = "visible = AWS/SQS ApproximateNumberOfMessagesVisible of on-failure"
      stack-table-write-throttles  = "throttled = AWS/DynamoDB WriteThrottleEvents of claims"
      stack-ingest-fn-no-progress  = "deleted = AWS/SQS NumberOfMessagesDeleted of queue, sent = AWS/SQS NumberOfMessagesSent of queue"
      stack-archive-fn-no-progress = join(", ", [
        "already_there = DynamoLocking AlreadyThere of archive", "quarantined = DynamoLocking Quarantined of archive",
        "won = DynamoLocking Won of ingest", "written = DynamoLocking Written of archive",
      ])
    }
    error_message = "An alarm is missing, or has the wrong metric or threshold."
  }

  # CloudWatch puts dimensions that differ by name into different metrics, and an alarm on a metric that does not exist never fires.
  assert {
    condition = (
      one(keys(aws_cloudwatch_metric_alarm.alarm["dropped-records"].dimensions)) == "EventSourceMappingUUID" &&
      one(keys(aws_cloudwatch_metric_alarm.alarm["destination-failures"].dimensions)) == "FunctionName"
    )
    error_message = "DroppedEventCount has the dimension EventSourceMappingUUID, and DestinationDeliveryFailures has FunctionName."
  }

  assert {
    condition     = length(aws_sns_topic.alarms) == 0
    error_message = "A topic exists although no address is set."
  }

  assert {
    condition     = aws_cloudwatch_query_definition.saved["what happened to event X"].log_group_names == tolist(["/aws/lambda/ingest", "/aws/lambda/archive"])
    error_message = "A saved query must cover the log groups of both functions."
  }
}

run "settings_change_periods_and_thresholds" {
  module {
    source = "./modules/observability"
  }

  variables {
    alarms = {
      email                = ""
      topic_arns           = []
      period_seconds       = 60
      no_progress_seconds  = 600
      queue_age_seconds    = 120
      iterator_age_seconds = 61
      archive_lag_seconds  = 62
      conflicts            = 1
      rejected_messages    = 2
      failed_messages      = 3
      failed_records       = 4
      throttled_writes     = 5
    }
  }

  assert {
    condition = {
      for name in ["queue-message-age", "stream-iterator-age", "archive-lag", "conflicts", "rejected-messages", "failed-messages", "failed-records"] :
      name => aws_cloudwatch_metric_alarm.alarm[name].threshold
      } == {
      queue-message-age   = 120
      stream-iterator-age = 61000
      archive-lag         = 62000
      conflicts           = 1
      rejected-messages   = 2
      failed-messages     = 3
      failed-records      = 4
    }
    error_message = "A threshold is not the one in alarms."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.math["table-write-throttles"].threshold == 5
    error_message = "The threshold of table-write-throttles is not alarms.throttled_writes."
  }

  assert {
    condition = alltrue(concat(
      [for alarm in aws_cloudwatch_metric_alarm.alarm : alarm.period == 60],
      flatten([for alarm in aws_cloudwatch_metric_alarm.math : [for query in alarm.metric_query : [for metric in query.metric : metric.period == 60]]]),
    ))
    error_message = "An alarm does not use alarms.period_seconds."
  }

  assert {
    condition = alltrue([
      for name in ["ingest-fn-no-progress", "archive-fn-no-progress"] : aws_cloudwatch_metric_alarm.math[name].evaluation_periods == 10
    ])
    error_message = "An alarm on progress does not last for alarms.no_progress_seconds."
  }
}

run "packs_have_one_more_alarm" {
  module {
    source = "./modules/observability"
  }

  variables {
    lake_layout = "packs"
  }

  assert {
    condition = sort(flatten([
      for query in aws_cloudwatch_metric_alarm.math["nothing-written"].metric_query : [
        for metric in query.metric : "${query.id} = ${metric.namespace} ${metric.metric_name} of ${metric.dimensions.FunctionName}"
      ]
      ])) == tolist([
      "packs = DynamoLocking Packs of archive", "won = DynamoLocking Won of ingest", "written = DynamoLocking Written of archive",
    ])
    error_message = "The alarm on packs has the wrong metrics."
  }
}

# A message that is received 555 s before the end of its retention can still become a dead letter. The alarm goes off after half of the
# time before that.
run "queue_age_alarm_precedes_the_last_receive" {
  module {
    source = "./modules/observability"
  }

  variables {
    queue_retention_seconds = 1155
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["queue-message-age"].threshold == 300
    error_message = "The alarm on the age of messages must go off after 300 s, not after ${aws_cloudwatch_metric_alarm.alarm["queue-message-age"].threshold} s."
  }
}

# A message may become a dead letter at the end of the queue's retention, here after 12 of 13 days. The dead-letter queue then keeps
# it for a day, and the alarm goes off after half of that day.
run "dlq_age_alarm_precedes_the_earliest_deletion" {
  module {
    source = "./modules/observability"
  }

  variables {
    queue_retention_seconds = 12 * 86400
    dlq_retention_seconds   = 13 * 86400
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["dlq-message-age"].threshold == 43200
    error_message = "The alarm on the age of dead letters must go off half a day after the move, not at ${aws_cloudwatch_metric_alarm.alarm["dlq-message-age"].threshold} s."
  }
}

run "email_and_topics_receive_every_alarm" {
  module {
    source = "./modules/observability"
  }

  variables {
    alarms = {
      email                = "on-call@example.com"
      topic_arns           = ["arn:aws:sns:sa-east-1:123456789012:pager"]
      period_seconds       = 300
      no_progress_seconds  = 900
      queue_age_seconds    = 900
      iterator_age_seconds = 3600
      archive_lag_seconds  = 300
      conflicts            = 0
      rejected_messages    = 0
      failed_messages      = 0
      failed_records       = 0
      throttled_writes     = 0
    }
  }

  assert {
    condition     = one(values(aws_sns_topic_subscription.alarms)).endpoint == "on-call@example.com"
    error_message = "The address is not subscribed to the topic."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.alarm), values(aws_cloudwatch_metric_alarm.math)) :
      alarm.alarm_actions == toset(["arn:aws:sns:sa-east-1:123456789012:mock", "arn:aws:sns:sa-east-1:123456789012:pager"]) &&
      alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "An alarm does not notify both topics when it fires and when it recovers."
  }
}
