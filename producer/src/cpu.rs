//! The CPU time of each part of an embedded pipeline.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use emulator::meter::CpuTimes;
use emulator::{Service, Services};
use pipeline::Pipeline;
use serde::Serialize;

/// CPU time in milliseconds by part of the pipeline. If several parts run on one thread, each time covers its own part
/// only. On systems other than Linux, the times are unknown, and therefore zero.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CpuByPart {
    /// Sending the messages and reading the logs during that time, including the emulated queue's work for the sends.
    pub send: f64,
    /// `ingest-fn` and its event source mapping, including the emulated queue's work for the receives.
    pub ingest: f64,
    /// The emulated table's work for the claims.
    pub table: f64,
    /// The emulated stream's work for its event source mapping.
    pub stream: f64,
    /// `archive-fn` and its event source mapping.
    pub archive: f64,
    /// The emulated lake's work for the puts.
    pub lake: f64,
    /// Reading and judging the result, including the emulated services' work for the reads.
    pub verify: f64,
}

/// Returns the CPU time of the calling thread since its start. Returns zero if the time is unknown.
#[must_use]
pub fn of_this_thread() -> Duration {
    schedstat("/proc/thread-self/schedstat")
}

impl CpuByPart {
    /// Returns the times so far. `sending` is the CPU time that the calling thread had used when all messages were
    /// sent.
    #[must_use]
    pub fn new(services: &Services, sending: Duration) -> Self {
        let threads = by_thread();
        let services = services.cpu_times();
        let thread = |name: &str| threads.get(name).copied().unwrap_or_default();
        let service = |name: &str, service: Service| of_service(&services, name, service);
        let table = service(Pipeline::INGEST_THREAD, Service::DynamoDb);
        let stream = service(Pipeline::ARCHIVE_THREAD, Service::DynamoDb);
        let lake = service(Pipeline::ARCHIVE_THREAD, Service::S3);
        let ms = |time: Duration| (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0;
        Self {
            send: ms(sending),
            ingest: ms(thread(Pipeline::INGEST_THREAD).saturating_sub(table)),
            table: ms(table),
            stream: ms(stream),
            archive: ms(thread(Pipeline::ARCHIVE_THREAD).saturating_sub(stream + lake)),
            lake: ms(lake),
            verify: ms(of_this_thread().saturating_sub(sending)),
        }
    }
}

fn of_service(times: &CpuTimes, thread: &str, service: Service) -> Duration {
    times.get(&(thread.to_owned(), service)).copied().unwrap_or_default()
}

/// Returns the CPU time of each thread of this process, by the thread's name.
fn by_thread() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
        *times.entry(name.trim_end().to_owned()).or_default() += schedstat(task.path().join("schedstat"));
    }
    times
}

/// Reads the CPU time in nanoseconds, which is the first number in the file.
fn schedstat(path: impl AsRef<std::path::Path>) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or_default())
}
