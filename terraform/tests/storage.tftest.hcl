# Tests of the module storage: the table and the data lake. policies.tftest.hcl tests the content of the policies.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix             = "stack"
  account_id              = "123456789012"
  bucket_policy_documents = []
  on_demand_throughput    = {}
}

run "table_has_keys_stream_ttl_and_protection" {
  module {
    source = "./modules/storage"
  }

  variables {
    region              = "sa-east-1"
    bucket_name         = ""
    object_prefix       = "events/"
    table_kms_key_arn   = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    deletion_protection = true
    glue_database_name  = ""
  }

  assert {
    condition = {
      keys        = [aws_dynamodb_table.claims.hash_key, aws_dynamodb_table.claims.range_key]
      billing     = aws_dynamodb_table.claims.billing_mode
      stream      = [aws_dynamodb_table.claims.stream_enabled, aws_dynamodb_table.claims.stream_view_type]
      ttl         = [one(aws_dynamodb_table.claims.ttl).enabled, one(aws_dynamodb_table.claims.ttl).attribute_name]
      recovery    = one(aws_dynamodb_table.claims.point_in_time_recovery).enabled
      protection  = aws_dynamodb_table.claims.deletion_protection_enabled
      key         = one(aws_dynamodb_table.claims.server_side_encryption).kms_key_arn
      key_enabled = one(aws_dynamodb_table.claims.server_side_encryption).enabled
      } == {
      keys        = ["pk", "sk"]
      billing     = "PAY_PER_REQUEST"
      stream      = [true, "NEW_IMAGE"]
      ttl         = [true, "ttl"]
      recovery    = true
      protection  = true
      key         = "arn:aws:kms:sa-east-1:123456789012:key/table"
      key_enabled = true
    }
    error_message = "The table is not configured as the functions require."
  }

  assert {
    condition     = length(aws_dynamodb_table.claims.on_demand_throughput) == 0
    error_message = "Without on_demand_throughput, the table must have no limit."
  }

  assert {
    condition     = !aws_s3_bucket.lake.force_destroy
    error_message = "Terraform would delete the objects of a protected lake."
  }
}

run "bucket_is_private_versioned_and_encrypted" {
  state_key = "lake"

  module {
    source = "./modules/storage"
  }

  variables {
    region              = "sa-east-1"
    bucket_name         = "lake"
    object_prefix       = "events/"
    table_kms_key_arn   = ""
    bucket_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    deletion_protection = false
    glue_database_name  = ""
  }

  assert {
    condition     = [aws_s3_bucket.lake.bucket, aws_s3_bucket.lake.force_destroy] == ["lake", true]
    error_message = "The bucket must take its name from the variable, and be deletable with its objects if the stack is not protected."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.lake.block_public_acls,
      aws_s3_bucket_public_access_block.lake.block_public_policy,
      aws_s3_bucket_public_access_block.lake.ignore_public_acls,
      aws_s3_bucket_public_access_block.lake.restrict_public_buckets,
      one(aws_s3_bucket_ownership_controls.lake.rule).object_ownership == "BucketOwnerEnforced",
    ])
    error_message = "The bucket is not private."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.lake.versioning_configuration).status == "Enabled"
    error_message = "The bucket is not versioned, so an overwrite would be permanent."
  }

  assert {
    condition = alltrue([
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).bucket_key_enabled,
      one(one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms",
      one(one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default).kms_master_key_id == "arn:aws:kms:sa-east-1:123456789012:key/bucket",
    ])
    error_message = "The bucket is not encrypted with KMS, the given key and a bucket key enabled."
  }

  assert {
    condition = alltrue([
      length(aws_s3_bucket_lifecycle_configuration.lake.rule) == 2,
      contains(flatten([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.noncurrent_version_expiration[*].noncurrent_days]), 30),
      contains(flatten([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.abort_incomplete_multipart_upload[*].days_after_initiation]), 1),
      alltrue([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : alltrue([for end in rule.expiration : end.days == null || end.days == 0])]),
    ])
    error_message = "Noncurrent versions and aborted uploads must expire, and current objects must not."
  }
}

# Another bucket would be a new, empty lake. The run above created the bucket `lake`.
run "another_bucket_name_is_refused" {
  command   = plan
  state_key = "lake"

  module {
    source = "./modules/storage"
  }

  variables {
    region              = "sa-east-1"
    bucket_name         = "another-lake"
    object_prefix       = "events/"
    table_kms_key_arn   = ""
    bucket_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    deletion_protection = false
    glue_database_name  = ""
  }

  expect_failures = [aws_s3_bucket.lake]
}

run "no_glue_database_without_a_name" {
  state_key = "lake"

  module {
    source = "./modules/storage"
  }

  variables {
    region              = "sa-east-1"
    bucket_name         = "lake"
    object_prefix       = "events/"
    table_kms_key_arn   = ""
    bucket_kms_key_arn  = ""
    deletion_protection = false
    glue_database_name  = ""
  }

  assert {
    condition     = length(aws_glue_catalog_database.lake) == 0 && length(aws_glue_catalog_table.events) == 0
    error_message = "A Glue database exists although glue_database_name is empty."
  }
}

# The Glue table finds each object by day and hour, and its regular expression returns any event exactly as it was sent.
run "glue_table_reads_every_line_of_the_lake" {
  state_key = "lake"

  module {
    source = "./modules/storage"
  }

  variables {
    region              = "sa-east-1"
    bucket_name         = "lake"
    object_prefix       = "raw/events/"
    table_kms_key_arn   = ""
    bucket_kms_key_arn  = ""
    deletion_protection = false
    glue_database_name  = "lake"
  }

  assert {
    condition = [
      aws_glue_catalog_table.events["lake"].parameters["storage.location.template"],
      aws_glue_catalog_table.events["lake"].partition_keys[0].name,
      aws_glue_catalog_table.events["lake"].partition_keys[1].name,
    ] == ["s3://lake/raw/events/dt=$${dt}/hour=$${hour}/", "dt", "hour"]
    error_message = "The table does not read the keys that archive-fn writes."
  }

  assert {
    condition = alltrue([
      for event in [
        "{\"event_id\":\"inner\",\"event\":{\"n\":12345678901234567890.10,\"s\":\"}\\\"\\\\\"}}",
        "[1,{\"a\":null}]", "\"1\"", "1", "null", "\"\u2028\u0085\"",
        ] : regex(
        one(one(aws_glue_catalog_table.events["lake"].storage_descriptor).ser_de_info).parameters["input.regex"],
        "{\"event_id\":\"a\\\",\\\"claim_id\\\":\\\"\\\\\",\"claim_id\":\"019ab\",\"claimed_at\":\"2026-11-23T01:02:03.004Z\",\"message_id\":\"m-1\",\"event\":${event}}",
      ) == ["a\\\",\\\"claim_id\\\":\\\"\\\\", "019ab", "2026-11-23T01:02:03.004Z", "m-1", event]
    ])
    error_message = "The expression does not split a line into its five columns."
  }

  # In Terraform's regular expressions, a dot does not match a newline. In Java's, which Athena uses, it does not match U+2028 and
  # U+0085 either, unless (?s) is set. So the test above cannot show that (?s) is needed.
  assert {
    condition     = startswith(one(one(aws_glue_catalog_table.events["lake"].storage_descriptor).ser_de_info).parameters["input.regex"], "(?s)")
    error_message = "Without (?s), a dot in a Java expression does not match every character that an event may contain."
  }

  assert {
    condition     = one(aws_glue_catalog_table.events["lake"].storage_descriptor).columns[*].name == tolist(["event_id", "claim_id", "claimed_at", "message_id", "event"])
    error_message = "The columns do not have the names of an object's line, in the same order."
  }
}

run "table_has_the_given_limit" {
  state_key = "limits"

  module {
    source = "./modules/storage"
  }

  variables {
    region               = "sa-east-1"
    bucket_name          = "limited"
    object_prefix        = "events/"
    table_kms_key_arn    = ""
    bucket_kms_key_arn   = ""
    deletion_protection  = false
    glue_database_name   = ""
    on_demand_throughput = { max_write_request_units = 500 }
  }

  assert {
    condition     = one(aws_dynamodb_table.claims.on_demand_throughput).max_write_request_units == 500
    error_message = "The table must have the given limit."
  }
}
