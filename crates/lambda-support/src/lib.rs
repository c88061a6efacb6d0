//! What `ingest-fn` and `archive-fn` both do with a batch, and with the process that they run in. What a claim is, and
//! what is done with one, is not here.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`envelope`] | the event as raw records, so that one that does not fit costs itself alone |
//! | [`deadline`] | stopping in time |
//! | [`panic_guard`] | a panic that costs one record |
//! | [`https`] | the HTTPS client of the SDK clients |
//! | [`logs`] | JSON lines, and where they go |
//! | [`metrics`] | a batch's summary line, which is its CloudWatch metrics too |
//! | [`variables`] | variables, with errors that name them |
//! | [`function`] | the start of the process, once per cold start |

pub mod deadline;
pub mod envelope;
pub mod function;
pub mod https;
pub mod logs;
pub mod metrics;
pub mod panic_guard;
pub mod variables;

pub use deadline::Deadline;
pub use envelope::Envelope;
pub use logs::LogWriter;
pub use metrics::Summary;
pub use variables::{VariableError, Variables};

use std::error::Error;
use std::fmt::Write as _;

/// An error and all its sources in one line, as the logs show it: `what was tried: why: why`.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some libraries repeat their source in their own text.
        let cause_text = cause.to_string();
        if !chain.ends_with(&cause_text) {
            write!(chain, ": {cause_text}").expect("a string can always be written to");
        }
        source = cause.source();
    }
    chain
}
