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
  name               = "${var.name_prefix}-ingest-fn"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_lambda.json
}

resource "aws_iam_role_policy" "ingest" {
  name   = "ingest-fn"
  role   = aws_iam_role.ingest.id
  policy = data.aws_iam_policy_document.ingest.json
}

data "aws_iam_policy_document" "ingest" {
  # What Lambda's pollers do in the role's name, before and after each invocation.
  statement {
    sid       = "ConsumeQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [var.queue_arn]
  }

  # A claim is one conditional put: it reads nothing, changes nothing and deletes nothing.
  # Of PartiQL's statements, an INSERT alone has this permission; it cannot change what is there.
  statement {
    sid       = "PutClaim"
    actions   = concat(["dynamodb:PutItem"], var.claim_writes == "batch" ? ["dynamodb:PartiQLInsert"] : [])
    resources = [var.table_arn]
  }

  # DynamoDB decrypts the table's key in the caller's name, for a write too.
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

  # The group itself is Terraform's; streams within it have names that Lambda makes up.
  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.ingest_log_group_arn}:*"]
  }

  # X-Ray has no resources to name.
  statement {
    sid       = "Trace"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "archive" {
  name               = "${var.name_prefix}-archive-fn"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_lambda.json
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

  # DynamoDB decrypts the table's key in the reader's name, for its stream too.
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

  # An object's name follows from its claim, so that only the prefix can be named here.
  statement {
    sid       = "PutObject"
    actions   = ["s3:PutObject"]
    resources = ["${var.bucket_arn}/${var.object_prefix}*"]
  }

  # S3 asks for the bucket's data key in the writer's name. An upload in parts would need kms:Decrypt too; there are none.
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

  # Lambda sends there in the role's name.
  statement {
    sid       = "NameWhatWasGivenUp"
    actions   = ["sqs:SendMessage"]
    resources = [var.on_failure_queue_arn]
  }

  # The group itself is Terraform's; streams within it have names that Lambda makes up.
  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.archive_log_group_arn}:*"]
  }

  # X-Ray has no resources to name.
  statement {
    sid       = "Trace"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
}
