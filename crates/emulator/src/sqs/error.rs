//! Errors that SQS answers.

/// An error that SQS answers to a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SqsError {
    /// The error code of the API reference.
    pub code: &'static str,
    /// The message for people.
    pub message: String,
}

pub(crate) fn invalid(code: &'static str, message: &str) -> SqsError {
    SqsError { code, message: message.to_owned() }
}
