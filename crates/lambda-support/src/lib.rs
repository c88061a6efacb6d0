//! What `ingest-fn` and `archive-fn` both do with a batch, and with the process that they run in. What a claim is, and
//! what is done with one, is not here.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`envelope`] | the event as raw records, so that one that does not fit costs itself alone |
//! | [`batch_response`] | the answer: which items failed |
//! | [`deadline`] | stopping in time |
//! | [`panic_guard`] | a panic that costs one record |
//! | [`https`] | the HTTPS client of the SDK clients |
//! | [`error_chain`](mod@error_chain) | an error and its sources in one line |
//! | [`logs`] | JSON lines, and where they go |
//! | [`metrics`] | a batch's summary line, which is its CloudWatch metrics too |
//! | [`variables`] | variables, with errors that name them |
//! | [`function`] | the start of the process, once per cold start |

pub mod batch_response;
pub mod deadline;
pub mod envelope;
pub mod error_chain;
pub mod function;
pub mod https;
pub mod logs;
pub mod metrics;
pub mod panic_guard;
pub mod variables;

pub use batch_response::BatchResponse;
pub use deadline::Deadline;
pub use envelope::Envelope;
pub use error_chain::error_chain;
pub use logs::LogWriter;
pub use metrics::Summary;
pub use variables::{VariableError, Variables};
