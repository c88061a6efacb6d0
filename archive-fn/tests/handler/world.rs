//! Helpers of the handler's tests: a warm sandbox, the emulator's lake, and stream records of claims.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use archive_fn::{Config, DataLake, Handler};
use emulator::{Clock, Fault, Services};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;

pub(crate) const BUCKET: &str = "lake";

pub(crate) const NOW: u64 = 1_800_000_000;

/// A warm sandbox of the function, and the services that it calls.
pub(crate) struct World {
    pub(crate) services: Arc<Services>,
    handler: Handler,
    pub(crate) log: lambda_support::LogWriter,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(set: &[(&str, &str)]) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let services = Services::on_clock(clock, 1);
        services.lakes.create_bucket(BUCKET);
        let look_up = |variable: &str| match variable {
            "BUCKET_NAME" => Some(BUCKET.to_owned()),
            _ => set.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned()),
        };
        let config = Config::from_variables(&lambda_support::Variables::new(&look_up)).unwrap();
        let lake = DataLake::new((&services.sdk_config()).into(), BUCKET);
        let log = services.logs.writer("log");
        let handler = Handler::new(config, lake, log.clone(), clock.shared());
        Self { services, handler, log }
    }

    /// From now on, injects `fault(n)` into request `n`, counted from 0, and asserts that every request is a
    /// conditional write. Returns a counter of the requests.
    pub(crate) fn fail(&self, fault: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Arc<AtomicUsize> {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        self.services.faults.set(move |call| {
            assert!(call.operation.starts_with("PUT "), "{}", call.operation);
            assert_eq!(call.request.headers()["if-none-match"], "*");
            fault(count.fetch_add(1, Ordering::SeqCst))
        });
        requests
    }

    /// From now on, the code panics when it writes the object of record 2, but only the first `panics` times. Every
    /// request that does not panic gets `fault`. Returns a counter of the attempts to write the object of record 2.
    pub(crate) fn panic_on_record_2(&self, panics: usize, fault: Option<Fault>) -> Arc<AtomicUsize> {
        let tries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tries);
        self.services.faults.set(move |call| {
            if call.operation.ends_with("000000000002.json") {
                assert!(count.fetch_add(1, Ordering::SeqCst) >= panics, "on purpose");
            }
            fault
        });
        tries
    }

    /// Delivers records and returns the sequence numbers of those that the function reports as failed, sorted.
    pub(crate) async fn deliver(&self, records: &[Value]) -> Vec<String> {
        self.deliver_within(30_000, records).await
    }

    pub(crate) async fn deliver_within(&self, left_ms: u64, records: &[Value]) -> Vec<String> {
        let mut context = lambda_runtime::Context::default();
        context.deadline = self.services.clock.now_ms() + left_ms;
        let envelope = serde_json::from_str(&json!({ "Records": records }).to_string()).unwrap();
        let log = lambda_support::logs::dispatch(self.log.clone(), LevelFilter::INFO, self.services.clock.shared());
        let work = self.handler.handle(lambda_runtime::LambdaEvent::new(envelope, context)).with_subscriber(log);
        let response = work.await.unwrap();
        let mut reported: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        reported.sort();
        reported
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.services.logs.lines("log").iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the text `<sequence number> <outcome>` for each record of the last batch, sorted.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let mut lines = self.lines();
        assert_eq!(lines.pop().unwrap()["message"], "batch done");
        let batch = lines.rsplit(|line| line["message"] == "batch done").next().unwrap();
        let outcome = |line: &Value| {
            Some(format!("{} {}", line["sequence_number"].as_str().unwrap_or("-"), line["outcome"].as_str()?))
        };
        let mut outcomes: Vec<String> = batch.iter().filter_map(outcome).collect();
        outcomes.sort();
        outcomes
    }

    /// Returns the user metadata of an object.
    pub(crate) async fn metadata(&self, key: &str) -> HashMap<String, String> {
        let client = aws_sdk_s3::Client::new(&self.services.sdk_config());
        let head = client.head_object().bucket(BUCKET).key(key).send().await.unwrap();
        head.metadata.unwrap_or_default()
    }

    /// Returns the key, the number of versions and the content of each object in the lake.
    pub(crate) fn lake(&self) -> Vec<(String, usize, String)> {
        let text = |content: &[u8]| String::from_utf8(content.to_vec()).unwrap();
        let objects = self.services.lakes.versions(BUCKET);
        objects.into_iter().map(|(key, versions)| (key, versions.len(), text(&versions[0]))).collect()
    }
}

/// Returns the stream record of a new claim.
pub(crate) fn record(number: u32, body: &str) -> Value {
    json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "sa-east-1",
        "eventSourceARN": "arn:aws:dynamodb:sa-east-1:123456789012:table/t/stream/2026-11-23T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": NOW,
            "Keys": { "pk": { "S": format!("EVENT#{number}") }, "sk": { "S": "CLAIM" } },
            "NewImage": {
                "pk": { "S": format!("EVENT#{number}") },
                "sk": { "S": "CLAIM" },
                "claim_id": { "S": format!("01a3185c-4a24-7000-8000-{number:012}") },
                "claimed_at": { "S": "2027-01-15T07:59:58.500Z" },
                "ttl": { "N": "1801382398" },
                "digest": { "B": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
                "message_id": { "S": "m" },
                "body": { "S": body },
            },
            "SequenceNumber": number.to_string(),
            "SizeBytes": 300,
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

/// Returns the stream record of a new claim, with `created` as the record's creation time.
pub(crate) fn record_of_age(number: u32, created: Value) -> Value {
    let mut record = record(number, "{}");
    record["dynamodb"]["ApproximateCreationDateTime"] = created;
    record
}
