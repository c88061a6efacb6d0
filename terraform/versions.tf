terraform {
  # 1.10 brought the S3 backend's own lock file, 1.11 made it stable.
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Bucket and region differ between accounts: scripts/bootstrap-backend.sh makes the bucket and prints both.
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
