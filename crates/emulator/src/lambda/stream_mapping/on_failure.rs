//! The message that names discarded records in the on-failure queue.

use std::time::SystemTime;

use lambda_support::logs::rfc3339;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::lambda::stream_mapping::records::Record;

/// Records that the mapping discards together.
pub(crate) struct Discarded<'a> {
    pub(crate) shard: &'a str,
    pub(crate) records: &'a [Record],
    /// `RetryAttemptsExhausted` or `RecordAgeExceeded`.
    pub(crate) condition: &'a str,
    /// Number of failed tries.
    pub(crate) tries: u32,
}

impl Discarded<'_> {
    /// Returns the message, or `None` if there are no records. The message has the format that Lambda's developer guide
    /// shows for a failed function. It contains only metadata, so an operator must read the content of the records from
    /// the stream or, for claims, from the table.
    pub(crate) fn message(&self, function_arn: &str, stream_arn: &str, now: SystemTime) -> Option<Value> {
        let first = self.records.first()?;
        let last = self.records.last()?;
        Some(json!({
            "requestContext": {
                // The request id of the last invocation is not known here. This substitute is the same in every run.
                "requestId": uuid::Builder::from_md5_bytes(Md5::digest(&first.sequence_number).into())
                    .into_uuid()
                    .to_string(),
                "functionArn": function_arn,
                "condition": self.condition,
                "approximateInvokeCount": self.tries,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0",
            "timestamp": rfc3339(now),
            "DDBStreamBatchInfo": {
                "shardId": self.shard,
                "startSequenceNumber": first.sequence_number,
                "endSequenceNumber": last.sequence_number,
                "approximateArrivalOfFirstRecord": rfc3339(first.created_at),
                "approximateArrivalOfLastRecord": rfc3339(last.created_at),
                "batchSize": self.records.len(),
                "streamArn": stream_arn,
            },
        }))
    }
}
