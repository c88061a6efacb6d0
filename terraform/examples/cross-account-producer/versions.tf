terraform {
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# The account of the pipeline.
provider "aws" {
  region = var.region
}

# The account of the producers. Terraform assumes a role there with the credentials of the first account.
provider "aws" {
  alias  = "producers"
  region = var.region

  assume_role {
    role_arn = var.producers_deployment_role_arn
  }
}
