data "aws_partition" "current" {}

locals {
  bucket_name = var.bucket_name != "" ? var.bucket_name : "${var.name_prefix}-ingestion-data-${var.account_id}-${var.region}"

  # Built and not referenced, so that the policy is known before the bucket is made.
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket_name}"
}

# The claims, each with its event inside.
resource "aws_dynamodb_table" "claims" {
  # checkov:skip=CKV_AWS_119:a customer-managed key is a choice, table_kms_key_arn; without one DynamoDB encrypts with its own

  name                        = "${var.name_prefix}-ingestion-state"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  stream_enabled              = true
  stream_view_type            = "NEW_IMAGE"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # Without a key of the customer's, DynamoDB encrypts with its own.
  server_side_encryption {
    enabled     = var.table_kms_key_arn != ""
    kms_key_arn = var.table_kms_key_arn != "" ? var.table_kms_key_arn : null
  }
}

# The data lake: one object, with one version, for each claim.
resource "aws_s3_bucket" "lake" {
  # checkov:skip=CKV2_AWS_62:nobody is to be notified of an object; the archive's log has a line for each
  # checkov:skip=CKV_AWS_18:the archive's log has a line for each object; logs of reads are for the account's own trail
  # checkov:skip=CKV_AWS_144:a second region is another system's choice; versions and the policy guard against overwriting

  bucket        = local.bucket_name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# With a bucket key, S3 asks KMS now and then, and not for each object.
resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.bucket_kms_key_arn != "" ? var.bucket_kms_key_arn : null
    }
  }
}

# An old version is only ever what somebody deleted or overwrote by hand: a month to notice.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "aborted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake]
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id
  policy = data.aws_iam_policy_document.lake.json

  # S3 refuses changes of the policy and of this block at the same time.
  depends_on = [aws_s3_bucket_public_access_block.lake]
}

data "aws_iam_policy_document" "lake" {
  statement {
    sid       = "DenyInsecureTransport"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]

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

  # No one overwrites an object, not even by mistake: a write that does not say If-None-Match is refused. The second
  # condition spares the parts of a multipart upload, which cannot say it; their completion must. A copy cannot say it
  # either, so that copies into the prefix are refused.
  statement {
    sid       = "DenyWriteWithoutIfNoneMatch"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${local.bucket_arn}/${var.object_prefix}*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }
}
