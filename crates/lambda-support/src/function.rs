//! The start of the process, once per cold start, and the settings that both functions give their SDK clients.

use std::process::ExitCode;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tracing::level_filters::LevelFilter;

use crate::error_chain::error_chain;
use crate::logs::{LogWriter, dispatch};
use crate::variables::Variables;

/// Runs `start` in a process that logs as the functions do. An error of `start` is an error of the function's init: it
/// is logged in one line, and the process ends.
///
/// # Panics
/// If the process has a `tracing` subscriber already.
pub async fn main<F: Future<Output = anyhow::Result<()>>>(start: impl FnOnce() -> F) -> ExitCode {
    let level = read_variables(|variables| variables.log_level());
    let subscriber = dispatch(LogWriter::stdout(), *level.as_ref().unwrap_or(&LevelFilter::INFO), wall_clock());
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

/// Reads the process's own variables.
pub fn read_variables<T>(read: impl FnOnce(&Variables<'_>) -> T) -> T {
    read(&Variables::from_process())
}

/// The clock of a deployed function.
#[must_use]
pub fn wall_clock() -> SharedTimeSource {
    SharedTimeSource::new(SystemTimeSource::new())
}

/// Region, credentials and endpoint from the process's variables, with [`timeouts`] and [`retries`].
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts()).retry_config(retries()).load().await
}

/// How long a request may take. A `PutItem` or a `PutObject` of one event takes some ten milliseconds; an attempt that
/// takes four seconds has been lost. All attempts together end well before the function's 30 s.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        // At 128 MB, a TLS handshake gets a fourteenth of a core.
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(12))
        .build()
}

/// How often a request is tried. The SDK's own first back-off of a second is made for interactive use; here the event
/// source mapping tries again after this, so a few quick tries are right.
#[must_use]
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(2))
}
