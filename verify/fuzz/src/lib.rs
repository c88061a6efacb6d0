//! What holds of any input whatever. Each function takes an input and panics if something does not hold of it. libFuzzer
//! calls them from `targets/` with inputs that it finds, and `tests/bounded.rs` with a bounded number of seeded ones.
//!
//! What is right is said by another parser than the one under test (`json`): `serde_json` reads the tokens, and
//! recursion finds the structure, where `claim` has one pass of `struson` and no recursion.

mod body;
mod json;
mod sqs_envelope;
mod stream_record;
mod variables;

pub use body::body;
pub use sqs_envelope::sqs_envelope;
pub use stream_record::stream_record;
pub use variables::variables;
