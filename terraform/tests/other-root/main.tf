# A root module of someone else, which calls the module pipeline with its own provider.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

# A dependency that changes in each plan.
resource "terraform_data" "network" {
  triggers_replace = timestamp()
}

module "one" {
  source    = "../../modules/pipeline"
  providers = { aws = aws }

  project = "one"
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

module "each" {
  for_each = toset(["orders", "clicks"])

  source     = "../../modules/pipeline"
  providers  = { aws = aws }
  depends_on = [terraform_data.network]

  project = each.key
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}
