data "aws_iam_policy_document" "assumed_by_lambda" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "ingest" {
  name                 = "${var.name_prefix}-ingest-fn-${var.region}"
  assume_role_policy   = data.aws_iam_policy_document.assumed_by_lambda.json
  permissions_boundary = var.permissions_boundary != "" ? var.permissions_boundary : null

  # Roles from before their names had the region keep their names. And if a caller's depends_on delays the data sources, the region is
  # unknown in the plan. Without this line, Terraform would then replace the role of a running function.
  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_iam_role_policy" "ingest" {
  name   = "ingest-fn"
  role   = aws_iam_role.ingest.id
  policy = data.aws_iam_policy_document.ingest.json
}

data "aws_iam_policy_document" "ingest" {
  # Lambda's pollers receive and delete messages under this role.
  statement {
    sid       = "ConsumeQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [var.queue_arn]
  }

  # SQS decrypts messages with the caller's permissions.
  dynamic "statement" {
    for_each = var.queue_kms_key_arn != "" ? [var.queue_kms_key_arn] : []

    content {
      sid       = "UseQueueKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sqs.${var.region}.amazonaws.com"]
      }
    }
  }

  # A claim is one conditional put, so the function needs no permission to read, update or delete claims.
  # PartiQLInsert permits only INSERT statements, which cannot change an existing item.
  #
  # The partition key of every claim is EVENT#<event id>. AWS requires ForAllValues with this condition key. It also matches a
  # request that has no partition key, but DynamoDB refuses to write such an item.
  statement {
    sid       = "PutClaim"
    actions   = concat(["dynamodb:PutItem"], var.claim_writes == "batch" ? ["dynamodb:PartiQLInsert"] : [])
    resources = [var.table_arn]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["EVENT#*"]
    }
  }

  # With either layout of the lake, a batch can have a duplicate of a packed claim. The function then reads the claim's pack, and may
  # have to close it.
  statement {
    sid       = "UsePacks"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [var.table_arn]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["PACK#*"]
    }
  }

  # DynamoDB uses the table's key with the caller's permissions. Even writes need kms:Decrypt.
  dynamic "statement" {
    for_each = var.table_kms_key_arn != "" ? [var.table_kms_key_arn] : []

    content {
      sid       = "UseTableKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${var.region}.amazonaws.com"]
      }
    }
  }

  # Terraform creates the log group. Lambda chooses the names of the log streams, so the resource ends in a wildcard.
  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.ingest_log_group_arn}:*"]
  }

  # X-Ray has no resource-level permissions for these actions. With PassThrough, Lambda sends no segments.
  dynamic "statement" {
    for_each = var.tracing_mode == "Active" ? ["*"] : []

    content {
      sid       = "Trace"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "archive" {
  name                 = "${var.name_prefix}-archive-fn-${var.region}"
  assume_role_policy   = data.aws_iam_policy_document.assumed_by_lambda.json
  permissions_boundary = var.permissions_boundary != "" ? var.permissions_boundary : null

  # Roles from before their names had the region keep their names. And if a caller's depends_on delays the data sources, the region is
  # unknown in the plan. Without this line, Terraform would then replace the role of a running function.
  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_iam_role_policy" "archive" {
  name   = "archive-fn"
  role   = aws_iam_role.archive.id
  policy = data.aws_iam_policy_document.archive.json
}

data "aws_iam_policy_document" "archive" {
  statement {
    sid       = "ReadStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
    resources = [var.stream_arn]
  }

  # DynamoDB uses the table's key with the caller's permissions, even when the caller only reads the stream.
  dynamic "statement" {
    for_each = var.table_kms_key_arn != "" ? [var.table_kms_key_arn] : []

    content {
      sid       = "UseTableKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${var.region}.amazonaws.com"]
      }
    }
  }

  # An object's name depends on its claim, so the policy can name only the prefix.
  statement {
    sid       = "PutObject"
    actions   = ["s3:PutObject"]
    resources = ["${var.bucket_arn}/${var.object_prefix}*"]
  }

  # S3 generates the data key with the caller's permissions. Multipart uploads would also need kms:Decrypt, but the function does not
  # use them.
  dynamic "statement" {
    for_each = var.bucket_kms_key_arn != "" ? [var.bucket_kms_key_arn] : []

    content {
      sid       = "UseBucketKey"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }

  # Lambda sends to the on-failure queue under this role.
  statement {
    sid       = "NameDiscardedRecords"
    actions   = ["sqs:SendMessage"]
    resources = [var.on_failure_queue_arn]
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

  # Terraform creates the log group. Lambda chooses the names of the log streams, so the resource ends in a wildcard.
  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.archive_log_group_arn}:*"]
  }

  # X-Ray has no resource-level permissions for these actions. With PassThrough, Lambda sends no segments.
  dynamic "statement" {
    for_each = var.tracing_mode == "Active" ? ["*"] : []

    content {
      sid       = "Trace"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = [statement.value]
    }
  }
}
