# What the policies say, to the last action. Mocked, a policy document holds nothing: so this is the real provider, which
# computes documents by itself and is only ever asked to plan. It reaches no network.

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

run "ingest_may_put_claims_and_consume_its_queue_and_nothing_else" {
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
    error_message = "The policy of ingest-fn is another: ${aws_iam_role_policy.ingest.policy}"
  }
}

run "batched_claims_add_the_insertion_by_partiql_and_nothing_else" {
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
    error_message = "The policy of ingest-fn is another: ${aws_iam_role_policy.ingest.policy}"
  }
}

run "archive_may_read_its_stream_put_under_its_prefix_and_name_what_was_given_up_and_nothing_else" {
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
    error_message = "The policy of archive-fn is another: ${aws_iam_role_policy.archive.policy}"
  }
}

run "customer_managed_keys_add_what_each_role_needs_of_them_and_nothing_else" {
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
    error_message = "ingest-fn needs kms:Decrypt of the table's key, through DynamoDB, and nothing else of any key."
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
    error_message = "archive-fn needs kms:Decrypt of the table's key, through DynamoDB, kms:GenerateDataKey of the bucket's, through S3, and nothing else of any key."
  }
}

run "nobody_but_lambda_may_assume_the_roles" {
  command = plan

  module {
    source = "./modules/iam"
  }

  assert {
    condition = alltrue([
      for policy in [aws_iam_role.ingest.assume_role_policy, aws_iam_role.archive.assume_role_policy] :
      jsondecode(policy).Statement == [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
    ])
    error_message = "A role may be assumed by somebody else than Lambda."
  }
}

run "no_queue_takes_a_request_without_tls" {
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
    error_message = "A queue's policy does not refuse plain HTTP on the queue itself, or says something else too."
  }
}

run "the_bucket_takes_no_request_without_tls_and_no_write_under_the_prefix_without_if_none_match" {
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
    error_message = "The bucket's policy is another: ${aws_s3_bucket_policy.lake.policy}"
  }
}
