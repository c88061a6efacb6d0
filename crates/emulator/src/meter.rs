//! Counts the units that AWS would bill. The services count the requests that they get, and Lambda's mappings count
//! their own work, so the functions contain no metering code. Prices are not in this crate.
//!
//! The meter does not bill requests by observers: `ReceiveMessage` requests, and reads of the lake, the logs, the queues'
//! attributes and the table. `GetItem` is the exception, because `ingest-fn` reads packs with it. Only tools that read
//! dead letters send `ReceiveMessage`; Lambda's mappings call the queue directly.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{Call, Service};
use crate::sqs::protocol::message_size;

/// SQS bills a request as one request for each 64 KB chunk of its payload ("Amazon SQS pricing"). The last chunk may be
/// smaller.
const SQS_CHUNK_BYTES: usize = 64 * 1024;

/// The units that AWS would bill, counted since the services were created.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Number of requests that clients sent, by service and operation, billable or not. Requests by Lambda's mappings
    /// are not included.
    pub requests: BTreeMap<String, u64>,
    /// Number of connections that clients opened to the loopback [`endpoint`](crate::endpoint). On AWS, each of them
    /// would need a TLS handshake.
    pub connections: u64,
    /// Number of SQS requests by producers, as billed: a request counts once for each 64 KB chunk of its messages.
    pub sqs_sends: u64,
    /// Number of SQS requests by Lambda that returned messages, as billed: a request counts once for each 64 KB chunk
    /// of its messages.
    pub sqs_receives: u64,
    /// Number of SQS requests with which Lambda deleted messages, up to ten messages per request.
    pub sqs_deletes: u64,
    /// Number of SQS requests by Lambda that returned no message.
    pub sqs_idle_polls: u64,
    /// DynamoDB write request units consumed by `PutItem` requests and `BatchExecuteStatement` statements that wrote an
    /// item.
    pub write_request_units: u64,
    /// DynamoDB write request units consumed by `PutItem` requests whose condition failed, and by statements that
    /// failed.
    pub write_request_units_refused: u64,
    /// DynamoDB read request units consumed by `GetItem` requests. An eventually consistent read of up to 4 KB consumes
    /// half a unit.
    pub read_request_units: f64,
    /// Number of S3 PUT requests that wrote an object.
    pub s3_puts: u64,
    /// Number of S3 PUT requests that S3 refused with a status below 500. S3 charges for these too.
    pub s3_puts_refused: u64,
    /// The invocations of each function, by its name.
    pub functions: BTreeMap<String, Invocations>,
    /// Number of lines in all log groups.
    pub log_lines: u64,
    /// Size of these lines in bytes.
    pub log_bytes: u64,
    /// The custom metrics, as `namespace/dimensions/name`. CloudWatch charges a monthly price for each of them.
    pub custom_metrics: BTreeSet<String>,
    /// Size of the table's items in bytes, as DynamoDB counts it, but without the 100 bytes that storage billing adds
    /// to each item.
    pub table_bytes: u64,
    /// Number of items in the table.
    pub table_items: u64,
    /// Size of all versions of all objects in the lake, in bytes.
    pub lake_bytes: u64,
}

/// The invocations of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Invocations {
    /// Number of invocations, successful or not.
    pub number: u64,
    /// Total duration in milliseconds. The duration of each invocation is rounded up.
    pub milliseconds: u64,
}

/// The counters of a region. All clones share the same counters.
#[derive(Clone, Default)]
pub(crate) struct Meter {
    usage: Arc<Mutex<Usage>>,
    cpu: Arc<Mutex<CpuTimes>>,
}

/// The CPU time that each service spent on each thread, by the thread's name and the service. The CPU time for the
/// stream mapping's reads counts toward [`Service::DynamoDb`].
pub type CpuTimes = BTreeMap<(String, Service), Duration>;

impl Meter {
    pub(crate) fn usage(&self) -> Usage {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cpu_times(&self) -> CpuTimes {
        self.cpu.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Polls a service's answer to a request and counts the CPU time of each poll.
    pub(crate) async fn on_cpu<T>(&self, service: Service, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        std::future::poll_fn(|context| self.count_cpu(service, || answer.as_mut().poll(context))).await
    }

    /// Runs `work` for a service and counts its CPU time.
    pub(crate) fn count_cpu<T>(&self, service: Service, work: impl FnOnce() -> T) -> T {
        let on_cpu = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
        let began = on_cpu();
        let done = work();
        let took = on_cpu().saturating_sub(began);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        *self.cpu.lock().unwrap_or_else(PoisonError::into_inner).entry((thread, service)).or_default() += took;
        done
    }

    pub(crate) fn connection(&self) {
        self.lock().connections += 1;
    }

    /// Counts a request that a client sent. `status` is the HTTP status of the answer.
    pub(crate) fn answered(&self, call: &Call<'_>, status: u16) {
        let method = call.request.method();
        let operation = if call.service == Service::S3 { method.as_str() } else { &call.operation };
        let mut usage = self.lock();
        *usage.requests.entry(format!("{:?} {operation}", call.service)).or_default() += 1;
        match (call.service, operation) {
            (Service::Sqs, "SendMessage" | "SendMessageBatch") => {
                usage.sqs_sends += chunks(message_bytes(call.request.body()));
            }
            (Service::S3, "PUT") if (200..300).contains(&status) => usage.s3_puts += 1,
            // S3 does not charge for its own errors ("Billing and usage reporting error responses").
            (Service::S3, "PUT") if status < 500 => usage.s3_puts_refused += 1,
            _ => {}
        }
    }

    /// Counts a receive request by Lambda's mapping. `bytes` is the total size of the returned messages.
    pub(crate) fn received(&self, messages: usize, bytes: usize) {
        let mut usage = self.lock();
        match messages {
            0 => usage.sqs_idle_polls += 1,
            _ => usage.sqs_receives += chunks(bytes),
        }
    }

    /// Counts the requests with which Lambda deletes `messages` messages, up to ten per request.
    pub(crate) fn deleted(&self, messages: usize) {
        self.lock().sqs_deletes += messages.div_ceil(10) as u64;
    }

    /// Awaits an invocation of a function and counts it, whether it succeeds or fails.
    pub(crate) async fn invocation<T>(&self, function: &str, invocation: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let outcome = invocation.await;
        let milliseconds = u64::try_from(began.elapsed().as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        let mut usage = self.lock();
        let invocations = usage.functions.entry(function.to_owned()).or_default();
        invocations.number += 1;
        invocations.milliseconds += milliseconds;
        outcome
    }

    /// Counts the units that one read of the table consumed.
    pub(crate) fn read(&self, units: f64) {
        self.lock().read_request_units += units;
    }

    /// Counts the units that one write to the table consumed.
    pub(crate) fn write(&self, units: f64, refused: bool) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number above zero")]
        let units = units as u64;
        let mut usage = self.lock();
        *(if refused { &mut usage.write_request_units_refused } else { &mut usage.write_request_units }) += units;
    }
}

fn chunks(payload_bytes: usize) -> u64 {
    payload_bytes.div_ceil(SQS_CHUNK_BYTES).max(1) as u64
}

/// Returns the size of a request's messages in bytes, with their attributes. If the whole request fits into one chunk,
/// returns the size of its JSON instead: SQS bills one chunk in either case, so there is no need to parse the request.
fn message_bytes(request: &[u8]) -> usize {
    if request.len() <= SQS_CHUNK_BYTES {
        return request.len();
    }
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    message_size(&request) + request["Entries"].as_array().into_iter().flatten().map(message_size).sum::<usize>()
}
