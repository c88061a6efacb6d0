variable "name_prefix" {
  description = "First part of each queue's name."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Id of the account in which the queues are created. Their ARNs are built from it."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region in which the queues are created. Their ARNs are built from it."
  type        = string
  nullable    = false
}

variable "function_timeout_seconds" {
  description = "Timeout of the function that consumes the queue."
  type        = number
  nullable    = false
}

variable "batching_window_seconds" {
  description = "Maximum time that Lambda waits for a batch to fill."
  type        = number
  nullable    = false
}

variable "max_receive_count" {
  description = "Number of receives after which a message becomes a dead letter."
  type        = number
  nullable    = false
}

variable "queue_retention_seconds" {
  description = "Time after which SQS deletes a message that is still in the queue."
  type        = number
  nullable    = false
}

variable "dlq_retention_seconds" {
  description = "Time after which SQS deletes a dead letter, counted from its first enqueue."
  type        = number
  nullable    = false
}

variable "on_failure_retention_seconds" {
  description = "Time after which SQS deletes a message from the on-failure queue."
  type        = number
  nullable    = false
}
