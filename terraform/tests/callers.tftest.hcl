# A plan of another root module, which calls the module pipeline. scripts/terraform-plans.py checks the planned resources, because a
# test itself can read only the outputs of a called module.

# The provider of another root module: its own region, and its own tags. It only plans, so it needs no network.
provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true

  default_tags {
    tags = { Team = "ingestion" }
  }
}

run "other_root_chooses_region_and_tags" {
  command = plan

  module {
    source = "./tests/other-root"
  }

  override_data {
    target = module.one.data.aws_caller_identity.current
    values = { account_id = "123456789012" }
  }
}
