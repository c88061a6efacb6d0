//! The batch that Lambda passes to a function.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A batch: `{"Records": [..]}`, with each record as unparsed JSON. Both functions decode the records one by one, so a
/// malformed record fails alone.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// Records in the order of the batch.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}
