//! The outcome of a behavior, and the helpers that the bodies of behaviors use.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::join_all;

/// The longest time that a test waits for one observation. On AWS, a queue's approximate message counts are the slowest
/// observation: they take up to a minute to settle.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A description of how an engine differs from the behavior.
#[derive(Debug)]
pub(crate) struct Mismatch(pub(crate) String);

impl<E: std::error::Error + 'static> From<E> for Mismatch {
    fn from(error: E) -> Self {
        Self(lambda_support::error_chain(&error))
    }
}

/// The result of a behavior's body: `Ok` if the behavior holds.
pub(crate) type Outcome = Result<(), Mismatch>;

/// Returns a [`Mismatch`] that contains both values if `seen` differs from `expected`.
pub(crate) fn expect_eq<T: PartialEq + Debug>(what: impl Display, seen: T, expected: T) -> Outcome {
    if seen == expected { Ok(()) } else { Err(Mismatch(format!("{what}: got {seen:?}, expected {expected:?}"))) }
}

/// Returns a [`Mismatch`] with the text from `mismatch` if `condition` is false.
pub(crate) fn ensure(condition: bool, mismatch: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(Mismatch(mismatch())) }
}

/// Returns the error code of a failed request, or `accepted` for a successful one.
pub(crate) fn response_code<T, E: ProvideErrorMetadata + Debug, R: Debug>(
    result: &Result<T, SdkError<E, R>>,
) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(SdkError::ServiceError(error)) => {
            // SQS still returns some codes of its older protocol, which differ from those in its API reference.
            let code = error.err().code().unwrap_or("no code");
            match code.trim_start_matches("AWS.SimpleQueueService.") {
                "NonExistentQueue" => "QueueDoesNotExist".to_owned(),
                code => code.to_owned(),
            }
        }
        Err(error) => format!("no response: {error:?}"),
    }
}

/// Calls `look` until it returns a value. Fails after [`PATIENCE`].
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Mismatch>,
) -> Result<T, Mismatch> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Mismatch(format!("{what}: not seen within {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs the futures concurrently, on all cores. Returns their results in the order of the futures.
pub(crate) async fn run_concurrently<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(|ended| ended.expect("a request does not panic")).collect()
}
