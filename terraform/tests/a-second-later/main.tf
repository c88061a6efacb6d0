# Waits until Terraform's timestamps, which have whole seconds, have changed.
resource "terraform_data" "wait" {
  provisioner "local-exec" {
    command = "sleep 1"
  }
}
