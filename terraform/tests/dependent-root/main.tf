# A root module whose stack depends on a resource that changes from one plan to the next.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "version_of_network" {
  type = number
}

resource "terraform_data" "network" {
  triggers_replace = var.version_of_network
}

module "pipeline" {
  source     = "../../modules/pipeline"
  depends_on = [terraform_data.network]

  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

output "names" {
  value = [module.pipeline.s3_bucket_name, module.pipeline.dynamodb_table_name, module.pipeline.sqs_queue_name]
}
