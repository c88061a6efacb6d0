# Refuses a plan that would delete the stack, or that is for another stack than the one in this state. The name is part of Terraform's
# error and leads to the section of the README with the commands that remove a stack.
resource "terraform_data" "protected_see_readme_destroy" {
  count = var.deletion_protection ? 1 : 0

  input = {
    project = var.project
    stage   = var.stage
    account = local.account_id
    region  = local.region
  }

  lifecycle {
    # Also refuses `deletion_protection = false`, because that would delete this resource.
    prevent_destroy = true

    # Keeps the names with which the stack was created. If a caller's depends_on delays the data sources, account and region are unknown
    # in the plan. A replacement would then be planned, and refused, although nothing is wrong.
    ignore_changes = [input]

    postcondition {
      condition     = self.input == { project = var.project, stage = var.stage, account = local.account_id, region = local.region }
      error_message = "This is the state of the stack ${self.input.project}-${self.input.stage} in account ${self.input.account} and region ${self.input.region}, but the plan is for ${var.project}-${var.stage} in account ${local.account_id} and region ${local.region}: it would delete the stack in this state, with its data, and create the other one. Use the variable file, the backend key and the credentials of one stack."
    }
  }
}
