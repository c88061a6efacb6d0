# Tests of the places from which the functions' code can come. A run that expects a failure breaks one validation of each function. The
# tests deploy nothing, so any file can serve as a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "code_from_s3_is_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = { s3_bucket = "releases", s3_key = "v1.2.0/ingest-fn-x86_64.zip" }
    archive = { s3_bucket = "releases", s3_key = "archive-fn.zip", s3_object_version = "third" }
  }
}

# The root's default zip must not stand beside the object.
run "root_takes_code_from_s3" {
  command = plan

  variables {
    ingest  = { s3_bucket = "releases", s3_key = "ingest-fn.zip", source_code_hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    archive = { s3_bucket = "releases", s3_key = "v1.2.0/archive-fn-x86_64.zip" }
  }
}

run "missing_code_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = {}
    archive = {}
  }

  expect_failures = [var.ingest, var.archive]
}

run "zip_beside_s3_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = { zip = "versions.tf", s3_bucket = "releases", s3_key = "ingest-fn.zip" }
    archive = { zip = "versions.tf", s3_bucket = "releases", s3_key = "archive-fn.zip" }
  }

  expect_failures = [var.ingest, var.archive]
}

run "key_without_bucket_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = { s3_key = "ingest-fn.zip" }
    archive = { s3_key = "archive-fn.zip" }
  }

  expect_failures = [var.ingest, var.archive]
}

run "object_version_of_a_path_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = { zip = "versions.tf", s3_object_version = "third" }
    archive = { zip = "versions.tf", s3_object_version = "third" }
  }

  expect_failures = [var.ingest, var.archive]
}

run "hash_of_a_path_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest  = { zip = "versions.tf", source_code_hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    archive = { zip = "versions.tf", source_code_hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }

  expect_failures = [var.ingest, var.archive]
}

# The form in which SHA256SUMS has the hash.
run "hexadecimal_hash_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = {
      s3_bucket        = "releases"
      s3_key           = "ingest-fn.zip"
      source_code_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    archive = {
      s3_bucket        = "releases"
      s3_key           = "archive-fn.zip"
      source_code_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  }

  expect_failures = [var.ingest, var.archive]
}

run "unpublished_version_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest          = { zip = "versions.tf" }
    archive         = { zip = "versions.tf" }
    ingest_version  = "$LATEST"
    archive_version = "$LATEST"
  }

  expect_failures = [var.ingest_version, var.archive_version]
}
