# Plans for existing stacks, in which nothing that holds data is replaced. For the stack of the former root module,
# scripts/terraform-plans.py checks this, because a test itself cannot read planned actions.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "former_root_is_deployed" {
  state_key = "existing"

  module {
    source = "./tests/former-root"
  }
}

# The tests deploy nothing, so any file can serve as a zip.
run "existing_stack_moves_into_the_module" {
  command   = plan
  state_key = "existing"

  variables {
    ingest  = { zip = "versions.tf" }
    archive = { zip = "versions.tf" }
  }
}

run "stack_with_a_dependency_is_deployed" {
  state_key = "dependent"

  module {
    source = "./tests/dependent-root"
  }

  variables {
    version_of_network = 1
  }
}

# A pending change of a dependency delays the data sources of the module, so account and region are unknown in the plan.
run "changed_dependency_keeps_the_bucket" {
  command   = plan
  state_key = "dependent"

  module {
    source = "./tests/dependent-root"
  }

  variables {
    version_of_network = 2
  }

  assert {
    condition     = output.names == run.stack_with_a_dependency_is_deployed.names
    error_message = "The plan changes a name, so it replaces a resource that holds data."
  }
}

# The end of the test deletes the stack. That is possible only if its guard is no longer in the configuration.
run "stack_with_a_dependency_is_removed" {
  state_key = "dependent"

  module {
    source = "./tests/empty-root"
  }
}
