data "aws_caller_identity" "producers" {
  provider = aws.producers
}

module "pipeline" {
  # In a repository of your own:
  # source = "git::https://github.com/OWNER/REPOSITORY.git//terraform/modules/pipeline?ref=vX.Y.Z"
  source = "../../modules/pipeline"

  project             = "shared"
  ingest              = { zip = var.ingest_zip }
  archive             = { zip = var.archive_zip }
  deletion_protection = var.deletion_protection

  # The queue's policy lets the other account send. Which of its roles may send is decided there, by the policy below.
  senders = { account_ids = [data.aws_caller_identity.producers.account_id] }
}

data "aws_iam_policy_document" "assumed_by_producers" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [var.producers_service]
    }
  }
}

resource "aws_iam_role" "producers" {
  provider = aws.producers

  name               = "send-to-shared-pipeline"
  assume_role_policy = data.aws_iam_policy_document.assumed_by_producers.json
}

resource "aws_iam_role_policy" "producers" {
  provider = aws.producers

  name   = "send-events"
  role   = aws_iam_role.producers.id
  policy = module.pipeline.producer_policy_json
}
