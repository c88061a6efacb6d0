//! What was seen of a behavior, and how its body looks.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::join_all;

/// Long enough for what takes long on a real account, such as a queue's approximate counts, which take up to a minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What an engine does instead of what must hold.
#[derive(Debug)]
pub(crate) struct Instead(pub(crate) String);

impl<E: std::error::Error + 'static> From<E> for Instead {
    fn from(error: E) -> Self {
        Self(lambda_support::error_chain(&error))
    }
}

/// Whether a behavior holds.
pub(crate) type Outcome = Result<(), Instead>;

/// Fails with what was seen, if it is not what must hold.
pub(crate) fn same<T: PartialEq + Debug>(what: impl Display, seen: T, must_be: T) -> Outcome {
    if seen == must_be { Ok(()) } else { Err(Instead(format!("{what}: {seen:?}, not {must_be:?}"))) }
}

/// Fails with `instead` unless it holds.
pub(crate) fn holds(holds: bool, instead: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Instead(instead())) }
}

/// The service's own code for a refusal, or `accepted`.
pub(crate) fn answer<T, E: ProvideErrorMetadata + Debug, R: Debug>(result: &Result<T, SdkError<E, R>>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(SdkError::ServiceError(error)) => {
            // SQS still gives the codes of its older protocol beside those of its API reference.
            let code = error.err().code().unwrap_or("without a code");
            match code.trim_start_matches("AWS.SimpleQueueService.") {
                "NonExistentQueue" => "QueueDoesNotExist".to_owned(),
                code => code.to_owned(),
            }
        }
        Err(error) => format!("no answer: {error:?}"),
    }
}

/// Looks again and again, until there is something to see.
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Instead>,
) -> Result<T, Instead> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if tokio::time::Instant::now() >= give_up {
            return Err(Instead(format!("{what}: not within {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs all of them at the same time, on every core there is, and gives their results in the same order.
pub(crate) async fn at_once<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(|ended| ended.expect("a request does not panic")).collect()
}
