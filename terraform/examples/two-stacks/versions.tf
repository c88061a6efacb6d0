terraform {
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# Both stacks take their region and their tags from this provider.
provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Team      = "ingestion"
      ManagedBy = "terraform"
    }
  }
}
