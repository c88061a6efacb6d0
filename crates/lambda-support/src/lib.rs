//! Batch handling and process setup for `ingest-fn` and `archive-fn`. This crate does not know about claims.
//!
//! | module | content |
//! | --- | --- |
//! | [`envelope`] | the batch that Lambda delivers, with unparsed records, so that a malformed record fails alone |
//! | [`batch_response`] | the partial batch response, which lists the failed messages or records |
//! | [`deadline`] | a time limit that stops work shortly before Lambda's deadline |
//! | [`panic_guard`] | a guard that turns a panic into an error |
//! | [`https`] | the HTTPS client for the SDK clients |
//! | [`error_chain`](mod@error_chain) | the text of an error and its sources |
//! | [`logs`] | JSON log lines and their destination |
//! | [`metrics`] | the summary line of a batch, from which CloudWatch extracts the metrics |
//! | [`variables`] | environment variables, and errors that name the variable |
//! | [`function`] | the code that starts the process, once per cold start, and the SDK settings |

#![warn(missing_docs)]

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
