//! Properties of the production code that must hold for every input. Each function takes an input, and panics if a property
//! does not hold for this input. The targets in `targets/` call the functions with inputs that libFuzzer generates.
//! `tests/bounded.rs` calls them with a limited number of inputs, which are the same in every run.
//!
//! The tested JSON parser is in the crate `claim`. It parses everything in one pass with `struson`, without recursion.
//! The expected results come from an independent parser, the module `json`. It lets `serde_json` split one array or
//! object at a time into raw values, and recurses into these. The two parsers are therefore unlikely to make the same
//! mistake.

mod body;
mod differences;
mod json;
mod sqs_envelope;
mod stream_record;
mod variables;

pub use body::body;
pub use differences::differences;
pub use sqs_envelope::sqs_envelope;
pub use stream_record::stream_record;
pub use variables::variables;
