# Saved queries in CloudWatch Logs Insights, over the logs of both functions.
resource "aws_cloudwatch_query_definition" "saved" {
  for_each = var.saved_queries

  name            = "${var.name_prefix}/${each.key}"
  log_group_names = [var.ingest_log_group, var.archive_log_group]
  query_string    = each.value
}
