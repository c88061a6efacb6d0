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
      dlq-growth = [
        "The number of dead letters grew: messages failed each of their receives.",
        "This alarm fires again at each growth, also while dlq-not-empty is already in ALARM. The reason may be a new one.",
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
        "Replay does not find claims that are no longer in the table.",
        "If it listed gone claims, keep the messages until the producers have sent these events again.",
        "Commands: docs/runbook.md, \"Discarded records\".",
      ]
      on-failure-growth = [
        "The stream mapping discarded more records. This alarm fires again at each growth of the on-failure queue,",
        "also while on-failure-not-empty is already in ALARM. If a replay has run before, run it again.",
        "Commands: docs/runbook.md, \"Discarded records\".",
      ]
      on-failure-message-age = [
        "A message that names discarded stream records has used half of the on-failure queue's retention.",
        "The claims of these records expire when the dedup window ends. Write the missing objects with replay today.",
        "Commands: docs/runbook.md, \"Discarded records\".",
      ]
      dropped-records = [
        "Lambda discarded stream records and could not send a message about them to the on-failure queue: nothing names them.",
        "Their events are in the table but not in the data lake.",
        "Fix the permission of archive-fn to send to the on-failure queue, then write the missing objects with replay.",
        "Commands: docs/runbook.md, \"Records that nothing names\".",
      ]
      destination-failures = [
        "Lambda could not send a message to the on-failure queue.",
        "The stream records of that message are discarded, and nothing names them.",
        "Fix the permission of archive-fn to send to the on-failure queue, then write the missing objects with replay.",
        "Commands: docs/runbook.md, \"Records that nothing names\".",
      ]
      queue-message-age = [
        "A message has waited in the queue for ${local.queue_age_seconds} seconds. SQS deletes messages when the retention ends.",
        "If a message is first received less than max_receive_count visibility timeouts before that end, and keeps failing,",
        "SQS deletes it without moving it to the dead-letter queue.",
        "If the log of ingest-fn has lines with outcome failed, fix the DynamoDB error that they contain.",
        "If the log has no new lines, the queue mapping is disabled or cannot invoke the function.",
        "If messages are processed without failures, raise ingest.maximum_concurrency.",
        "If the fix takes longer than the retention, raise retention.queue_seconds.",
        "Commands: docs/runbook.md, \"A queue that does not drain\".",
      ]
      ingest-fn-no-progress = [
        "For ${var.alarms.no_progress_seconds} seconds, messages were sent to the queue, and none was deleted.",
        "The queue mapping is disabled or denied, ingest-fn fails at every message, or all messages are rejected.",
        "SQS deletes messages when the retention of the queue ends.",
        "Commands: docs/runbook.md, \"A queue that does not drain\".",
      ]
      archive-fn-no-progress = [
        "Events were won, and for ${var.alarms.no_progress_seconds} seconds archive-fn has not completed a single record.",
        "The stream mapping is disabled or denied, or archive-fn fails at every record.",
        "The stream keeps records for 24 hours. Claims that leave it are not in the data lake, and nothing names them.",
        "Commands: docs/runbook.md, \"An archive that has stopped\".",
      ]
      nothing-written = [
        "For ${var.alarms.no_progress_seconds} seconds, events were won, and archive-fn wrote neither a pack nor another object.",
        "If archive-fn-no-progress is in ALARM too, the mapping may drop packs, or archive-fn may be too old for them.",
        "Otherwise, archive-fn only retries or quarantines records.",
        "Commands: docs/runbook.md, \"An archive that has stopped\".",
      ]
      stream-iterator-age = [
        "archive-fn is more than ${var.alarms.iterator_age_seconds} seconds behind the table's stream.",
        "The stream keeps records for only 24 hours.",
        "If the log of archive-fn has lines with outcome failed, fix the S3 or KMS error in them. Lambda retries the records.",
        "If the error is SlowDown, S3 limits the writes per second, and only less traffic helps.",
        "If there are no such lines, raise archive.parallelization_factor.",
        "Commands: docs/runbook.md, \"An archive that is behind\".",
      ]
      archive-lag = [
        "In three successive periods, claims took more than ${var.alarms.archive_lag_seconds} seconds to become objects in the data lake.",
        "If the log of archive-fn has lines with outcome failed, fix the S3 or KMS error in them. Lambda retries the records.",
        "If the error is SlowDown, S3 limits the writes per second, and only less traffic helps.",
        "If there are no such lines, raise archive.parallelization_factor.",
        "Commands: docs/runbook.md, \"An archive that is behind\".",
      ]
      failed-records = [
        "In three successive periods, stream records failed. A failed record blocks its shard, and Lambda retries it.",
        "Lambda discards records that reach the mapping's maximum age.",
        "Fix the S3 or KMS error in the log of archive-fn before that.",
        "Commands: docs/runbook.md, \"An archive that is behind\".",
      ]
      failed-messages = [
        "In two successive periods, ingest-fn could not claim events. It retries each message at its next receive,",
        "and a message that fails max_receive_count times becomes a dead letter.",
        "Fix the DynamoDB error in the log of ingest-fn. If the error is a throttle, see also table-write-throttles.",
        "Commands: docs/runbook.md, \"Failed messages\".",
      ]
      rejected-messages = [
        "Messages are not valid events. Each one becomes a dead letter, and no retry or redrive helps.",
        "Find the reason in the log of ingest-fn, and have the producer fix and resend the messages.",
        "Commands: docs/runbook.md, \"Rejected messages\".",
      ]
      table-write-throttles = [
        "In two successive periods, DynamoDB throttled writes to the table. A throttled claim is retried,",
        "and a message that is throttled at each receive becomes a dead letter.",
        "Commands: docs/runbook.md, \"Throttled writes\".",
      ]
      conflicts = [
        "Messages have the same event id but different bodies: a producer reuses event ids, or changes members of a duplicate.",
        "The first body is in the data lake. Depending on on_conflict, the other body was dropped or goes to the dead-letter queue.",
        "Find the event id and what differs in the log of ingest-fn. Have the producer fixed, or add members that do not matter to",
        "conflict_ignore.",
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
        "Lambda throttled ${role} in three successive periods: the account has no concurrency left for it.",
        "Raise the account's concurrency limit, or find the function that uses it up. Meanwhile, Lambda retries the batches.",
        "See docs/runbook.md, \"A throttled function\".",
      ]
    },
  )
}
