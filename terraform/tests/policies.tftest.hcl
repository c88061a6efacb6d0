# Tests of every action in the policies. A mocked policy document is empty, so these tests use the real provider. It computes
# policy documents locally, and the tests only plan, so it needs no network.

provider "aws" {
  region                      = "sa-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

variables {
  name_prefix           = "stack"
  account_id            = "123456789012"
  region                = "sa-east-1"
  queue_arn             = "arn:aws:sqs:sa-east-1:123456789012:queue"
  table_arn             = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims"
  claim_writes          = "single"
  stream_arn            = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000"
  bucket_arn            = "arn:aws:s3:::lake"
  bucket_name           = "lake"
  object_prefix         = "events/"
  on_failure_queue_arn  = "arn:aws:sqs:sa-east-1:123456789012:on-failure"
  ingest_log_group_arn  = "arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest"
  archive_log_group_arn = "arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/archive"
  table_kms_key_arn     = ""
  bucket_kms_key_arn    = ""

  function_timeout_seconds     = 30
  batching_window_seconds      = 5
  max_receive_count            = 3
  queue_retention_seconds      = 86400
  dlq_retention_seconds        = 1209600
  on_failure_retention_seconds = 1209600

  deletion_protection = false
  force_destroy       = false
  glue_database_name  = ""
}

run "ingest_role_has_only_its_permissions" {
  command = plan

  module {
    source = "./modules/iam"
  }

  assert {
    condition = toset(flatten([
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement :
      [for pair in setproduct(flatten([s.Action]), flatten([s.Resource])) : "${s.Effect} ${pair[0]} ${pair[1]}"]
      ])) == toset([
      "Allow sqs:ReceiveMessage arn:aws:sqs:sa-east-1:123456789012:queue",
      "Allow sqs:DeleteMessage arn:aws:sqs:sa-east-1:123456789012:queue",
      "Allow sqs:GetQueueAttributes arn:aws:sqs:sa-east-1:123456789012:queue",
      "Allow dynamodb:PutItem arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow logs:CreateLogStream arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest:*",
      "Allow logs:PutLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest:*",
      "Allow xray:PutTraceSegments *",
      "Allow xray:PutTelemetryRecords *",
    ])
    error_message = "The policy of ingest-fn has the wrong actions or resources: ${aws_iam_role_policy.ingest.policy}"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement : try(s.Condition, "none") if strcontains(jsonencode(s.Action), "dynamodb:")
    ] == [{ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "EVENT#*" } }]
    error_message = "ingest-fn must be able to put only items whose partition key starts with EVENT#: ${aws_iam_role_policy.ingest.policy}"
  }
}

run "batched_claims_add_only_partiql_insert" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    claim_writes = "batch"
  }

  assert {
    condition = toset(flatten([
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement :
      [for pair in setproduct(flatten([s.Action]), flatten([s.Resource])) : "${s.Effect} ${pair[0]} ${pair[1]}"]
      if strcontains(jsonencode(s.Action), "dynamodb:")
      ])) == toset([
      "Allow dynamodb:PutItem arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow dynamodb:PartiQLInsert arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
    ])
    error_message = "The policy of ingest-fn has the wrong actions or resources: ${aws_iam_role_policy.ingest.policy}"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement : try(s.Condition, "none") if strcontains(jsonencode(s.Action), "dynamodb:")
    ] == [{ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "EVENT#*" } }]
    error_message = "ingest-fn must be able to put and insert only items whose partition key starts with EVENT#: ${aws_iam_role_policy.ingest.policy}"
  }
}

run "archive_role_has_only_its_permissions" {
  command = plan

  module {
    source = "./modules/iam"
  }

  assert {
    condition = toset(flatten([
      for s in jsondecode(aws_iam_role_policy.archive.policy).Statement :
      [for pair in setproduct(flatten([s.Action]), flatten([s.Resource])) : "${s.Effect} ${pair[0]} ${pair[1]}"]
      ])) == toset([
      "Allow dynamodb:DescribeStream arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      "Allow dynamodb:GetRecords arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      "Allow dynamodb:GetShardIterator arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      "Allow dynamodb:ListStreams arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-23T00:00:00.000",
      "Allow s3:PutObject arn:aws:s3:::lake/events/*",
      "Allow sqs:SendMessage arn:aws:sqs:sa-east-1:123456789012:on-failure",
      "Allow logs:CreateLogStream arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/archive:*",
      "Allow logs:PutLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/archive:*",
      "Allow xray:PutTraceSegments *",
      "Allow xray:PutTelemetryRecords *",
    ])
    error_message = "The policy of archive-fn has the wrong actions or resources: ${aws_iam_role_policy.archive.policy}"
  }
}

run "kms_keys_add_only_the_needed_permissions" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    table_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement : s if strcontains(jsonencode(s.Action), "kms:")
      ] == [{
        Sid       = "UseTableKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/table"
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.sa-east-1.amazonaws.com" } }
    }]
    error_message = "ingest-fn must have kms:Decrypt on the table's key through DynamoDB, and no other KMS permission."
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.archive.policy).Statement : s if strcontains(jsonencode(s.Action), "kms:")
      ] == [{
        Sid       = "UseTableKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/table"
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.sa-east-1.amazonaws.com" } }
        }, {
        Sid       = "UseBucketKey"
        Effect    = "Allow"
        Action    = "kms:GenerateDataKey"
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
        Condition = { StringEquals = { "kms:ViaService" = "s3.sa-east-1.amazonaws.com" } }
    }]
    error_message = "archive-fn must have kms:Decrypt on the table's key through DynamoDB, kms:GenerateDataKey on the bucket's key through S3, and no other KMS permission."
  }
}

run "only_lambda_may_assume_the_roles" {
  command = plan

  module {
    source = "./modules/iam"
  }

  assert {
    condition = alltrue([
      for policy in [aws_iam_role.ingest.assume_role_policy, aws_iam_role.archive.assume_role_policy] :
      jsondecode(policy).Statement == [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
    ])
    error_message = "A principal other than Lambda may assume a role."
  }
}

run "queues_refuse_plain_http" {
  command = plan

  module {
    source = "./modules/messaging"
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.queue, aws_sqs_queue.dlq, aws_sqs_queue.on_failure] :
      jsondecode(queue.policy).Statement == [{
        Sid       = "DenyInsecureTransport"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:sa-east-1:123456789012:${queue.name}"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ])
    error_message = "A queue's policy does not refuse plain HTTP on that queue, or has other statements."
  }
}

# The bucket refuses every request without TLS, and every write under the prefix without If-None-Match.
run "bucket_refuses_plain_http_and_overwrites" {
  command = plan

  module {
    source = "./modules/storage"
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.lake.policy).Statement == [{
      Sid       = "DenyInsecureTransport"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::lake/*", "arn:aws:s3:::lake"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }, {
      Sid       = "DenyWriteWithoutIfNoneMatch"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "arn:aws:s3:::lake/events/*"
      Condition = { Null = { "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" } }
    }]
    error_message = "The bucket policy has the wrong statements: ${aws_s3_bucket_policy.lake.policy}"
  }
}
