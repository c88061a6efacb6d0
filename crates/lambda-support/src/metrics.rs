//! A batch's summary line, which is also its metrics: CloudWatch extracts them from the log (embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! It is not a `tracing` event, so no log level can hide it.
//!
//! The format is one JSON object with fixed names. AWS's library for it, metrique, would bring 25 crates.

use std::io::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::logs::{LogWriter, rfc3339};

/// The CloudWatch namespace of both functions.
pub const NAMESPACE: &str = "DynamoLocking";

/// The one dimension.
const DIMENSION: &str = "FunctionName";

/// Writes summary lines.
pub struct Summary {
    writer: LogWriter,
    function_name: String,
}

/// What happened in one batch: how many of each outcome, and for the archive how long the slowest record took.
pub struct Batch<'a> {
    /// Of the invocation.
    pub request_id: &'a str,
    /// When the batch ended.
    pub ended_at: SystemTime,
    /// Metric name and number, all of them even if zero, so that an alarm sees data.
    pub counts: &'a [(&'static str, u64)],
    /// Longest time from claim to object in the batch, in milliseconds.
    pub lag_max_ms: Option<u64>,
}

impl Summary {
    /// `function_name` becomes the dimension's value.
    #[must_use]
    pub fn new(writer: LogWriter, function_name: &str) -> Self {
        Self { writer, function_name: function_name.to_owned() }
    }

    /// Writes the line. If that fails, it says so on standard error: the batch itself is done, and its response must go out.
    pub fn write(&self, batch: &Batch<'_>) {
        let mut line = self.line(batch).to_string();
        line.push('\n');
        if let Err(error) = self.writer.clone().write_all(line.as_bytes()) {
            let _ = writeln!(std::io::stderr(), "the batch's metrics could not be written: {error}");
        }
    }

    fn line(&self, batch: &Batch<'_>) -> Value {
        let counts = batch.counts.iter().map(|&(name, count)| (name, "Count", count));
        let lag = batch.lag_max_ms.map(|lag_ms| ("LagMaxMs", "Milliseconds", lag_ms));
        let metrics: Vec<_> = counts.chain(lag).collect();
        let ended_at = batch.ended_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ended_at_ms = u64::try_from(ended_at.as_millis()).unwrap_or(u64::MAX);
        let definitions: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions });

        let mut line = Map::new();
        line.insert("_aws".into(), json!({ "Timestamp": ended_at_ms, "CloudWatchMetrics": [directive] }));
        line.insert("timestamp".into(), rfc3339(batch.ended_at).into());
        line.insert("level".into(), "INFO".into());
        line.insert("message".into(), "batch done".into());
        line.insert("request_id".into(), batch.request_id.into());
        line.insert(DIMENSION.into(), self.function_name.as_str().into());
        line.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value.into())));
        line.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The line is what CloudWatch's specification of the embedded metric format asks for, name by name.
    #[test]
    fn summary_line_is_embedded_metric_format() {
        let summary = Summary::new(LogWriter::stdout(), "archive-fn");
        let ended_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let counts = [("Written", 2), ("Failed", 0)];
        let line = summary.line(&Batch { request_id: "r", ended_at, counts: &counts, lag_max_ms: Some(7) });
        let directive = json!({
            "Namespace": "DynamoLocking",
            "Dimensions": [["FunctionName"]],
            "Metrics": [
                { "Name": "Written", "Unit": "Count" },
                { "Name": "Failed", "Unit": "Count" },
                { "Name": "LagMaxMs", "Unit": "Milliseconds" },
            ],
        });
        let expected = json!({
            "_aws": { "Timestamp": 1_800_000_000_123_u64, "CloudWatchMetrics": [directive] },
            "timestamp": "2027-01-15T08:00:00.123Z",
            "level": "INFO",
            "message": "batch done",
            "request_id": "r",
            "FunctionName": "archive-fn",
            "Written": 2,
            "Failed": 0,
            "LagMaxMs": 7,
        });
        assert_eq!(line, expected);
    }
}
