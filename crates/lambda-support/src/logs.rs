//! JSON log lines: one flat object for each `tracing` event, with the `timestamp` and `level` that Lambda's JSON
//! logging expects.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use aws_smithy_async::time::SharedTimeSource;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::error_chain::error_chain;

type Sink = dyn Fn(&[u8]) -> io::Result<()> + Send + Sync;

/// The destination of a function's log lines: standard output on Lambda, or a log group of the emulator. Callers must
/// pass one whole line to each call of [`Write::write`].
#[derive(Clone)]
pub struct LogWriter(Arc<Sink>);

impl LogWriter {
    /// Returns a writer to standard output, which Lambda sends to CloudWatch Logs.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(|line| io::stdout().lock().write_all(line))
    }

    /// Returns a writer that passes each line, with its newline, to `sink`.
    pub fn new(sink: impl Fn(&[u8]) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.0)(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Maximum length of an error's text in a log line, in characters.
const MAX_ERROR_CHARS: usize = 1_000;

/// Formats an error and all its sources for a log line, cut to 1,000 characters. Without the cut, a line could become
/// very long, because some libraries quote the whole input that they failed to read. Lambda splits such a line into
/// parts that are not valid JSON.
#[must_use]
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error_chain(error);
    if let Some((end, _)) = text.char_indices().nth(MAX_ERROR_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

struct Clock(SharedTimeSource);

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        w.write_str(&rfc3339(self.0.now()))
    }
}

/// Formats a time in RFC 3339, UTC, with milliseconds, like the `timestamp` of a log line.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Parses epoch milliseconds and formats them like [`rfc3339`]. Returns `None` if `text` is not a time in epoch
/// milliseconds.
#[must_use]
pub fn rfc3339_from_ms(text: &str) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(text.parse().ok()?)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Returns a dispatcher that writes `tracing` events of at least `level` to `writer`, with timestamps from `clock`.
#[must_use]
pub fn dispatch(writer: LogWriter, level: LevelFilter, clock: SharedTimeSource) -> Dispatch {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_timer(Clock(clock))
        .with_max_level(level)
        .with_writer(writer)
        .into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use anyhow::anyhow;
    use aws_smithy_async::time::StaticTimeSource;
    use serde_json::{Value, json};

    use super::*;

    /// Returns the lines that a dispatcher of `level` writes while `work` runs. Its clock stands at
    /// `2027-01-15T08:00:00.123Z`.
    fn log(level: LevelFilter, work: impl FnOnce()) -> Vec<String> {
        let (sender, lines) = mpsc::channel();
        let writer = LogWriter::new(move |line| sender.send(line.to_vec()).map_err(io::Error::other));
        let clock = StaticTimeSource::new(SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123));
        tracing::dispatcher::with_default(&dispatch(writer, level, SharedTimeSource::new(clock)), work);
        lines.try_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    /// Each event is one line: a flat JSON object with `timestamp`, `level` and the event's fields.
    #[test]
    fn log_line_is_one_flat_json_object() {
        let lines = log(LevelFilter::INFO, || {
            let span = tracing::info_span!("batch", request_id = "r");
            span.in_scope(|| tracing::info!(outcome = "won", event_id = None::<&str>, lag_ms = 7));
            tracing::warn!(error = "two\nlines", "not confirmed");
        });
        assert!(lines.iter().all(|line| line.ends_with('\n') && line.lines().count() == 1), "{lines:?}");
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let timestamp = "2027-01-15T08:00:00.123Z";
        let expected = [
            json!({ "timestamp": timestamp, "level": "INFO", "outcome": "won", "lag_ms": 7 }),
            json!({ "timestamp": timestamp, "level": "WARN", "message": "not confirmed", "error": "two\nlines" }),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn events_below_the_level_are_not_logged() {
        for (level, expected) in [
            (LevelFilter::TRACE, &["ERROR", "WARN", "INFO", "DEBUG", "TRACE"][..]),
            (LevelFilter::INFO, &["ERROR", "WARN", "INFO"]),
            (LevelFilter::ERROR, &["ERROR"]),
        ] {
            let lines = log(level, || {
                tracing::error!("");
                tracing::warn!("");
                tracing::info!("");
                tracing::debug!("");
                tracing::trace!("");
            });
            let levels = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].clone());
            assert_eq!(levels.collect::<Vec<_>>(), expected, "{level}");
        }
    }

    #[test]
    fn long_error_text_is_cut() {
        let text = |chars| error_text(anyhow!("ä".repeat(chars)).context("cause").as_ref());
        let prefix = "cause: ";
        let longest = MAX_ERROR_CHARS - prefix.len();
        assert_eq!(text(longest), format!("{prefix}{}", "ä".repeat(longest)));
        assert_eq!(text(longest + 1), format!("{prefix}{}…", "ä".repeat(longest)));
    }

    #[test]
    fn epoch_milliseconds_become_rfc_3339() {
        assert_eq!(rfc3339_from_ms("1800000000123").as_deref(), Some("2027-01-15T08:00:00.123Z"));
        for no_time in ["", "x", "1.5", "9223372036854775807", "9223372036854775808"] {
            assert_eq!(rfc3339_from_ms(no_time), None, "{no_time}");
        }
    }
}
