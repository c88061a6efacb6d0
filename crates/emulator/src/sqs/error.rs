//! The errors with which SQS answers.

/// An error with which SQS answers a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SqsError {
    /// The error code, as in the API reference.
    pub code: &'static str,
    /// A human-readable description of the error.
    pub message: String,
}

pub(crate) fn invalid(code: &'static str, message: &str) -> SqsError {
    SqsError { code, message: message.to_owned() }
}
