# One resource of each of the root's former modules, at its address from before the module pipeline existed.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "messaging" {
  source = "./messaging"
}

module "storage" {
  source = "./storage"
}

module "iam" {
  source = "./iam"
}

module "compute" {
  source = "./compute"
}

module "observability" {
  source = "./observability"
}
