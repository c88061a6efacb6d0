//! What AWS would charge for: units, counted where requests arrive and where Lambda's mappings act, so that no handler
//! knows of it. What a unit costs is not here.
//!
//! What whoever looks at the pipeline asks of it is not charged to it: reads of the table, the lake, the logs and the
//! queues' attributes, and receives over the wire, which only a reader of the dead letters makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{Call, Service};

/// SQS charges a request for each started 64 KB of its payload ("Amazon SQS pricing").
const SQS_CHUNK_BYTES: usize = 64 * 1024;

/// Billable units of everything since the services were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests that came over the wire, by service and operation, billable or not.
    pub requests: BTreeMap<String, u64>,
    /// Connections to the services' address on loopback, if they have one: on AWS, each is a TLS handshake.
    pub connections: u64,
    /// SQS requests of producers, by 64 KB.
    pub sqs_sends: u64,
    /// SQS requests of Lambda that brought messages, by 64 KB.
    pub sqs_receives: u64,
    /// SQS requests of Lambda with which it deleted up to ten messages each.
    pub sqs_deletes: u64,
    /// SQS requests of Lambda that brought nothing.
    pub sqs_idle_polls: u64,
    /// DynamoDB write request units of what `PutItem` and `BatchExecuteStatement` wrote.
    pub write_request_units: u64,
    /// The same of conditions that failed.
    pub write_request_units_refused: u64,
    /// S3 PUTs that wrote an object.
    pub s3_puts: u64,
    /// S3 PUTs that S3 refused, which it charges all the same.
    pub s3_puts_refused: u64,
    /// Each function's invocations.
    pub functions: BTreeMap<String, Invocations>,
    /// Lines that both functions logged.
    pub log_lines: u64,
    /// Bytes of these lines.
    pub log_bytes: u64,
    /// Custom metrics, as `namespace/dimensions/name`: CloudWatch charges each of them by the month.
    pub custom_metrics: BTreeSet<String>,
    /// Bytes in the table, as DynamoDB counts them, without the 100 that it adds for each item.
    pub table_bytes: u64,
    /// Items in the table.
    pub table_items: u64,
    /// Bytes in the lake, of all versions.
    pub lake_bytes: u64,
}

/// Of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Invocations {
    /// However they ended.
    pub number: u64,
    /// Each rounded up.
    pub milliseconds: u64,
}

/// Counts. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Usage>>);

impl Meter {
    pub(crate) fn counted(&self) -> Usage {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connection(&self) {
        self.lock().connections += 1;
    }

    /// A request that came over the wire, and the HTTP status of its answer.
    pub(crate) fn answered(&self, call: &Call<'_>, status: u16) {
        let method = call.request.method();
        let operation = if call.service == Service::S3 { method.as_str() } else { &call.operation };
        let mut usage = self.lock();
        *usage.requests.entry(format!("{:?} {operation}", call.service)).or_default() += 1;
        match (call.service, operation) {
            (Service::Sqs, "SendMessage" | "SendMessageBatch") => usage.sqs_sends += chunks(sent(call.request.body())),
            (Service::S3, "PUT") if (200..300).contains(&status) => usage.s3_puts += 1,
            // S3 does not charge for its own errors ("Billing and usage reporting error responses").
            (Service::S3, "PUT") if status < 500 => usage.s3_puts_refused += 1,
            _ => {}
        }
    }

    /// What one receive of Lambda's brought: so many messages, whose bodies have so many bytes together.
    pub(crate) fn received(&self, messages: usize, body_bytes: usize) {
        let mut usage = self.lock();
        match messages {
            0 => usage.sqs_idle_polls += 1,
            _ => usage.sqs_receives += chunks(body_bytes),
        }
    }

    /// Lambda deletes ten messages with a request.
    pub(crate) fn deleted(&self, messages: usize) {
        self.lock().sqs_deletes += messages.div_ceil(10) as u64;
    }

    /// Awaits an invocation of a function, and counts it, however it ends.
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

    /// What one write to the table consumed.
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

/// Bytes of the messages that a request sends. Its JSON is larger; only where that may matter it is looked into.
fn sent(request: &[u8]) -> usize {
    if request.len() <= SQS_CHUNK_BYTES {
        return request.len();
    }
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let body = |message: &Value| message["MessageBody"].as_str().map_or(0, str::len);
    body(&request) + request["Entries"].as_array().into_iter().flatten().map(body).sum::<usize>()
}
