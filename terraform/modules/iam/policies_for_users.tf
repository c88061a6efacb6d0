# Policy documents for those who use a stack without being part of it. The module attaches them to no one: attach them to your own roles.

# Senders of events. SendMessageBatch needs sqs:SendMessage too.
data "aws_iam_policy_document" "producer" {
  statement {
    sid       = "SendEvents"
    actions   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
    resources = [var.queue_arn]
  }

  # A sender needs both actions: SQS generates a data key, and decrypts it to verify it.
  dynamic "statement" {
    for_each = var.queue_kms_key_arn != "" ? [var.queue_kms_key_arn] : []

    content {
      sid       = "UseQueueKey"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sqs.${var.region}.amazonaws.com"]
      }
    }
  }
}

# Operators who run `producer trace` and `ops replay`. The help of each command lists its permissions.
data "aws_iam_policy_document" "operator" {
  statement {
    sid       = "ReadClaims"
    actions   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
    resources = [var.table_arn]
  }

  # Replay settles packed claims, as ingest-fn does.
  statement {
    sid       = "ClosePacks"
    actions   = ["dynamodb:PutItem"]
    resources = [var.table_arn]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["PACK#*"]
    }
  }

  statement {
    sid       = "ListLake"
    actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
    resources = [var.bucket_arn]
  }

  # Replay writes objects as archive-fn does. The bucket's policy keeps both from overwriting an object.
  statement {
    sid       = "ReadAndCompleteLake"
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${var.bucket_arn}/${var.object_prefix}*"]
  }

  # AWS documents both forms of a log group's ARN: IAM's reference the one without the wildcard, CloudWatch Logs the one with it.
  statement {
    sid       = "ReadLogs"
    actions   = ["logs:FilterLogEvents"]
    resources = flatten([for arn in [var.ingest_log_group_arn, var.archive_log_group_arn] : [arn, "${arn}:*"]])
  }

  statement {
    sid       = "LookAtQueues"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [var.queue_arn, var.dlq_arn, var.on_failure_queue_arn]
  }

  statement {
    sid       = "ReadDeadLetters"
    actions   = ["sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    resources = [var.dlq_arn]
  }

  dynamic "statement" {
    for_each = {
      for sid, key in {
        UseTableKey  = { arn = var.table_kms_key_arn, service = "dynamodb", actions = ["kms:Decrypt"] }
        UseBucketKey = { arn = var.bucket_kms_key_arn, service = "s3", actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
        UseQueueKey  = { arn = var.queue_kms_key_arn, service = "sqs", actions = ["kms:Decrypt"] }
      } : sid => key if key.arn != ""
    }

    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = [statement.value.arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["${statement.value.service}.${var.region}.amazonaws.com"]
      }
    }
  }
}
