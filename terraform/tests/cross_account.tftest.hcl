# A plan of the example with two accounts. scripts/terraform-plans.py checks the queue's policy, which a test of the example cannot read.
# The policies come from the real provider, because a mocked policy document is empty. It only plans, so it needs no network.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

provider "aws" {
  alias                       = "producers"
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true

  # Shows which provider creates a resource.
  default_tags {
    tags = { Account = "producers" }
  }
}

# The tests deploy nothing, so any file can serve as a zip.
variables {
  ingest_zip                    = "versions.tf"
  archive_zip                   = "versions.tf"
  producers_deployment_role_arn = "arn:aws:iam::210987654321:role/deployment"
}

run "role_of_another_account_may_send" {
  command = plan

  module {
    source = "./examples/cross-account-producer"
  }

  override_data {
    target = data.aws_caller_identity.producers
    values = { account_id = "210987654321" }
  }

  override_data {
    target = module.pipeline.data.aws_caller_identity.current
    values = { account_id = "123456789012" }
  }

  assert {
    condition = jsondecode(aws_iam_role.producers.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
    error_message = "A principal other than the producers' service may assume their role."
  }

  assert {
    condition     = aws_iam_role.producers.tags_all == tomap({ Account = "producers" })
    error_message = "The role is not in the producers' account."
  }
}
