//! A batch's summary line, which is at the same time its metrics: CloudWatch takes them out of the log (embedded metric
//! format). It is not a `tracing` event, so that no log level of ours can hide it.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use metrique_writer::format::Format as _;
use metrique_writer::unit::{Count, Millisecond, WithUnit};
use metrique_writer::{Entry, EntryWriter};
use metrique_writer_format_emf::Emf;

use crate::logs::{LogWriter, rfc3339};

/// The CloudWatch namespace of both functions.
pub const NAMESPACE: &str = "DynamoLocking";

/// The one dimension.
const DIMENSION: &str = "FunctionName";

/// Writes summary lines.
pub struct Summary {
    format: Mutex<Emf>,
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
        let format = Emf::all_validations(NAMESPACE.to_owned(), vec![vec![DIMENSION.to_owned()]]);
        Self { format: Mutex::new(format), writer, function_name: function_name.to_owned() }
    }

    /// Writes the line. A failure to is said on standard error: the batch itself is done, and its response must go out.
    pub fn write(&self, batch: &Batch<'_>) {
        let mut line = Vec::new();
        let entry = Line { batch, function_name: &self.function_name };
        let format = self.format.lock().unwrap_or_else(PoisonError::into_inner).format(&entry, &mut line);
        let written = format.map_err(std::io::Error::other).and_then(|()| self.writer.clone().write_all(&line));
        if let Err(error) = written {
            let _ = writeln!(std::io::stderr(), "the batch's metrics could not be written: {error}");
        }
    }
}

struct Line<'a> {
    batch: &'a Batch<'a>,
    function_name: &'a str,
}

impl Entry for Line<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let batch = self.batch;
        writer.timestamp(batch.ended_at);
        writer.value("timestamp", &rfc3339(batch.ended_at));
        writer.value("level", "INFO");
        writer.value("message", "batch done");
        writer.value("request_id", batch.request_id);
        writer.value(DIMENSION, self.function_name);
        for &(name, count) in batch.counts {
            writer.value(name, &WithUnit::<_, Count>::from(count));
        }
        if let Some(lag) = batch.lag_max_ms {
            writer.value("LagMaxMs", &WithUnit::<_, Millisecond>::from(lag));
        }
    }
}
