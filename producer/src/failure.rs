//! Why a command gives no answer.

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, a file or the Terraform state cannot be used. Nothing was sent.
    #[error(transparent)]
    Unusable(anyhow::Error),
    /// The pipeline cannot be reached, or broke.
    #[error(transparent)]
    Unreachable(anyhow::Error),
    /// Ctrl-C came twice.
    #[error("interrupted")]
    Interrupted,
}
