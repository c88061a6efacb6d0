//! The input and output of the bare functions. These functions have no claims, conditions, logs, metrics or
//! deadlines. All that remains is the Runtime API, the SDK's client and its requests.

use serde::Deserialize;
use serde_json::{Value, json};

/// The batch `{"Records":[{"messageId":..,"body":..}]}`. Other fields are ignored.
#[derive(Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub records: Vec<Message>,
}

#[derive(Deserialize)]
pub struct Message {
    /// The message id. The function uses it as the item's key, or as part of the object's key.
    #[serde(rename = "messageId")]
    pub message_id: String,
    /// The message body. The function stores it unchanged.
    pub body: String,
}

/// Returns the response for a batch in which nothing failed.
#[must_use]
pub fn all_done() -> Value {
    json!({ "batchItemFailures": [] })
}
