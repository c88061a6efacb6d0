//! The code that starts a function's process, once per cold start, and the SDK settings that both functions use.

use std::process::ExitCode;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tracing::level_filters::LevelFilter;

use crate::error_chain::error_chain;
use crate::https;
use crate::logs::{LogWriter, dispatch};
use crate::variables::Variables;

/// Sets up logging and runs `start`, which serves invocations until the process ends. If `start` fails, for example
/// because an environment variable is missing, logs the error in one line and returns a failure exit code.
///
/// # Panics
/// Panics if the process already has a `tracing` subscriber.
pub async fn main<F: Future<Output = anyhow::Result<()>>>(start: impl FnOnce() -> F) -> ExitCode {
    let level = read_variables(|variables| variables.log_level());
    let clock = SharedTimeSource::new(SystemTimeSource::new());
    let subscriber = dispatch(LogWriter::stdout(), *level.as_ref().unwrap_or(&LevelFilter::INFO), clock);
    tracing::dispatcher::set_global_default(subscriber).expect("nothing has set a subscriber before");
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "{}", panic.payload_as_str().unwrap_or("a panic without a message"));
    }));

    let result = match level {
        Ok(_) => start().await,
        Err(malformed) => Err(malformed.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Calls `read` with the process's environment variables.
pub fn read_variables<T>(read: impl FnOnce(&Variables<'_>) -> T) -> T {
    read(&Variables::from_process())
}

/// Returns the configuration of the SDK clients: region, credentials and endpoint from the process's environment, and
/// our own [`timeouts`] and [`retries`].
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https::client())
        .timeout_config(timeouts())
        .retry_config(retries())
        .load()
        .await
}

/// Returns the timeouts of a request. A `PutItem` of one event takes about ten milliseconds, and a `PutObject` about a
/// hundred, so an attempt without an answer after four seconds counts as lost. All attempts together end after at most
/// 12 seconds, well before the function's timeout of 30 seconds.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        // At 128 MB, a TLS handshake runs on a fourteenth of a core.
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(12))
        .build()
}

/// Returns the retry settings of a request. They allow only a few quick attempts, because SQS redelivers failed
/// messages and the stream mapping retries failed records. The SDK's default first backoff, one second, is too long for
/// quick attempts.
#[must_use]
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(2))
}
