# Tests of the module messaging: the three queues.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix            = "stack"
  account_id             = "123456789012"
  kms_key_arn            = ""
  senders                = { sns_topic_arns = [], event_rule_arns = [], s3_bucket_arns = [], account_ids = [] }
  queue_policy_documents = []
}

# A received message stays invisible for six function timeouts plus the batching window, and becomes a dead letter after
# max_receive_count receives.
run "queue_settings_follow_the_variables" {
  module {
    source = "./modules/messaging"
  }

  variables {
    region                       = "sa-east-1"
    max_message_bytes            = 65536
    function_timeout_seconds     = 20
    batching_window_seconds      = 7
    max_receive_count            = 4
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 172800
    on_failure_retention_seconds = 259200
  }

  assert {
    condition     = aws_sqs_queue.queue.visibility_timeout_seconds == 127
    error_message = "The visibility timeout must be 6 x 20 + 7 seconds."
  }

  # A message keeps its size when it becomes a dead letter.
  assert {
    condition     = aws_sqs_queue.queue.max_message_size == 65536 && aws_sqs_queue.dlq.max_message_size == 65536
    error_message = "The queue and its dead-letter queue must accept messages of max_message_bytes."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.queue.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dlq.arn, maxReceiveCount = 4 }
    error_message = "The queue must move messages to its dead-letter queue after max_receive_count receives."
  }

  assert {
    condition = jsondecode(aws_sqs_queue.dlq.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"]
    }
    error_message = "The dead-letter queue must accept dead letters only from the queue."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.on_failure.redrive_allow_policy) == { redrivePermission = "denyAll" }
    error_message = "No queue may use the on-failure queue as its dead-letter queue."
  }

  assert {
    condition = {
      for queue in [aws_sqs_queue.queue, aws_sqs_queue.dlq, aws_sqs_queue.on_failure] :
      queue.name => [queue.message_retention_seconds, queue.sqs_managed_sse_enabled]
      } == {
      stack-ingestion-queue    = [3600, true]
      stack-ingestion-dlq      = [172800, true]
      stack-archive-on-failure = [259200, true]
    }
    error_message = "A queue has the wrong retention or no encryption."
  }
}

run "customer_key_encrypts_all_queues" {
  state_key = "customer-key"

  module {
    source = "./modules/messaging"
  }

  variables {
    region                       = "sa-east-1"
    max_message_bytes            = 65536
    function_timeout_seconds     = 20
    batching_window_seconds      = 7
    max_receive_count            = 4
    queue_retention_seconds      = 3600
    dlq_retention_seconds        = 172800
    on_failure_retention_seconds = 259200
    kms_key_arn                  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.queue, aws_sqs_queue.dlq, aws_sqs_queue.on_failure] :
      queue.kms_master_key_id == "arn:aws:kms:sa-east-1:123456789012:key/queues" && queue.sqs_managed_sse_enabled != true
    ])
    error_message = "Each queue must be encrypted with the given key instead of one of SQS."
  }
}
