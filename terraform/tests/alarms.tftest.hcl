# Tests of the alarms of the whole configuration, with mocks. scripts/check-alarms reads the alarms from the states.

mock_provider "aws" {
  source = "./tests/mocks"
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "main.tf" }

  # The end of the test deletes the stack.
  deletion_protection = false
}

run "stack_with_default_alarms" {}

run "stack_with_packs" {
  variables {
    lake_layout = "packs"
  }
}
