# Each description says what happened, what to do, and which section of docs/runbook.md has the commands. CloudWatch shows a description
# as one text. It is a list of sentences here only to keep the lines short.
locals {
  alarm_descriptions = merge(
    {
      dlq-not-empty = [
        "Messages failed each of their receives and are now in the dead-letter queue.",
        "Find the reason in the log of ingest-fn, fix the cause, then redrive the messages.",
        "Redriving does not help messages that were logged as rejected: have the producer fix and resend them.",
        "Commands: docs/runbook.md, \"Dead letters\".",
      ]
      dlq-message-age = [
        "A dead letter has waited for half of the shortest time for which the dead-letter queue keeps one.",
        "SQS deletes it when its retention, which counts from its first enqueue, ends.",
        "Today, fix the cause and redrive the messages, or have the producer resend them.",
        "Commands: docs/runbook.md, \"Dead letters\".",
      ]
      on-failure-not-empty = [
        "The stream mapping discarded records that kept failing.",
        "Their events are in the table but not in the data lake, and the table keeps them only until their claims' ttl.",
        "Fix what makes archive-fn fail, then write the missing objects with replay.",
        "Keep the messages of the on-failure queue until replay finds nothing missing.",
        "Commands: docs/runbook.md, \"Discarded records\".",
      ]
      on-failure-message-age = [
        "A message that names discarded stream records has used half of the on-failure queue's retention.",
        "The claims of these records expire when the dedup window ends. Write the missing objects with replay today.",
        "Commands: docs/runbook.md, \"Discarded records\".",
      ]
      queue-message-age = [
        "A message has waited in the queue for half of its retention. SQS deletes messages when the retention ends.",
        "If a message is first received less than max_receive_count visibility timeouts before that end, and keeps failing,",
        "SQS deletes it without moving it to the dead-letter queue.",
        "If the log of ingest-fn has lines with outcome failed, fix the DynamoDB error that they contain.",
        "If the log has no new lines, the queue mapping is disabled or cannot invoke the function.",
        "If messages are processed without failures, raise ingest_maximum_concurrency.",
        "If the fix takes longer than the retention, raise queue_retention_seconds.",
        "Commands: docs/runbook.md, \"A queue that does not drain\".",
      ]
      stream-iterator-age = [
        "archive-fn is more than an hour behind the table's stream, which keeps records for only 24 hours.",
        "If the log of archive-fn has lines with outcome failed, fix the S3 or KMS error in them. Lambda retries the records.",
        "If the error is SlowDown, S3 limits the writes per second, and only less traffic helps.",
        "If there are no such lines, raise archive_parallelization_factor.",
        "Commands: docs/runbook.md, \"An archive that is behind\".",
      ]
      archive-lag = [
        "For 15 minutes, claims have taken more than five minutes to become objects in the data lake.",
        "If the log of archive-fn has lines with outcome failed, fix the S3 or KMS error in them. Lambda retries the records.",
        "If the error is SlowDown, S3 limits the writes per second, and only less traffic helps.",
        "If there are no such lines, raise archive_parallelization_factor.",
        "Commands: docs/runbook.md, \"An archive that is behind\".",
      ]
      conflicts = [
        "Messages have the same event id but different bodies: a producer reuses event ids.",
        "The first body is in the data lake. Depending on on_conflict, the other body was dropped or goes to the dead-letter queue.",
        "Find the event id and both digests in the log of ingest-fn, and have the producer fixed.",
        "Commands: docs/runbook.md, \"Conflicts\".",
      ]
      quarantined-records = [
        "archive-fn quarantined stream records: it stored each whole record under _unusable/ in the data lake.",
        "The field error in its log says what is wrong.",
        "If it names a panic, the item in the table is valid and may be the only copy of the event: do not delete it.",
        "Deploy a fix of archive-fn, then run ops replay --write.",
        "If it names anything else, the item is not a valid claim: someone edited the table by hand, or a release is broken.",
        "Fix or delete the item, replace the warm sandboxes of ingest-fn, then have the producer resend the event.",
        "Commands: docs/runbook.md, \"Quarantined records\".",
      ]
    },
    {
      for role in keys(local.functions) : "${role}-errors" => [
        "Invocations of ${role} failed as a whole. Single bad messages or records never cause this.",
        "The function crashed, timed out, or has a bad configuration: read the ERROR lines in its log.",
        "If a release caused the failures, roll it back. If the function does harm, disable its mapping.",
        "Commands: docs/runbook.md, \"A function that fails\".",
      ]
    },
    {
      for role in keys(local.functions) : "${role}-throttles" => [
        "Lambda throttled ${role} in three successive periods of five minutes: the account has no concurrency left for it.",
        "Raise the account's concurrency limit, or find the function that uses it up. Meanwhile, Lambda retries the batches.",
        "See docs/runbook.md, \"Alarms\".",
      ]
    },
  )
}
