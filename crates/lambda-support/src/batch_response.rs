//! The response of both functions to their event source mapping, which must have `ReportBatchItemFailures` enabled.

use serde::Serialize;

/// The partial batch response: the items that failed. The queue mapping retries only these. The stream mapping retries all
/// records from the first failed one.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Failed items, in any order.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One failed item.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Message id of an SQS message, or sequence number of a stream record.
    pub item_identifier: String,
}

impl BatchResponse {
    /// Reports an item as failed. An empty identifier makes Lambda retry the whole batch.
    pub fn add_failure(&mut self, item_identifier: impl Into<String>) {
        self.batch_item_failures.push(BatchItemFailure { item_identifier: item_identifier.into() });
    }
}
