data "aws_partition" "current" {}

locals {
  bucket_name = var.bucket_name != "" ? var.bucket_name : "${var.name_prefix}-ingestion-data-${var.account_id}-${var.region}"

  # Built from the name instead of a reference, so that the policy is known before the bucket exists.
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket_name}"
}

# The table of claims. Each claim contains its event.
resource "aws_dynamodb_table" "claims" {
  # checkov:skip=CKV_AWS_119:table_kms_key_arn is optional; without it, DynamoDB encrypts with its own key

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

  # DynamoDB throttles requests above these limits. Without the block, the table has no limit of its own.
  dynamic "on_demand_throughput" {
    for_each = anytrue([for limit in values(var.on_demand_throughput) : limit != null]) ? [var.on_demand_throughput] : []

    content {
      max_read_request_units  = on_demand_throughput.value.max_read_request_units
      max_write_request_units = on_demand_throughput.value.max_write_request_units
    }
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # Without a customer-managed key, DynamoDB encrypts with its own key.
  server_side_encryption {
    enabled     = var.table_kms_key_arn != ""
    kms_key_arn = var.table_kms_key_arn != "" ? var.table_kms_key_arn : null
  }
}

# The data lake: one object with one version for each claim.
resource "aws_s3_bucket" "lake" {
  # checkov:skip=CKV2_AWS_62:no one needs a notification per object; archive-fn logs a line for each
  # checkov:skip=CKV_AWS_18:archive-fn logs a line for each object; logging reads is the task of the account's own trail
  # checkov:skip=CKV_AWS_144:a second region is out of scope; versions and the bucket policy protect against overwriting

  bucket        = local.bucket_name
  force_destroy = !var.deletion_protection

  lifecycle {
    # If a caller's depends_on delays the data sources, the name is unknown in the plan. Without this line, Terraform would then replace
    # the bucket, with all its objects.
    ignore_changes = [bucket]

    postcondition {
      condition     = self.bucket == local.bucket_name
      error_message = "The lake's bucket must keep its name, ${self.bucket}: a bucket named ${local.bucket_name} would be a new, empty lake. If the account, the region, project or stage has changed, this is the state of another stack. Otherwise, set bucket_name to ${self.bucket}."
    }
  }
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

# With a bucket key, S3 sends few requests to KMS instead of one for each object.
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

# Noncurrent versions exist only if someone deletes or overwrites an object by hand. 30 days leave time to notice the mistake and to
# restore the object.
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

  # S3 refuses concurrent changes of the bucket policy and the public access block.
  depends_on = [aws_s3_bucket_public_access_block.lake]
}

data "aws_iam_policy_document" "lake" {
  # The statements below replace those of the same sid, so the other documents cannot weaken them.
  source_policy_documents = var.bucket_policy_documents

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

  # Prevents overwriting an object, even by mistake: S3 refuses writes without If-None-Match. This applies to the whole bucket, so the
  # objects under a former object_prefix stay protected. The second condition exempts the parts of a multipart upload, which cannot have
  # this header; the request that completes the upload must have it. AWS documents that a bucket with such a policy accepts no copies.
  statement {
    sid       = "DenyWriteWithoutIfNoneMatch"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${local.bucket_arn}/*"]

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
