# A root module without the stack. Terraform can delete a protected stack only if its configuration is gone, as at the end of a test.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
