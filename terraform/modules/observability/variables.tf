variable "name_prefix" {
  description = "First part of the name of each alarm, topic, saved query and dashboard."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region from which the dashboard reads metrics."
  type        = string
  nullable    = false
}

variable "queue_name" {
  description = "Name of the queue that producers send to."
  type        = string
  nullable    = false
}

variable "dlq_name" {
  description = "Name of the dead-letter queue."
  type        = string
  nullable    = false
}

variable "on_failure_queue_name" {
  description = "Name of the on-failure queue. Its messages name the stream records that the stream mapping discarded."
  type        = string
  nullable    = false
}

variable "queue_retention_seconds" {
  description = "Retention of the queue. The alarm `queue-message-age` fires while there is still time for `max_receive_count` receives."
  type        = number
  nullable    = false
}

variable "max_receive_count" {
  description = "Number of receives after which a message becomes a dead letter."
  type        = number
  nullable    = false
}

variable "visibility_timeout_seconds" {
  description = "Visibility timeout of the queue: the time between two receives of a message that keeps failing."
  type        = number
  nullable    = false
}

variable "dlq_retention_seconds" {
  description = "Retention of the dead-letter queue, counted from a message's first enqueue. An alarm fires when the oldest dead letter has been in the dead-letter queue for half of (`dlq_retention_seconds` - `queue_retention_seconds`)."
  type        = number
  nullable    = false
}

variable "on_failure_retention_seconds" {
  description = "Retention of the on-failure queue. An alarm fires when the oldest message has waited for half of this time."
  type        = number
  nullable    = false
}

variable "table_name" {
  description = "Name of the table of claims."
  type        = string
  nullable    = false
}

variable "ingest_function_name" {
  description = "Name of `ingest-fn`, for the dimension `FunctionName` of its metrics."
  type        = string
  nullable    = false
}

variable "archive_function_name" {
  description = "Name of `archive-fn`, for the dimension `FunctionName` of its metrics."
  type        = string
  nullable    = false
}

variable "archive_mapping_uuid" {
  description = "UUID of the stream mapping, for the dimension `EventSourceMappingUUID` of the mapping's metrics."
  type        = string
  nullable    = false
}

variable "ingest_log_group" {
  description = "Name of the log group of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "archive_log_group" {
  description = "Name of the log group of `archive-fn`."
  type        = string
  nullable    = false
}

variable "lake_layout" {
  description = "Layout of the data lake for new claims: `objects` or `packs`. With `packs`, there is one more alarm."
  type        = string
  nullable    = false
}

variable "alarms" {
  description = "Receivers, periods and thresholds of the alarms. The module `pipeline` describes and validates each attribute."
  type = object({
    email                = string
    topic_arns           = list(string)
    period_seconds       = number
    no_progress_seconds  = number
    queue_age_seconds    = number
    iterator_age_seconds = number
    archive_lag_seconds  = number
    conflicts            = number
    rejected_messages    = number
    failed_messages      = number
    failed_records       = number
    throttled_writes     = number
  })
  nullable = false
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights; each key of the map is a query's name. Each query reads the log groups of both functions."
  type        = map(string)
  nullable    = false
}
