terraform {
  # Terraform 1.10 introduced the S3 backend's own lock file; in 1.11 it became stable.
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # Bucket and region differ between accounts. scripts/bootstrap-backend.sh creates the bucket and prints both settings.
  backend "s3" {
    key          = "dynamo-locking/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = var.project
      Environment = var.stage
      ManagedBy   = "terraform"
      Application = "ingestion"
    }
  }
}
