variable "name_prefix" {
  description = "First part of each queue's name."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Id of the account in which the queues are created. It is part of the queues' ARNs."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region in which the queues are created. It is part of the queues' ARNs."
  type        = string
  nullable    = false
}

variable "max_message_bytes" {
  description = "Size of the largest message that the queue accepts."
  type        = number
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

variable "kms_key_arn" {
  description = "ARN of a customer-managed KMS key for the three queues. If empty, SQS encrypts them with a key of its own."
  type        = string
  nullable    = false
}

variable "senders" {
  description = "SNS topics, EventBridge rules, S3 buckets and other accounts that may send to the queue. The module `pipeline` describes the attributes."
  nullable    = false

  type = object({
    sns_topic_arns  = list(string)
    event_rule_arns = list(string)
    s3_bucket_arns  = list(string)
    account_ids     = list(string)
  })
}

variable "queue_policy_documents" {
  description = "JSON policy documents. Terraform adds their statements to the queue's policy."
  type        = list(string)
  nullable    = false
}
