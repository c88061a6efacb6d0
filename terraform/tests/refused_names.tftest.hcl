# Tests of names and keys that S3 or DynamoDB refuse in the middle of an apply. Terraform refuses them in the plan. The tests deploy
# nothing, so any file can serve as a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

run "names_and_keys_of_this_region_are_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    table_kms_key_arn  = "arn:aws:kms:sa-east-1:123456789012:key/table"
    bucket_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:key/bucket"
    object_prefix      = "..raw/v1.0/.events./"
    bucket_name        = "lake-xn--s3alias-x"
  }
}

run "table_key_of_another_region_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    table_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/table"
  }

  expect_failures = [var.table_kms_key_arn]
}

run "bucket_key_of_another_region_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/bucket"
  }

  expect_failures = [var.bucket_kms_key_arn]
}

run "prefix_with_parent_folder_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "raw/../events/"
  }

  expect_failures = [var.object_prefix]
}

run "prefix_that_starts_with_parent_folder_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "../events/"
  }

  expect_failures = [var.object_prefix]
}

run "prefix_with_current_folder_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix = "events/./"
  }

  expect_failures = [var.object_prefix]
}

run "punycode_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "xn--lake"
  }

  expect_failures = [var.bucket_name]
}

run "sthree_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "sthree-lake"
  }

  expect_failures = [var.bucket_name]
}

run "demo_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "amzn-s3-demo-lake"
  }

  expect_failures = [var.bucket_name]
}

run "access_point_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "lake-s3alias"
  }

  expect_failures = [var.bucket_name]
}

run "object_lambda_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "lake--ol-s3"
  }

  expect_failures = [var.bucket_name]
}

run "directory_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "lake--use1-az4--x-s3"
  }

  expect_failures = [var.bucket_name]
}

run "table_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "lake--table-s3"
  }

  expect_failures = [var.bucket_name]
}

run "account_namespace_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_name = "lake-123456789012-sa-east-1-an"
  }

  expect_failures = [var.bucket_name]
}

run "reserved_start_of_default_bucket_name_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    project = "sthree-orders"
  }

  expect_failures = [var.bucket_name]
}
