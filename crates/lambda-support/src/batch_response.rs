//! The response of both functions to their event source mapping, which must have `ReportBatchItemFailures` enabled.

use serde::Serialize;

/// The partial batch response: the messages or stream records that failed. SQS redelivers only the failed messages. The
/// stream mapping retries the batch, starting at the failed record with the lowest sequence number.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Failed messages or records, in any order.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One failed message or record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Message id of an SQS message, or sequence number of a stream record.
    pub item_identifier: String,
}

impl BatchResponse {
    /// Reports a message or record as failed. An empty identifier makes Lambda retry the whole batch.
    pub fn add_failure(&mut self, item_identifier: impl Into<String>) {
        self.batch_item_failures.push(BatchItemFailure { item_identifier: item_identifier.into() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn response_lists_failures_as_lambda_expects() {
        let mut response = BatchResponse::default();
        assert_eq!(serde_json::to_value(&response).unwrap(), json!({ "batchItemFailures": [] }));
        response.add_failure("a");
        response.add_failure("b");
        let failures = json!([{ "itemIdentifier": "a" }, { "itemIdentifier": "b" }]);
        assert_eq!(serde_json::to_value(&response).unwrap(), json!({ "batchItemFailures": failures }));
    }
}
