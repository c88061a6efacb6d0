# Who may send to the queue, apart from the account's own roles. A service sends on behalf of anyone who configures it, so each statement
# names the resources that may be the source.
data "aws_iam_policy_document" "senders" {
  dynamic "statement" {
    for_each = length(var.senders.sns_topic_arns) > 0 ? ["sns.amazonaws.com"] : []

    content {
      sid       = "AllowSnsTopics"
      actions   = ["sqs:SendMessage"]
      resources = [local.arns.queue]

      principals {
        type        = "Service"
        identifiers = [statement.value]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = var.senders.sns_topic_arns
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.senders.event_rule_arns) > 0 ? ["events.amazonaws.com"] : []

    content {
      sid       = "AllowEventRules"
      actions   = ["sqs:SendMessage"]
      resources = [local.arns.queue]

      principals {
        type        = "Service"
        identifiers = [statement.value]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = var.senders.event_rule_arns
      }
    }
  }

  # The ARN of a bucket does not contain an account. Someone else may own a bucket of the same name once this one is deleted.
  dynamic "statement" {
    for_each = length(var.senders.s3_bucket_arns) > 0 ? ["s3.amazonaws.com"] : []

    content {
      sid       = "AllowBuckets"
      actions   = ["sqs:SendMessage"]
      resources = [local.arns.queue]

      principals {
        type        = "Service"
        identifiers = [statement.value]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = var.senders.s3_bucket_arns
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [var.account_id]
      }
    }
  }

  # The other account decides which of its roles may send, by a policy such as the output producer_policy_json of the module pipeline.
  dynamic "statement" {
    for_each = length(var.senders.account_ids) > 0 ? [1] : []

    content {
      sid       = "AllowAccounts"
      actions   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
      resources = [local.arns.queue]

      principals {
        type        = "AWS"
        identifiers = [for id in var.senders.account_ids : "arn:${data.aws_partition.current.partition}:iam::${id}:root"]
      }
    }
  }
}
