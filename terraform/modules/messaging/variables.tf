variable "name_prefix" {
  description = "First part of each queue's name."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Account that the queues are made in; their ARNs are built from it."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region that the queues are made in; their ARNs are built from it."
  type        = string
  nullable    = false
}

variable "function_timeout_seconds" {
  description = "Timeout of the function that consumes the queue."
  type        = number
  nullable    = false
}

variable "batching_window_seconds" {
  description = "How long Lambda waits for a batch to fill."
  type        = number
  nullable    = false
}

variable "max_receive_count" {
  description = "Receives after which a message becomes a dead letter."
  type        = number
  nullable    = false
}

variable "queue_retention_seconds" {
  description = "How long the queue keeps what nobody received."
  type        = number
  nullable    = false
}

variable "dlq_retention_seconds" {
  description = "How long the dead-letter queue keeps a message, from its first enqueue on."
  type        = number
  nullable    = false
}

variable "on_failure_retention_seconds" {
  description = "How long the on-failure queue keeps a message."
  type        = number
  nullable    = false
}
