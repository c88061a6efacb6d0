# Plans of the examples.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  ingest_zip  = "versions.tf"
  archive_zip = "versions.tf"
}

run "complete" {
  command = plan

  module {
    source = "./examples/complete"
  }

  assert {
    condition     = output.s3_bucket_name == "orders-dev-ingestion-data-123456789012-sa-east-1" && output.object_prefix == "raw/orders/"
    error_message = "The example does not plan the stack that it describes."
  }
}

run "two_stacks" {
  command = plan

  module {
    source = "./examples/two-stacks"
  }

  assert {
    condition = output.s3_bucket_names == {
      orders = "orders-dev-ingestion-data-123456789012-sa-east-1"
      clicks = "clicks-dev-ingestion-data-123456789012-sa-east-1"
    }
    error_message = "The example does not plan two stacks with buckets of their own."
  }
}

run "sns_and_eventbridge" {
  command = plan

  module {
    source = "./examples/sns-and-eventbridge"
  }

  assert {
    condition     = aws_sns_topic_subscription.orders.raw_message_delivery
    error_message = "Without raw message delivery, the events would be envelopes of SNS."
  }

  assert {
    condition     = [aws_sns_topic_subscription.orders.endpoint, aws_cloudwatch_event_target.orders.arn] == ["arn:aws:sqs:sa-east-1:123456789012:mock", "arn:aws:sqs:sa-east-1:123456789012:mock"]
    error_message = "Both feeds must deliver to the queue."
  }

  assert {
    condition     = aws_cloudwatch_event_target.orders.input_path == null && length(aws_cloudwatch_event_target.orders.input_transformer) == 0
    error_message = "EventBridge must deliver the event as it is: its id identifies it."
  }
}
