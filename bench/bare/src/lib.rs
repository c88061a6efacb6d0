//! What the two bare functions read and answer. No claim, no condition, no log line, no metric, no deadline: what is
//! left is the Runtime API, the SDK's client and its requests.

use serde::Deserialize;
use serde_json::{Value, json};

/// `{"Records":[{"messageId":..,"body":..}]}`, everything else passed over.
#[derive(Deserialize)]
pub struct Batch {
    /// In the order of the batch.
    #[serde(rename = "Records")]
    pub records: Vec<Message>,
}

/// A message.
#[derive(Deserialize)]
pub struct Message {
    /// Becomes the key.
    #[serde(rename = "messageId")]
    pub message_id: String,
    /// Is stored as it is.
    pub body: String,
}

/// The response of a batch of which nothing failed.
#[must_use]
pub fn all_done() -> Value {
    json!({ "batchItemFailures": [] })
}
