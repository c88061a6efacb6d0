variable "name_prefix" {
  description = "First part of each name, and the dashboard's name."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region that the dashboard reads metrics from."
  type        = string
  nullable    = false
}

variable "queue_name" {
  description = "Queue that producers send to."
  type        = string
  nullable    = false
}

variable "dlq_name" {
  description = "Its dead-letter queue."
  type        = string
  nullable    = false
}

variable "on_failure_queue_name" {
  description = "Queue that names the stream records that were given up."
  type        = string
  nullable    = false
}

variable "queue_retention_seconds" {
  description = "Retention of the queue; the alarm on its oldest message is at half of it."
  type        = number
  nullable    = false
}

variable "dlq_retention_seconds" {
  description = "Retention of the dead-letter queue; the alarm on its oldest message is at half of it."
  type        = number
  nullable    = false
}

variable "on_failure_retention_seconds" {
  description = "Retention of the on-failure queue; the alarm on its oldest message is at half of it."
  type        = number
  nullable    = false
}

variable "table_name" {
  description = "Table of claims."
  type        = string
  nullable    = false
}

variable "ingest_function_name" {
  description = "Name of `ingest-fn`, which is the dimension of its metrics."
  type        = string
  nullable    = false
}

variable "archive_function_name" {
  description = "Name of `archive-fn`, which is the dimension of its metrics."
  type        = string
  nullable    = false
}

variable "ingest_log_group" {
  description = "Log group of `ingest-fn`."
  type        = string
  nullable    = false
}

variable "archive_log_group" {
  description = "Log group of `archive-fn`."
  type        = string
  nullable    = false
}

variable "alarm_email" {
  description = "Address that alarms are sent to; empty is no topic."
  type        = string
  nullable    = false
}

variable "saved_queries" {
  description = "Queries to save in CloudWatch Logs Insights, by name, over both functions' log groups."
  type        = map(string)
  nullable    = false
}
