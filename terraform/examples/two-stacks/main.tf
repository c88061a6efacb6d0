# The settings in which the two stacks differ. Each key is the first part of the names of a stack's resources.
locals {
  stacks = {
    orders = { dedup_key = "/order/id", maximum_concurrency = 20 }
    clicks = { dedup_key = "/click_id", maximum_concurrency = 5 }
  }
}

module "pipeline" {
  for_each = local.stacks

  # In a repository of your own:
  # source = "git::https://github.com/OWNER/REPOSITORY.git//terraform/modules/pipeline?ref=vX.Y.Z"
  source = "../../modules/pipeline"

  project   = each.key
  dedup_key = each.value.dedup_key

  ingest = {
    zip                 = var.ingest_zip
    maximum_concurrency = each.value.maximum_concurrency
  }

  archive = { zip = var.archive_zip }

  deletion_protection = try(each.value.deletion_protection, var.deletion_protection)
  saved_queries       = var.saved_queries
}
