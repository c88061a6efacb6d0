data "aws_partition" "current" {}

locals {
  # The largest message that the provider can set, up to version 5.100. SQS itself takes 1 MiB.
  max_message_bytes = 262144

  # AWS advises six times the function's timeout, and on top the window in which a batch fills: a message must not come
  # into sight again while its first invocation may still be at work or in Lambda's own retries of a throttle.
  visibility_timeout_seconds = 6 * var.function_timeout_seconds + var.batching_window_seconds

  names = {
    queue      = "${var.name_prefix}-ingestion-queue"
    dlq        = "${var.name_prefix}-ingestion-dlq"
    on_failure = "${var.name_prefix}-archive-on-failure"
  }

  # Built and not referenced: a queue's own policy cannot refer to the queue, nor a dead-letter queue to the queue that
  # refers to it. Policies as resources of their own could, and would cost a serial wait of 25 s each.
  arns = {
    for role, name in local.names :
    role => "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${var.account_id}:${name}"
  }
}

# Producers send here; ingest-fn consumes.
resource "aws_sqs_queue" "queue" {
  name                       = local.names.queue
  visibility_timeout_seconds = local.visibility_timeout_seconds
  message_retention_seconds  = var.queue_retention_seconds
  max_message_size           = local.max_message_bytes
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  policy                     = data.aws_iam_policy_document.tls_only["queue"].json

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = var.max_receive_count
  })
}

# Where a message goes that was received max_receive_count times in vain.
resource "aws_sqs_queue" "dlq" {
  name                      = local.names.dlq
  message_retention_seconds = var.dlq_retention_seconds
  max_message_size          = local.max_message_bytes
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.tls_only["dlq"].json

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arns.queue]
  })
}

# Where Lambda names the stream records that archive-fn was given up on. Messages are metadata only: shard and sequence
# numbers. Lambda sends here itself, so that it is no queue's dead-letter queue.
resource "aws_sqs_queue" "on_failure" {
  name                      = local.names.on_failure
  message_retention_seconds = var.on_failure_retention_seconds
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.tls_only["on_failure"].json

  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
}

data "aws_iam_policy_document" "tls_only" {
  for_each = local.arns

  statement {
    sid       = "DenyInsecureTransport"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
