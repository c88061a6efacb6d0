//! The event that Lambda hands over.

use serde::Deserialize;
use serde_json::value::RawValue;

/// `{"Records": [..]}` with each record as the text that it came as. Whoever takes a record decodes it by itself: in a
/// typed batch, one record that does not fit would fail them all.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// In the order of the batch.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}
