//! The embedded pipeline on a clock that stands still until everybody waits, and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, Digest, ObjectPrefix, object};
use emulator::{Call, Clock, Fault, Service, Services};
use ingest_fn::ClaimWrites;
use pipeline::{Pipeline, PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// The queue hides a message for so long, and somewhat longer, until it comes again.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(6 * 30 + 5);

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// What can go wrong with any request and says nothing of what became of it. The last two take longer than an attempt may.
pub(crate) const FAULTS: [Fault; 7] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Throttled,
    Fault::Refused(500),
    Fault::Refused(503),
    Fault::RequestDelayed(Duration::from_secs(10)),
    Fault::AnswerDelayed(Duration::from_secs(10)),
];

pub(crate) struct World {
    pub(crate) services: Arc<Services>,
    pub(crate) pipeline: Pipeline,
}

impl World {
    pub(crate) fn start(writes: ClaimWrites) -> Self {
        Self::with(&services(), settings(writes))
    }

    pub(crate) fn with(services: &Arc<Services>, settings: PipelineSettings) -> Self {
        Self { services: Arc::clone(services), pipeline: Pipeline::start(services, settings, 1) }
    }

    /// Gives the message's id.
    pub(crate) fn send(&self, body: &str) -> String {
        self.services.sqs.send(names::QUEUE, body).unwrap()
    }

    /// From now on, the fault that `choose` gives happens to requests to a service.
    pub(crate) fn fail(&self, service: Service, choose: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.services.faults.set(move |call| if call.service == service { choose(call) } else { None });
    }

    /// From now on, the numbers of requests that write claims, and of `PutObject` requests, are counted.
    pub(crate) fn count(&self) -> Arc<Mutex<(usize, usize)>> {
        let counts = Arc::new(Mutex::new((0, 0)));
        let seen = Arc::clone(&counts);
        self.services.faults.set(move |call| {
            let mut counts = seen.lock().unwrap();
            counts.0 += usize::from(writes_claims(call));
            counts.1 += usize::from(call.operation.starts_with("PUT "));
            None
        });
        counts
    }

    /// Waits until the queue is empty and each claim has an object, and then as long as anything late may take.
    pub(crate) async fn drained(&self) {
        let queue = || self.services.sqs.counts(names::QUEUE).unwrap();
        until("the queue is empty", || queue().visible + queue().in_flight == 0).await;
        let claims = self.claims().await;
        until("each claim has an object", || {
            let lake = self.lake();
            claims.values().all(|claim| lake.contains_key(&key(claim)))
        })
        .await;
        sleep(Duration::from_secs(60)).await;
    }

    /// The claims in the table, by event id.
    pub(crate) async fn claims(&self) -> BTreeMap<String, Claim> {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let mut pages = client.scan().table_name(names::TABLE).into_paginator().send();
        let mut claims = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for item in page.expect("faults spare the test's own requests").items.unwrap_or_default() {
                // What is there by a test's own hand may be no claim.
                if let Ok(claim) = Claim::from_item(item) {
                    claims.insert(claim.event_id.clone(), claim);
                }
            }
        }
        claims
    }

    /// The content of each version of each object.
    pub(crate) fn lake(&self) -> BTreeMap<String, Vec<String>> {
        let text = |content: bytes::Bytes| String::from_utf8(content.to_vec()).unwrap();
        let lake = self.services.lakes.versions(names::BUCKET).into_iter();
        lake.map(|(key, versions)| (key, versions.into_iter().map(text).collect())).collect()
    }

    /// Each claim has one object with one version and its content, and there is no other.
    pub(crate) async fn assert_exactly_once(&self) {
        let expected =
            |claim: &Claim| (key(claim), vec![String::from_utf8(object::object_line(claim).unwrap()).unwrap()]);
        let expected: BTreeMap<_, _> = self.claims().await.values().map(expected).collect();
        assert_eq!(self.lake(), expected);
    }

    /// Puts an item into the table by hand.
    pub(crate) async fn put_by_hand(&self, attributes: &[(&str, &str)]) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let item = |(name, text): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*text).to_owned()));
        let item = attributes.iter().map(item).collect();
        client.put_item().table_name(names::TABLE).set_item(Some(item)).send().await.unwrap();
    }

    pub(crate) fn dead_letters(&self) -> usize {
        let counts = self.services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap();
        counts.visible + counts.in_flight
    }

    /// Takes every message out of a queue, by message id.
    pub(crate) async fn take_all(&self, queue: &str) -> BTreeMap<String, String> {
        let mut taken = BTreeMap::new();
        loop {
            let received = self.services.sqs.receive(queue, 10, Duration::ZERO, None).await.unwrap();
            if received.is_empty() {
                return taken;
            }
            for message in received {
                self.services.sqs.delete(queue, &message.receipt_handle).unwrap();
                taken.insert(message.message_id, message.body);
            }
        }
    }

    /// The lines of `ingest-fn` about messages, or of `archive-fn` about records.
    pub(crate) fn lines(&self, function: &str) -> Vec<Value> {
        let lines = self.services.logs.lines(&names::log_group(function));
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["outcome"].is_string()).collect()
    }

    /// Outcomes of a function so far, with how often each was logged.
    pub(crate) fn outcomes(&self, function: &str) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for line in self.lines(function) {
            *outcomes.entry(line["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        outcomes
    }
}

pub(crate) fn settings(writes: ClaimWrites) -> PipelineSettings {
    let mut settings = PipelineSettings::default();
    settings.ingest.claim_writes = writes;
    settings
}

pub(crate) fn services() -> Arc<Services> {
    Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)), 1)
}

/// Whether a request is to write one claim, or many.
pub(crate) fn writes_claims(call: &Call<'_>) -> bool {
    matches!(call.operation.as_str(), "PutItem" | "BatchExecuteStatement")
}

/// Waits, in the clock's time, until something is so: two hours at the most, in which a message is received thrice.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    until_within(Duration::from_secs(7_200), what, done).await;
}

/// As [`until`], with another bound.
pub(crate) async fn until_within(bound: Duration, what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(bound, waiting).await.unwrap_or_else(|_| panic!("not so within {bound:?}: {what}"));
}

pub(crate) fn counted(outcomes: &[(&str, usize)]) -> BTreeMap<String, usize> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

pub(crate) fn key(claim: &Claim) -> String {
    ObjectPrefix::parse("events/").unwrap().object_key(claim)
}

pub(crate) fn body(event_id: &str) -> String {
    json!({ "event_id": event_id }).to_string()
}

/// What became of a message that was sent: `None` if it is nowhere.
pub(crate) fn fate(
    message_id: &str,
    body: &str,
    claims: &BTreeMap<String, Claim>,
    dead: &BTreeSet<String>,
) -> Option<&'static str> {
    if dead.contains(message_id) {
        return Some("dead letter");
    }
    let event: Value = serde_json::from_str(body).ok()?;
    let claim = claims.get(event["event_id"].as_str()?)?;
    if claim.message_id == message_id {
        Some("object")
    } else if Digest::of(body).unwrap().as_bytes() == claim.digest {
        Some("duplicate")
    } else {
        Some("conflict")
    }
}

/// The stream's record of a new claim, as Lambda delivers it.
pub(crate) fn stream_record(number: usize, body: &str) -> Value {
    let event = claim::Event::parse(body, &claim::EventIdPointer::parse("/event_id").unwrap()).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let random = [u8::try_from(number).unwrap(); 10];
    let claim = Claim::new(&event, "m", body, now, DAY, &random).unwrap();
    json!({
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": emulator::region::REGION, "eventSourceARN": "arn",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_800_000_000, "Keys": {}, "NewImage": claim.to_item(),
            "SequenceNumber": number.to_string(), "SizeBytes": 300, "StreamViewType": "NEW_IMAGE",
        },
    })
}
