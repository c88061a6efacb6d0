//! Properties that hold for every input. Each function takes an input and panics if a property does not hold for it.
//! libFuzzer calls the functions from `targets/` with inputs that it finds, and `tests/bounded.rs` calls them with a
//! bounded number of seeded inputs.
//!
//! The expected results come from an independent parser (`json`). It parses tokens with `serde_json` and the structure
//! recursively. The crate `claim` parses both in one pass with `struson`, without recursion.

mod body;
mod json;
mod sqs_envelope;
mod stream_record;
mod variables;

pub use body::body;
pub use sqs_envelope::sqs_envelope;
pub use stream_record::stream_record;
pub use variables::variables;
