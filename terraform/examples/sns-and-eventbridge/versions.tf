terraform {
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# The module takes its region and its tags from this provider.
provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = "feeds"
      Environment = var.stage
      ManagedBy   = "terraform"
    }
  }
}
