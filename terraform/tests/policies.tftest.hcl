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
  dlq_arn               = "arn:aws:sqs:sa-east-1:123456789012:dlq"
  queue_kms_key_arn     = ""
  tracing_mode          = "Active"
  permissions_boundary  = ""

  kms_key_arn             = ""
  senders                 = { sns_topic_arns = [], event_rule_arns = [], s3_bucket_arns = [], account_ids = [] }
  queue_policy_documents  = []
  bucket_policy_documents = []
  on_demand_throughput    = {}

  max_message_bytes            = 262144
  function_timeout_seconds     = 30
  batching_window_seconds      = 5
  max_receive_count            = 3
  queue_retention_seconds      = 86400
  dlq_retention_seconds        = 1209600
  on_failure_retention_seconds = 1209600

  deletion_protection = false
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
      "Allow dynamodb:GetItem arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow logs:CreateLogStream arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest:*",
      "Allow logs:PutLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest:*",
      "Allow xray:PutTraceSegments *",
      "Allow xray:PutTelemetryRecords *",
    ])
    error_message = "The policy of ingest-fn has the wrong actions or resources: ${aws_iam_role_policy.ingest.policy}"
  }

  assert {
    condition = toset(flatten([
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement :
      [for action in flatten([s.Action]) : "${action} ${jsonencode(try(s.Condition, "none"))}" if startswith(action, "dynamodb:")]
      ])) == toset([
      "dynamodb:PutItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "EVENT#*" } })}",
      "dynamodb:PutItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "PACK#*" } })}",
      "dynamodb:GetItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "PACK#*" } })}",
    ])
    error_message = "ingest-fn must be able to put only claims and packs, and to read only packs: ${aws_iam_role_policy.ingest.policy}"
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
      [for action in flatten([s.Action]) : "${action} ${jsonencode(try(s.Condition, "none"))}" if startswith(action, "dynamodb:")]
      ])) == toset([
      "dynamodb:PutItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "EVENT#*" } })}",
      "dynamodb:PartiQLInsert ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "EVENT#*" } })}",
      "dynamodb:PutItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "PACK#*" } })}",
      "dynamodb:GetItem ${jsonencode({ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "PACK#*" } })}",
    ])
    error_message = "ingest-fn must be able to put only claims and packs, to insert only claims, and to read only packs: ${aws_iam_role_policy.ingest.policy}"
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
    queue_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.ingest.policy).Statement : s if strcontains(jsonencode(s.Action), "kms:")
      ] == [{
        Sid       = "UseQueueKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
        Condition = { StringEquals = { "kms:ViaService" = "sqs.sa-east-1.amazonaws.com" } }
        }, {
        Sid       = "UseTableKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/table"
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.sa-east-1.amazonaws.com" } }
    }]
    error_message = "ingest-fn must have kms:Decrypt on the queues' key through SQS and on the table's key through DynamoDB, and no other KMS permission."
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
        }, {
        Sid       = "UseQueueKey"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
        Condition = { StringEquals = { "kms:ViaService" = "sqs.sa-east-1.amazonaws.com" } }
    }]
    error_message = "archive-fn must have kms:Decrypt on the table's key through DynamoDB, kms:GenerateDataKey on the bucket's key through S3, both on the queues' key through SQS, and no other KMS permission."
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

# The bucket refuses every request without TLS, and every write without If-None-Match, even under a prefix that the lake used before.
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
      Resource  = "arn:aws:s3:::lake/*"
      Condition = { Null = { "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" } }
    }]
    error_message = "The bucket policy has the wrong statements: ${aws_s3_bucket_policy.lake.policy}"
  }
}

run "pass_through_removes_only_the_trace_permissions" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    tracing_mode = "PassThrough"
  }

  assert {
    condition = alltrue([
      for policy, sids in {
        (aws_iam_role_policy.ingest.policy)  = ["ConsumeQueue", "PutClaim", "UsePacks", "WriteLog"]
        (aws_iam_role_policy.archive.policy) = ["ReadStream", "PutObject", "NameDiscardedRecords", "WriteLog"]
      } : jsondecode(policy).Statement[*].Sid == sids
    ])
    error_message = "With PassThrough, the functions send nothing to X-Ray, so their roles must not be able to."
  }
}

run "roles_have_the_region_and_the_boundary" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition = {
      for role in [aws_iam_role.ingest, aws_iam_role.archive] : role.name => role.permissions_boundary
      } == {
      stack-ingest-fn-sa-east-1  = "arn:aws:iam::123456789012:policy/boundary"
      stack-archive-fn-sa-east-1 = "arn:aws:iam::123456789012:policy/boundary"
    }
    error_message = "IAM is global, so a role's name must have the region. Both roles must have the boundary."
  }
}

run "producers_may_only_send" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    table_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    queue_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
  }

  assert {
    condition = jsondecode(output.producer_policy_json).Statement == [{
      Sid      = "SendEvents"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
      Resource = "arn:aws:sqs:sa-east-1:123456789012:queue"
      }, {
      Sid       = "UseQueueKey"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
      Condition = { StringEquals = { "kms:ViaService" = "sqs.sa-east-1.amazonaws.com" } }
    }]
    error_message = "The producers' policy has the wrong statements: ${output.producer_policy_json}"
  }
}

run "operators_have_what_trace_and_replay_list" {
  command = plan

  module {
    source = "./modules/iam"
  }

  assert {
    condition = toset(flatten([
      for s in jsondecode(output.operator_policy_json).Statement :
      [for pair in setproduct(flatten([s.Action]), flatten([s.Resource])) : "${s.Effect} ${pair[0]} ${pair[1]}"]
      ])) == toset([
      "Allow dynamodb:DescribeTable arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow dynamodb:GetItem arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow dynamodb:Query arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow dynamodb:Scan arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow dynamodb:PutItem arn:aws:dynamodb:sa-east-1:123456789012:table/claims",
      "Allow s3:ListBucket arn:aws:s3:::lake",
      "Allow s3:ListBucketVersions arn:aws:s3:::lake",
      "Allow s3:GetObject arn:aws:s3:::lake/events/*",
      "Allow s3:GetObjectVersion arn:aws:s3:::lake/events/*",
      "Allow s3:PutObject arn:aws:s3:::lake/events/*",
      "Allow logs:FilterLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest",
      "Allow logs:FilterLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/archive",
      "Allow logs:FilterLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/ingest:*",
      "Allow logs:FilterLogEvents arn:aws:logs:sa-east-1:123456789012:log-group:/aws/lambda/archive:*",
      "Allow sqs:GetQueueAttributes arn:aws:sqs:sa-east-1:123456789012:queue",
      "Allow sqs:GetQueueAttributes arn:aws:sqs:sa-east-1:123456789012:dlq",
      "Allow sqs:GetQueueAttributes arn:aws:sqs:sa-east-1:123456789012:on-failure",
      "Allow sqs:GetQueueUrl arn:aws:sqs:sa-east-1:123456789012:dlq",
      "Allow sqs:ReceiveMessage arn:aws:sqs:sa-east-1:123456789012:dlq",
    ])
    error_message = "The operators' policy has the wrong actions or resources: ${output.operator_policy_json}"
  }

  assert {
    condition = [
      for s in jsondecode(output.operator_policy_json).Statement : try(s.Condition, "none") if strcontains(jsonencode(s.Action), "dynamodb:PutItem")
    ] == [{ "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "PACK#*" } }]
    error_message = "Operators must be able to put only packs: ${output.operator_policy_json}"
  }
}

run "operators_use_keys_only_through_their_services" {
  command = plan

  module {
    source = "./modules/iam"
  }

  variables {
    table_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    queue_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/queues"
  }

  assert {
    condition = {
      for s in jsondecode(output.operator_policy_json).Statement : s.Resource => [s.Effect, s.Action, s.Condition] if strcontains(jsonencode(s.Action), "kms:")
      } == {
      "arn:aws:kms:sa-east-1:123456789012:key/table"  = ["Allow", "kms:Decrypt", { StringEquals = { "kms:ViaService" = "dynamodb.sa-east-1.amazonaws.com" } }]
      "arn:aws:kms:sa-east-1:123456789012:key/bucket" = ["Allow", ["kms:GenerateDataKey", "kms:Decrypt"], { StringEquals = { "kms:ViaService" = "s3.sa-east-1.amazonaws.com" } }]
      "arn:aws:kms:sa-east-1:123456789012:key/queues" = ["Allow", "kms:Decrypt", { StringEquals = { "kms:ViaService" = "sqs.sa-east-1.amazonaws.com" } }]
    }
    error_message = "The operators' policy has the wrong statements on keys: ${output.operator_policy_json}"
  }
}

# A service sends on behalf of anyone who configures it, so a statement without a source would admit the whole world.
run "queue_admits_only_named_senders" {
  command = plan

  module {
    source = "./modules/messaging"
  }

  variables {
    senders = {
      sns_topic_arns  = ["arn:aws:sns:sa-east-1:123456789012:orders"]
      event_rule_arns = ["arn:aws:events:sa-east-1:123456789012:rule/bus/orders", "arn:aws:events:sa-east-1:123456789012:rule/bus/refunds"]
      s3_bucket_arns  = ["arn:aws:s3:::uploads"]
      account_ids     = ["210987654321"]
    }
  }

  assert {
    condition = jsondecode(aws_sqs_queue.queue.policy).Statement == [{
      Sid       = "AllowSnsTopics"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"
      Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:sa-east-1:123456789012:orders" } }
      }, {
      Sid       = "AllowEventRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"
      Condition = { ArnEquals = { "aws:SourceArn" = ["arn:aws:events:sa-east-1:123456789012:rule/bus/orders", "arn:aws:events:sa-east-1:123456789012:rule/bus/refunds"] } }
      }, {
      Sid       = "AllowBuckets"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = "arn:aws:s3:::uploads" }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }
      }, {
      Sid       = "AllowAccounts"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::210987654321:root" }
      Action    = ["sqs:SendMessage", "sqs:GetQueueUrl"]
      Resource  = "arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"
      }, {
      Sid       = "DenyInsecureTransport"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = "arn:aws:sqs:sa-east-1:123456789012:stack-ingestion-queue"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The queue's policy does not bind each sender to its source: ${aws_sqs_queue.queue.policy}"
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.dlq, aws_sqs_queue.on_failure] : jsondecode(queue.policy).Statement[*].Sid == ["DenyInsecureTransport"]
    ])
    error_message = "Senders must reach only the queue, not the dead-letter queue or the on-failure queue."
  }
}

# The second document tries to replace statements of the module. The module pipeline refuses such a document; these modules keep their own.
run "other_documents_cannot_weaken_the_queue_policy" {
  command = plan

  module {
    source = "./modules/messaging"
  }

  variables {
    queue_policy_documents = [
      "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Theirs\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::210987654321:role/sender\"},\"Action\":\"sqs:SendMessage\",\"Resource\":\"*\"}]}",
      "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"DenyInsecureTransport\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"sqs:*\",\"Resource\":\"*\"}]}",
    ]
  }

  assert {
    condition = [for s in jsondecode(aws_sqs_queue.queue.policy).Statement : [s.Sid, s.Effect]] == [
      ["Theirs", "Allow"], ["DenyInsecureTransport", "Deny"],
    ]
    error_message = "The queue's policy must have the other documents' statements and its own: ${aws_sqs_queue.queue.policy}"
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.dlq, aws_sqs_queue.on_failure] : jsondecode(queue.policy).Statement[*].Sid == ["DenyInsecureTransport"]
    ])
    error_message = "The documents are for the queue's policy alone."
  }
}

run "other_documents_cannot_weaken_the_bucket_policy" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    bucket_policy_documents = [
      "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Theirs\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::210987654321:role/reader\"},\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::lake/*\"}]}",
      "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"DenyInsecureTransport\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\"},{\"Sid\":\"DenyWriteWithoutIfNoneMatch\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}",
    ]
  }

  assert {
    condition = {
      for s in jsondecode(aws_s3_bucket_policy.lake.policy).Statement : s.Sid => s.Effect
    } == { Theirs = "Allow", DenyInsecureTransport = "Deny", DenyWriteWithoutIfNoneMatch = "Deny" }
    error_message = "The bucket's policy must have the other documents' statements and its own: ${aws_s3_bucket_policy.lake.policy}"
  }
}
