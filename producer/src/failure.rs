//! Errors that end a command without a verdict.

/// The reason why a command ended without a verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, a file or the Terraform state cannot be used. Nothing was sent.
    #[error(transparent)]
    Unusable(anyhow::Error),
    /// The stack cannot be reached, the embedded pipeline failed, or the report cannot be written.
    #[error(transparent)]
    Unreachable(anyhow::Error),
    /// The user pressed Ctrl-C before anything was sent, or pressed Ctrl-C twice.
    #[error("interrupted")]
    Interrupted,
}
