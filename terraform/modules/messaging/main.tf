data "aws_partition" "current" {}

locals {
  # AWS recommends six times the function's timeout plus the batching window. With a shorter timeout, SQS would redeliver a message
  # while its first invocation still runs, or while Lambda still retries a throttled invocation.
  visibility_timeout_seconds = 6 * var.function_timeout_seconds + var.batching_window_seconds

  # SQS encrypts with a key of its own, or with the customer-managed key. The provider refuses a value for both attributes.
  kms_key_arn            = var.kms_key_arn != "" ? var.kms_key_arn : null
  sqs_managed_encryption = var.kms_key_arn != "" ? null : true

  names = {
    queue      = "${var.name_prefix}-ingestion-queue"
    dlq        = "${var.name_prefix}-ingestion-dlq"
    on_failure = "${var.name_prefix}-archive-on-failure"
  }

  # These ARNs are built from names, because references would form cycles: a queue's policy names the queue itself, and the
  # dead-letter queue names the queue that refers to it. Separate policy resources would avoid the cycles, but each adds a serial
  # wait of 25 s to an apply.
  arns = {
    for role, name in local.names :
    role => "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${var.account_id}:${name}"
  }
}

# The queue that producers send to and ingest-fn consumes.
resource "aws_sqs_queue" "queue" {
  name                       = local.names.queue
  visibility_timeout_seconds = local.visibility_timeout_seconds
  message_retention_seconds  = var.queue_retention_seconds
  max_message_size           = var.max_message_bytes
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = local.sqs_managed_encryption
  kms_master_key_id          = local.kms_key_arn
  policy                     = data.aws_iam_policy_document.tls_only["queue"].json

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = var.max_receive_count
  })
}

# The dead-letter queue. SQS moves a message here after max_receive_count failed receives.
resource "aws_sqs_queue" "dlq" {
  name                      = local.names.dlq
  message_retention_seconds = var.dlq_retention_seconds
  max_message_size          = var.max_message_bytes
  sqs_managed_sse_enabled   = local.sqs_managed_encryption
  kms_master_key_id         = local.kms_key_arn
  policy                    = data.aws_iam_policy_document.tls_only["dlq"].json

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arns.queue]
  })
}

# The on-failure queue. Lambda sends a message here when the stream mapping discards records. It contains only metadata: shard
# and sequence numbers. Lambda sends it directly, so no other queue may use this one as its dead-letter queue.
resource "aws_sqs_queue" "on_failure" {
  name                      = local.names.on_failure
  message_retention_seconds = var.on_failure_retention_seconds
  sqs_managed_sse_enabled   = local.sqs_managed_encryption
  kms_master_key_id         = local.kms_key_arn
  policy                    = data.aws_iam_policy_document.tls_only["on_failure"].json

  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
}

data "aws_iam_policy_document" "tls_only" {
  for_each = local.arns

  # The statement below replaces one of the same sid, so the other documents cannot weaken it. Two sids that are equal in the other
  # documents are an error.
  source_policy_documents = each.key == "queue" ? concat([data.aws_iam_policy_document.senders.json], var.queue_policy_documents) : []

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
