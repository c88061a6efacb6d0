# Tests of the guard of a protected stack. scripts/e2e tests that Terraform refuses to destroy the guard, because a test cannot expect
# that error. Each run that expects a failure uses the bucket's old name, so that the postcondition of the bucket does not fail too.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  ingest      = { zip = "versions.tf" }
  archive     = { zip = "versions.tf" }
  bucket_name = "lake"
}

run "stack_is_protected_by_default" {
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  assert {
    condition     = length(terraform_data.protected_see_readme_destroy) == 1
    error_message = "The stack has no guard."
  }
}

run "another_stage_is_refused" {
  command   = plan
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  variables {
    stage = "prod"
  }

  expect_failures = [terraform_data.protected_see_readme_destroy]
}

run "another_project_is_refused" {
  command   = plan
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  variables {
    project = "orders"
  }

  expect_failures = [terraform_data.protected_see_readme_destroy]
}

run "another_region_is_refused" {
  command   = plan
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  override_data {
    target = data.aws_region.current
    values = { id = "eu-west-1" }
  }

  expect_failures = [terraform_data.protected_see_readme_destroy]
}

run "another_account_is_refused" {
  command   = plan
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "210987654321" }
  }

  expect_failures = [terraform_data.protected_see_readme_destroy]
}

# All other settings of a protected stack can change.
run "changed_settings_are_accepted" {
  command   = plan
  state_key = "protected"

  module {
    source = "./modules/pipeline"
  }

  variables {
    object_prefix  = "orders/"
    ingest_enabled = false
  }
}

# The end of the test deletes the stack. That is possible only if the guard is no longer in the configuration.
run "protected_stack_is_removed" {
  state_key = "protected"

  module {
    source = "./tests/empty-root"
  }
}

run "unprotected_stack_has_no_guard" {
  state_key = "unprotected"

  module {
    source = "./modules/pipeline"
  }

  variables {
    deletion_protection = false
  }

  assert {
    condition     = length(terraform_data.protected_see_readme_destroy) == 0
    error_message = "One terraform destroy cannot delete the stack."
  }
}
