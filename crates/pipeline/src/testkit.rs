//! A test kit that runs the pipeline on a paused clock. With it, tests send messages, inject faults, and read the
//! table, the lake, the queues and the logs.
//!
//! A [`World`] needs a paused clock (`#[tokio::test(start_paused = true)]`). The clock jumps ahead whenever all tasks are
//! waiting, so hours of retries take milliseconds. Two worlds with the same settings and the same messages end with the same
//! claims and objects, byte for byte. The checks apply to single objects and to packs.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! use pipeline::testkit::{World, body};
//! use pipeline::{PipelineSettings, names};
//!
//! let world = World::start(PipelineSettings::default());
//! world.send(&body("a"));
//! world.send(&body("a"));
//! world.wait_until_drained().await;
//! world.assert_exactly_once().await;
//! assert_eq!(world.outcomes(names::INGEST_FUNCTION), [("duplicate".to_owned(), 1), ("won".to_owned(), 1)].into());
//! # });
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use claim::key::SORT_KEY;
use claim::{Claim, ObjectPrefix, object};
use emulator::sqs::Counts;
use emulator::{Call, Clock, Fault, Service, Services};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::names;
use crate::pipeline::Pipeline;
use crate::sandboxes::Decorator;
use crate::settings::PipelineSettings;

/// The time at which a world begins, in seconds since 1970.
pub const STARTS_AT_SECONDS: u64 = 1_800_000_000;

/// The seed of message ids and claim ids.
const SEED: u64 = 1;

/// The default time limit of a wait. It exceeds the hour after which a record that always panics is quarantined.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// The time that [`World::wait_until_drained`] waits after its last check, so that delayed requests still arrive.
const LATE: Duration = Duration::from_secs(60);

/// A pipeline and its services on a paused clock.
pub struct World {
    /// The services that the pipeline runs on.
    pub services: Arc<Services>,
    pipeline: Option<Pipeline>,
    /// Bodies of the messages that [`World::send`] has sent, by message id.
    sent: Mutex<BTreeMap<String, String>>,
}

/// Counts of the requests that write claims, packs and objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Number of requests that write one or more claims.
    pub claims: usize,
    /// Number of requests that write a pack to the table.
    pub packs: usize,
    /// Number of `PutObject` requests.
    pub objects: usize,
}

/// A line in the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedLine {
    /// Key of the object that contains the line.
    pub key: String,
    /// The line with its newline.
    pub text: String,
}

impl World {
    /// Starts a pipeline on new services.
    #[must_use]
    pub fn start(settings: PipelineSettings) -> Self {
        Self::start_on(&services_at(STARTS_AT_SECONDS), settings)
    }

    /// Starts a pipeline on the given services.
    #[must_use]
    pub fn start_on(services: &Arc<Services>, settings: PipelineSettings) -> Self {
        Self::new(services, Pipeline::start(services, settings, SEED))
    }

    /// Starts a pipeline on new services. `decorator` starts the sandboxes.
    #[must_use]
    pub fn start_decorated(settings: PipelineSettings, decorator: impl Decorator) -> Self {
        let services = services_at(STARTS_AT_SECONDS);
        let pipeline = Pipeline::start_decorated(&services, settings, SEED, decorator);
        Self::new(&services, pipeline)
    }

    fn new(services: &Arc<Services>, pipeline: Pipeline) -> Self {
        Self { services: Arc::clone(services), pipeline: Some(pipeline), sent: Mutex::default() }
    }

    /// Returns the running pipeline.
    ///
    /// # Panics
    /// Panics if the pipeline was stopped.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        self.pipeline.as_ref().expect("the pipeline was not stopped")
    }

    /// Stops the pipeline for good. The services keep running.
    pub fn stop(&mut self) {
        self.pipeline = None;
    }

    /// Sends a message and returns its id.
    pub fn send(&self, body: &str) -> String {
        let id = self.services.sqs.send(names::QUEUE, body).expect("the queue is there and takes the message");
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), body.to_owned());
        id
    }

    /// From now on, calls `choose` for each request to `service`, and injects the fault that `choose` returns. Replaces
    /// all earlier faults, also those for other services.
    pub fn fail(&self, service: Service, choose: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.services.faults.set(move |call| if call.service == service { choose(call) } else { None });
    }

    /// From now on, counts the requests that write claims, packs or objects. Removes all faults.
    #[must_use]
    pub fn count_writes(&self) -> Arc<Mutex<WriteCounts>> {
        let counts = Arc::new(Mutex::new(WriteCounts::default()));
        let counted = Arc::clone(&counts);
        self.services.faults.set(move |call| {
            let mut counts = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counts.claims += usize::from(writes_claims(call));
            counts.packs += usize::from(writes_pack(call));
            counts.objects += usize::from(writes_object(call));
            None
        });
        counts
    }

    /// Waits until the queue is empty and each claim has its line, and then one more minute for delayed requests. Does not
    /// wait for the lines of [unacknowledged](Self::unacknowledged) claims.
    pub async fn wait_until_drained(&self) {
        wait_until("the queue is empty", || self.counts(names::QUEUE) == Counts::default()).await;
        let claims = self.claims().await;
        let unacknowledged = self.unacknowledged(&claims).await;
        wait_until("each claim has its line", || self.has_lines(&claims, &unacknowledged)).await;
        sleep(LATE).await;
    }

    /// Waits until the queue is empty, the dead-letter queue has `dead_letters` messages, and each claim has its line. Then
    /// asserts that the lake has nothing else and that the on-failure queue is empty.
    pub async fn wait_until_settled(&self, dead_letters: usize) {
        let dead = Counts { visible: dead_letters, in_flight: 0 };
        let waiting = async {
            loop {
                // Check the queues first. If they are empty, no new claim can appear while claims and lines are compared.
                let is_drained =
                    self.counts(names::QUEUE) == Counts::default() && self.counts(names::DEAD_LETTER_QUEUE) == dead;
                if is_drained {
                    let claims = self.claims().await;
                    if self.has_lines(&claims, &self.unacknowledged(&claims).await) {
                        return;
                    }
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("the pipeline settles");
        self.assert_exactly_once().await;
        assert_eq!(self.counts(names::ON_FAILURE_QUEUE), Counts::default());
    }

    /// Returns the claims in the table by event id. Ignores items that are not claims.
    pub async fn claims(&self) -> BTreeMap<String, Claim> {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let mut pages = client.scan().table_name(names::TABLE).into_paginator().send();
        let mut claims = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for item in page.expect("faults spare the test's own requests").items.unwrap_or_default() {
                if let Ok(claim) = Claim::from_item(item) {
                    claims.insert(claim.event_id.clone(), claim);
                }
            }
        }
        claims
    }

    /// Returns the text of each version of each object, by key.
    #[must_use]
    pub fn lake(&self) -> BTreeMap<String, Vec<String>> {
        lake(&self.services)
    }

    /// Returns the `event` of each object, in no particular order. Asserts that each object has one version and is
    /// named after its claim id.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let event = |(key, versions): (String, Vec<String>)| {
            let [content] = &versions[..] else { panic!("{key} has {} versions", versions.len()) };
            let mut object: Value = serde_json::from_str(content).expect("an object is JSON");
            let claim_id = object["claim_id"].as_str().expect("an object has a claim id");
            assert!(key.ends_with(&format!("/{claim_id}.json")), "{key}");
            assert_eq!(object["event_id"], object["event"]["event_id"]);
            object["event"].take()
        };
        self.lake().into_iter().map(event).collect()
    }

    /// Returns true if the lake has a line of this claim.
    #[must_use]
    pub fn is_archived(&self, claim: &Claim) -> bool {
        archived_lines(&self.services).contains_key(&claim.claim_id)
    }

    fn has_lines(&self, claims: &BTreeMap<String, Claim>, unacknowledged: &BTreeSet<Uuid>) -> bool {
        let lines = archived_lines(&self.services);
        let mut ids = claims.values().map(|claim| claim.claim_id);
        ids.all(|id| lines.contains_key(&id) || unacknowledged.contains(&id))
    }

    /// Asserts that each claim has one line, as [`assert_archived_once`] does. [Unacknowledged](Self::unacknowledged) claims
    /// may have no line.
    pub async fn assert_exactly_once(&self) {
        let claims = self.claims().await;
        let unacknowledged = self.unacknowledged(&claims).await;
        assert_archived_once(&self.services, claims.values(), &unacknowledged);
    }

    /// Returns the ids of the packed claims none of whose messages was acknowledged: all are in the dead-letter queue. A
    /// message that was taken out of this queue counts as acknowledged. Knows only messages that [`World::send`] has
    /// sent.
    pub async fn unacknowledged(&self, claims: &BTreeMap<String, Claim>) -> BTreeSet<Uuid> {
        let dead = self.dead_letter_ids().await;
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let event_id = |body: &String| Some(serde_json::from_str::<Value>(body).ok()?["event_id"].as_str()?.to_owned());
        let acknowledged = sent.iter().filter(|(message_id, _)| !dead.contains(*message_id));
        let acknowledged: BTreeSet<String> = acknowledged.filter_map(|(_, body)| event_id(body)).collect();
        let is_unacknowledged = |claim: &&Claim| {
            let is_packed = claim.layout.pack().is_some();
            is_packed && dead.contains(&claim.message_id) && !acknowledged.contains(&claim.event_id)
        };
        claims.values().filter(is_unacknowledged).map(|claim| claim.claim_id).collect()
    }

    /// Returns the ids of the dead letters, which stay in their queue.
    async fn dead_letter_ids(&self) -> BTreeSet<String> {
        let sqs = &self.services.sqs;
        let queue = names::DEAD_LETTER_QUEUE;
        let mut dead = Vec::new();
        while self.counts(queue).visible > 0 {
            dead.extend(sqs.receive(queue, 10, Duration::ZERO, None).await.expect("the queue is there"));
        }
        for message in &dead {
            let shown = sqs.change_visibility(queue, &message.receipt_handle, Duration::ZERO);
            shown.expect("the receipt handle is fresh");
        }
        dead.into_iter().map(|message| message.message_id).collect()
    }

    /// Returns the numbers of visible and in-flight messages in a queue.
    #[must_use]
    pub fn counts(&self, queue: &str) -> Counts {
        self.services.sqs.counts(queue).expect("the queue is there")
    }

    /// Returns the number of dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> usize {
        let counts = self.counts(names::DEAD_LETTER_QUEUE);
        counts.visible + counts.in_flight
    }

    /// Receives and deletes every message in a queue. Returns the bodies by message id.
    pub async fn take_all(&self, queue: &str) -> BTreeMap<String, String> {
        let sqs = &self.services.sqs;
        let mut taken = BTreeMap::new();
        loop {
            let received = sqs.receive(queue, 10, Duration::ZERO, None).await.expect("the queue is there");
            if received.is_empty() {
                return taken;
            }
            for message in received {
                sqs.delete(queue, &message.receipt_handle).expect("the receipt handle is fresh");
                taken.insert(message.message_id, message.body);
            }
        }
    }

    /// Puts an item with string attributes into the table. Simulates a manual edit by an operator.
    pub async fn put_item(&self, attributes: &[(&str, &str)]) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let item = |(name, text): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*text).to_owned()));
        let item = attributes.iter().map(item).collect();
        client.put_item().table_name(names::TABLE).set_item(Some(item)).send().await.expect("the item is put");
    }

    /// Updates the claim of an event. Simulates a manual edit by an operator. In `expression`, `:v` stands for `value`
    /// and `#ttl` for the attribute `ttl`.
    pub async fn update_claim(&self, event_id: &str, expression: &str, value: &str) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let request = client.update_item().table_name(names::TABLE).update_expression(expression);
        let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
        let request = request.key("sk", AttributeValue::S(SORT_KEY.to_owned()));
        let request = request.expression_attribute_values(":v", AttributeValue::S(value.to_owned()));
        // DynamoDB refuses a name that the expression does not use.
        let names = expression.contains("#ttl").then(|| [("#ttl".to_owned(), "ttl".to_owned())].into());
        request.set_expression_attribute_names(names).send().await.expect("the claim is updated");
    }

    /// Returns a function's log lines that have an outcome. `ingest-fn` logs one for each message, `archive-fn` for
    /// each record.
    #[must_use]
    pub fn lines(&self, function: &str) -> Vec<Value> {
        let lines = self.services.logs.lines(&names::log_group(function));
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        lines.filter(|line| line["outcome"].is_string()).collect()
    }

    /// Returns how often a function has logged each outcome.
    #[must_use]
    pub fn outcomes(&self, function: &str) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for line in self.lines(function) {
            *outcomes.entry(line["outcome"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        outcomes
    }
}

/// Returns services on a paused clock that shows `seconds` since 1970.
#[must_use]
pub fn services_at(seconds: u64) -> Arc<Services> {
    Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), SEED)
}

/// Returns the text of each version of each object, by key. Decompresses packs.
///
/// # Panics
/// Panics if an object is not text, or if a pack cannot be decompressed.
#[must_use]
pub fn lake(services: &Services) -> BTreeMap<String, Vec<String>> {
    let mut lake = BTreeMap::new();
    for (key, versions) in services.lakes.versions(names::BUCKET) {
        let texts = versions.iter().map(|content| object_text(&key, content)).collect();
        lake.insert(key, texts);
    }
    lake
}

fn object_text(key: &str, content: &[u8]) -> String {
    let mut text = String::new();
    if key.ends_with(".gz") {
        GzDecoder::new(content).read_to_string(&mut text).expect("a pack is compressed text");
    } else {
        text = String::from_utf8(content.to_vec()).expect("an object is text");
    }
    text
}

/// Returns the lines of all versions of all objects and packs, by the claim ids in the lines. Ignores quarantined records.
///
/// # Panics
/// Panics if a line is not JSON with a claim id, or if a pack cannot be decompressed.
#[must_use]
pub fn archived_lines(services: &Services) -> BTreeMap<Uuid, Vec<ArchivedLine>> {
    let mut lines = BTreeMap::<Uuid, Vec<ArchivedLine>>::new();
    for (key, versions) in lake(services).into_iter().filter(|(key, _)| !key.contains("/_unusable/")) {
        for text in versions.iter().flat_map(|version| version.split_inclusive('\n')) {
            let line: Value = serde_json::from_str(text).expect("a line is JSON");
            let claim_id = line["claim_id"].as_str().and_then(|id| id.parse().ok()).expect("a line has a claim id");
            lines.entry(claim_id).or_default().push(ArchivedLine { key: key.clone(), text: text.to_owned() });
        }
    }
    lines
}

/// Asserts that each claim has one line with the right text, in an object whose key the claim's layout allows, and that the
/// lake has no other line, object or version. The claims in `may_lack_line` may have no line.
///
/// # Panics
/// Panics if one of these assertions fails.
pub fn assert_archived_once<'a>(
    services: &Services,
    claims: impl IntoIterator<Item = &'a Claim>,
    may_lack_line: &BTreeSet<Uuid>,
) {
    let mut lines = archived_lines(services);
    let keys: BTreeSet<String> = lines.values().flatten().map(|line| line.key.clone()).collect();
    let mut objects = lake(services);
    objects.retain(|key, versions| versions.len() != 1 || !keys.contains(key));
    assert!(objects.is_empty(), "objects without a line or with several versions: {objects:?}");
    for claim in claims {
        let found = lines.remove(&claim.claim_id).unwrap_or_default();
        match &found[..] {
            [] => assert!(may_lack_line.contains(&claim.claim_id), "{claim:?} has no line"),
            [line] => {
                let expected = object::object_line(claim).expect("a claim in the table has a line");
                assert_eq!(line.text.as_bytes(), expected, "{line:?}");
                assert!(object_keys(claim).contains(&line.key), "{line:?} of {claim:?}");
            }
            _ => panic!("{claim:?} has several lines: {found:?}"),
        }
    }
    assert!(lines.is_empty(), "lines without a claim: {lines:?}");
}

/// Waits until `condition` holds. `description` ends the panic message: "... waiting until {description}".
///
/// # Panics
/// Panics if the condition does not hold within two hours on the paused clock.
pub async fn wait_until(description: &str, condition: impl Fn() -> bool) {
    wait_until_within(PATIENCE, description, condition).await;
}

/// Waits until `condition` holds. `description` ends the panic message: "... waiting until {description}".
///
/// # Panics
/// Panics if the condition does not hold within `limit`, on the paused clock.
pub async fn wait_until_within(limit: Duration, description: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(limit, waiting).await.unwrap_or_else(|_| panic!("timed out after {limit:?} waiting until {description}"));
}

/// Returns true if a request writes one or more claims.
#[must_use]
pub fn writes_claims(call: &Call<'_>) -> bool {
    matches!(call.operation.as_str(), "PutItem" | "BatchExecuteStatement") && !writes_pack(call)
}

/// Returns true if a request writes a pack to the table.
#[must_use]
pub fn writes_pack(call: &Call<'_>) -> bool {
    call.operation == "PutItem" && has_pack_key(call, "/Item/pk/S")
}

/// Returns true if a request reads a pack from the table.
#[must_use]
pub fn reads_pack(call: &Call<'_>) -> bool {
    call.operation == "GetItem" && has_pack_key(call, "/Key/pk/S")
}

fn has_pack_key(call: &Call<'_>, pointer: &str) -> bool {
    let request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    let partition_key = request.pointer(pointer).and_then(Value::as_str);
    partition_key.is_some_and(|key| key.starts_with("PACK#"))
}

/// Returns true if a request writes an object.
#[must_use]
pub fn writes_object(call: &Call<'_>) -> bool {
    call.service == Service::S3 && call.operation.starts_with("PUT ")
}

/// Returns the body of a request as text. Decompresses the object of a pack.
///
/// # Panics
/// Panics if the body is not text.
#[must_use]
pub fn request_text(call: &Call<'_>) -> String {
    object_text(&call.operation, call.request.body())
}

fn prefix() -> ObjectPrefix {
    ObjectPrefix::parse("events/").expect("the prefix is well formed")
}

/// Returns the key of a claim's object under the default prefix.
#[must_use]
pub fn object_key(claim: &Claim) -> String {
    prefix().object_key(claim)
}

/// Returns the keys, under the default prefix, of the objects that may contain the claim's line.
#[must_use]
pub fn object_keys(claim: &Claim) -> Vec<String> {
    match claim.layout.pack() {
        None => vec![object_key(claim)],
        Some(pack) => [pack.pack_id, claim.claim_id].map(|id| prefix().pack_key(id)).into(),
    }
}

/// Returns a message body that contains only the event id.
#[must_use]
pub fn body(event_id: &str) -> String {
    json!({ "event_id": event_id }).to_string()
}
