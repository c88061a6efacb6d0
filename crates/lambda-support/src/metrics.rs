//! The log line that summarizes a batch. CloudWatch extracts the metrics from it (embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! The line is not a `tracing` event, so no log level can suppress it.
//!
//! The format is one JSON object with fixed names, so this module writes it without a library. AWS's library for this
//! format, metrique, would add 25 crates.

use std::io::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::logs::{LogWriter, rfc3339};

/// CloudWatch namespace of both functions' metrics.
pub const NAMESPACE: &str = "DynamoLocking";

/// The only dimension of the metrics. Its value is the name of the function.
const DIMENSION: &str = "FunctionName";

/// Writes the summary lines of one function.
pub struct Summary {
    writer: LogWriter,
    function_name: String,
}

/// The results of one batch, as its summary line states them.
pub struct Batch<'a> {
    /// Request id of the invocation.
    pub request_id: &'a str,
    /// Time at which the batch ended.
    pub ended_at: SystemTime,
    /// Name and value of each counter. Counters of zero are included, so that alarms have data.
    pub counts: &'a [(&'static str, u64)],
    /// Longest time from the creation of a claim to the write of its object, in milliseconds; `None` if the batch
    /// archived no claim.
    pub lag_max_ms: Option<u64>,
}

impl Summary {
    /// Creates a summary that writes its lines to `writer`. `function_name` is the value of the metrics' dimension.
    #[must_use]
    pub fn new(writer: LogWriter, function_name: &str) -> Self {
        Self { writer, function_name: function_name.to_owned() }
    }

    /// Writes the summary line of a batch. If that fails, prints the error to standard error and returns, because the
    /// finished batch still needs its response.
    pub fn write(&self, batch: &Batch<'_>) {
        let mut line = self.line(batch).to_string();
        line.push('\n');
        if let Err(error) = self.writer.clone().write_all(line.as_bytes()) {
            let _ = writeln!(std::io::stderr(), "failed to write the batch's metrics: {error}");
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
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// A batch's summary is one line, with every member that the specification of the embedded metric format requires.
    #[test]
    fn summary_line_is_embedded_metric_format() {
        let (sender, lines) = mpsc::channel();
        let writer = LogWriter::new(move |line| sender.send(line.to_vec()).map_err(std::io::Error::other));
        let summary = Summary::new(writer, "archive-fn");
        let ended_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let counts = [("Written", 2), ("Failed", 0)];
        summary.write(&Batch { request_id: "r", ended_at, counts: &counts, lag_max_ms: Some(7) });
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
        let lines: Vec<_> = lines.try_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        assert!(lines.len() == 1 && lines[0].ends_with('\n') && lines[0].lines().count() == 1, "{lines:?}");
        assert_eq!(serde_json::from_str::<Value>(&lines[0]).unwrap(), expected);
    }
}
