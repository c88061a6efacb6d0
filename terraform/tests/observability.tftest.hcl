# Tests of the module observability: alarms, topic and saved queries.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
}

run "each_alarm_watches_its_metric" {
  module {
    source = "./modules/observability"
  }

  variables {
    region                       = "sa-east-1"
    queue_name                   = "queue"
    dlq_name                     = "dlq"
    on_failure_queue_name        = "on-failure"
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 172800
    on_failure_retention_seconds = 259200
    table_name                   = "claims"
    ingest_function_name         = "ingest"
    archive_function_name        = "archive"
    ingest_log_group             = "/aws/lambda/ingest"
    archive_log_group            = "/aws/lambda/archive"
    alarm_email                  = ""
    saved_queries                = { "what happened to event X" = "fields outcome" }
  }

  assert {
    condition = {
      for alarm in aws_cloudwatch_metric_alarm.alarm :
      alarm.alarm_name => "${alarm.namespace} ${alarm.metric_name} of ${one(values(alarm.dimensions))} > ${alarm.threshold}"
      } == {
      stack-dlq-not-empty          = "AWS/SQS ApproximateNumberOfMessagesVisible of dlq > 0"
      stack-on-failure-not-empty   = "AWS/SQS ApproximateNumberOfMessagesVisible of on-failure > 0"
      stack-queue-message-age      = "AWS/SQS ApproximateAgeOfOldestMessage of queue > 1800"
      stack-dlq-message-age        = "AWS/SQS ApproximateAgeOfOldestMessage of dlq > 84600"
      stack-on-failure-message-age = "AWS/SQS ApproximateAgeOfOldestMessage of on-failure > 129600"
      stack-ingest-fn-errors       = "AWS/Lambda Errors of ingest > 0"
      stack-archive-fn-errors      = "AWS/Lambda Errors of archive > 0"
      stack-ingest-fn-throttles    = "AWS/Lambda Throttles of ingest > 0"
      stack-archive-fn-throttles   = "AWS/Lambda Throttles of archive > 0"
      stack-stream-iterator-age    = "AWS/Lambda IteratorAge of archive > 3600000"
      stack-conflicts              = "DynamoLocking Conflict of ingest > 0"
      stack-quarantined-records    = "DynamoLocking Quarantined of archive > 0"
      stack-archive-lag            = "DynamoLocking LagMaxMs of archive > 300000"
    }
    error_message = "An alarm is missing, or has the wrong metric or threshold."
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

# A message may become a dead letter at the end of the queue's retention, here after 12 of 13 days. The dead-letter queue then keeps
# it for a day, and the alarm goes off after half of that day.
run "dlq_age_alarm_precedes_the_earliest_deletion" {
  module {
    source = "./modules/observability"
  }

  variables {
    region                       = "sa-east-1"
    queue_name                   = "queue"
    dlq_name                     = "dlq"
    on_failure_queue_name        = "on-failure"
    queue_retention_seconds      = 12 * 86400
    dlq_retention_seconds        = 13 * 86400
    on_failure_retention_seconds = 14 * 86400
    table_name                   = "claims"
    ingest_function_name         = "ingest"
    archive_function_name        = "archive"
    ingest_log_group             = "/aws/lambda/ingest"
    archive_log_group            = "/aws/lambda/archive"
    alarm_email                  = ""
    saved_queries                = {}
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["dlq-message-age"].threshold == 43200
    error_message = "The alarm on the age of dead letters must go off half a day after the move, not at ${aws_cloudwatch_metric_alarm.alarm["dlq-message-age"].threshold} s."
  }
}

run "alarm_email_receives_every_alarm" {
  module {
    source = "./modules/observability"
  }

  variables {
    region                       = "sa-east-1"
    queue_name                   = "queue"
    dlq_name                     = "dlq"
    on_failure_queue_name        = "on-failure"
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 172800
    on_failure_retention_seconds = 259200
    table_name                   = "claims"
    ingest_function_name         = "ingest"
    archive_function_name        = "archive"
    ingest_log_group             = "/aws/lambda/ingest"
    archive_log_group            = "/aws/lambda/archive"
    alarm_email                  = "on-call@example.com"
    saved_queries                = {}
  }

  assert {
    condition     = one(values(aws_sns_topic_subscription.alarms)).endpoint == "on-call@example.com"
    error_message = "The address is not subscribed to the topic."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.alarm :
      alarm.alarm_actions == toset(["arn:aws:sns:sa-east-1:123456789012:mock"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "An alarm does not notify the topic when it fires and when it recovers."
  }
}
