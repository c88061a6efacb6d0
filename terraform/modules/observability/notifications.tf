# The receivers of every alarm: the caller's topics, and a topic of this module if alarms.email is set.
locals {
  alarm_emails     = toset(compact([var.alarms.email]))
  alarm_topic_arns = concat([for topic in aws_sns_topic.alarms : topic.arn], var.alarms.topic_arns)
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:CloudWatch may not use the AWS-managed key, so alarms would not arrive; messages contain only texts and numbers

  for_each = local.alarm_emails

  name = "${var.name_prefix}-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = local.alarm_emails

  topic_arn = aws_sns_topic.alarms[each.key].arn
  protocol  = "email"
  endpoint  = each.key
}
