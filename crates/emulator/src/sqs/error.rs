//! The refusal of a request.

/// A request that SQS refuses: its code and message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SqsError {
    /// As in the API reference.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

pub(crate) fn invalid(code: &'static str, message: &str) -> SqsError {
    SqsError { code, message: message.to_owned() }
}
