//! A warm sandbox of the function under test, and the emulator's table.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, EventRules, Pack, SourceMessage, pack};
use emulator::{Clock, Fault, Service, Services};
use ingest_fn::{CachedClaim, ClaimTable, Config, Handler};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;

pub(crate) const TABLE: &str = "claims";

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const WINDOW: u64 = 1_000;

/// Id of the additional message in each batch if `has_bystander` is true.
const BYSTANDER: &str = "bystander";

/// The sandbox, and the services that the function calls.
pub(crate) struct World {
    pub(crate) services: Arc<Services>,
    handler: Handler,
    pub(crate) log: lambda_support::LogWriter,
    /// True if each batch gets an additional event. `deliver`, `lines` and `outcomes` leave this event out.
    has_bystander: bool,
    delivered: AtomicUsize,
    /// Operation and body of each request that was sent.
    sent: Arc<Mutex<Vec<(String, Value)>>>,
}

impl World {
    /// Returns a new sandbox. With batched claims, every batch gets an additional event, because the function does not batch
    /// the claim of a single event.
    pub(crate) fn new(writes: &str, set: &[(&str, &str)]) -> Self {
        let calls = AtomicUsize::new(0);
        Self::with(
            writes,
            set,
            Box::new(move || [u8::try_from(calls.fetch_add(1, Ordering::SeqCst) % 256).unwrap(); 10]),
        )
    }

    /// Returns a new sandbox with batched claims and without additional events.
    pub(crate) fn batched(set: &[(&str, &str)]) -> Self {
        Self { has_bystander: false, ..Self::new("batch", set) }
    }

    pub(crate) fn with(writes: &str, set: &[(&str, &str)], random: ingest_fn::Random) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let services = Services::on_clock(clock, 1);
        let _ = services.tables.create_claim_table(TABLE);
        Self::on(services, writes, set, random)
    }

    /// Returns a new sandbox that uses the same services as this one.
    pub(crate) fn beside(&self, writes: &str, set: &[(&str, &str)]) -> Self {
        let calls = AtomicUsize::new(100);
        let random = move || [u8::try_from(calls.fetch_add(1, Ordering::SeqCst) % 256).unwrap(); 10];
        Self::on(Arc::clone(&self.services), writes, set, Box::new(random))
    }

    fn on(services: Arc<Services>, writes: &str, set: &[(&str, &str)], random: ingest_fn::Random) -> Self {
        let look_up = |variable: &str| match variable {
            "TABLE_NAME" => Some(TABLE.to_owned()),
            "DEDUP_WINDOW_SECONDS" => Some(WINDOW.to_string()),
            "CLAIM_WRITES" => Some(writes.to_owned()),
            _ => set.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned()),
        };
        let config = Config::from_variables(&lambda_support::Variables::new(&look_up)).unwrap();
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        let table = ClaimTable::new(client, TABLE, config.rules.clone());
        let log = services.logs.writer("log");
        let handler = Handler::new(config, table, log.clone(), services.clock.shared(), random);
        let has_bystander = writes == "batch" && !set.contains(&("LAKE_LAYOUT", "packs"));
        let delivered = AtomicUsize::new(0);
        let world = Self { services, handler, log, has_bystander, delivered, sent: Arc::default() };
        world.fail(|_| None);
        world
    }

    /// From now on, injects `fault(n)` into request `n`, counted from 0.
    pub(crate) fn fail(&self, fault: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) {
        self.fail_on(move |_, n| fault(n));
    }

    /// From now on, injects `fault(operation, n)` into request `n`, counted from 0.
    pub(crate) fn fail_on(&self, fault: impl Fn(&str, usize) -> Option<Fault> + Send + Sync + 'static) {
        self.fail_requests(move |operation, _, n| fault(operation, n));
    }

    /// From now on, injects `fault(operation, body, n)` into request `n`, counted from 0.
    pub(crate) fn fail_requests(&self, fault: impl Fn(&str, &Value, usize) -> Option<Fault> + Send + Sync + 'static) {
        let sent = Arc::clone(&self.sent);
        let count = AtomicUsize::new(0);
        self.services.faults.set(move |call| {
            assert_eq!(call.service, Service::DynamoDb);
            match call.operation.as_str() {
                "PutItem" | "BatchExecuteStatement" | "GetItem" => {}
                "Scan" => return None, // sent by a test
                other => panic!("unexpected operation {other}"),
            }
            let body: Value = serde_json::from_slice(call.request.body()).unwrap();
            let fault = fault(&call.operation, &body, count.fetch_add(1, Ordering::SeqCst));
            sent.lock().unwrap().push((call.operation.clone(), body));
            fault
        });
    }

    /// Delivers bodies as messages `m0`, `m1`, .. and returns the ids of the messages that the function reports as failed,
    /// sorted.
    pub(crate) async fn deliver(&self, bodies: &[&str]) -> Vec<String> {
        let records = bodies.iter().enumerate().map(|(n, body)| json!({"messageId": format!("m{n}"), "body": body}));
        self.deliver_records(records.collect()).await
    }

    pub(crate) async fn deliver_records(&self, records: Vec<Value>) -> Vec<String> {
        self.deliver_within(30_000, records).await
    }

    pub(crate) async fn deliver_within(&self, left_ms: u64, mut records: Vec<Value>) -> Vec<String> {
        if self.has_bystander {
            let id = format!("bystander {}", self.delivered.fetch_add(1, Ordering::SeqCst));
            let body = json!({ "event_id": &id, "meta": { "id": &id } }).to_string();
            records.push(json!({ "messageId": BYSTANDER, "body": body }));
        }
        let envelope = serde_json::from_str(&json!({ "Records": records }).to_string()).unwrap();
        let mut context = lambda_runtime::Context::default();
        context.deadline = self.services.clock.now_ms() + left_ms;
        let log = lambda_support::logs::dispatch(self.log.clone(), LevelFilter::INFO, self.services.clock.shared());
        let work = self.handler.handle(lambda_runtime::LambdaEvent::new(envelope, context)).with_subscriber(log);
        let response = work.await.unwrap();
        let mut reported: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        reported.retain(|id| id != BYSTANDER);
        reported.sort();
        reported
    }

    /// Returns the claims in the table, sorted by event id.
    pub(crate) async fn claims(&self) -> Vec<Claim> {
        let items = self.items().await;
        let claims = items.into_iter().filter(|item| item.get("sk") != Some(&AttributeValue::S(pack::SORT_KEY.into())));
        let mut claims: Vec<Claim> = claims.map(|item| Claim::from_item(item).unwrap()).collect();
        claims.sort_by(|one, other| one.event_id.cmp(&other.event_id));
        claims
    }

    /// Returns the packs in the table, sorted by id.
    pub(crate) async fn packs(&self) -> Vec<Pack> {
        let mut packs: Vec<Pack> =
            self.items().await.into_iter().filter_map(|item| Pack::from_item(item).ok()).collect();
        packs.sort_by_key(|pack| pack.pack_id);
        packs
    }

    async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let mut pages = client.scan().table_name(TABLE).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.unwrap());
        }
        items
    }

    /// Returns the claims in the sandbox's warm cache.
    pub(crate) fn cached_claims(&self) -> Vec<CachedClaim> {
        self.handler.cached_claims()
    }

    /// Claims the events `ids` as another sandbox would. Then clears the list of sent requests.
    pub(crate) async fn hold_claims(&self, ids: Range<usize>) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        for id in ids {
            let body = format!(r#"{{"event_id":"{id}"}}"#);
            let event = EventRules::default().event(&body, None).unwrap();
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            let claim =
                Claim::new(&event, &SourceMessage::new("another", &body), now, Duration::from_secs(WINDOW), &[7; 10])
                    .unwrap();
            let put = client.put_item().table_name(TABLE).set_item(Some(claim.to_item().into()));
            put.send().await.unwrap();
        }
        self.sent.lock().unwrap().clear();
    }

    /// Writes an item directly into the table.
    pub(crate) async fn hold(&self, item: Value) {
        let item: HashMap<String, serde_dynamo::AttributeValue> = serde_json::from_value(item).unwrap();
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let put = client.put_item().table_name(TABLE).set_item(Some(serde_dynamo::Item::from(item).into()));
        put.send().await.unwrap();
    }

    /// Returns all lines that the function has logged so far, except those about the additional event.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.services.logs.lines("log");
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message_id"] != BYSTANDER).collect()
    }

    /// Returns `message_id outcome` for each message of the last batch, sorted.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let mut lines = self.lines();
        assert_eq!(lines.pop().unwrap()["message"], "batch done");
        let batch = lines.rsplit(|line| line["message"] == "batch done").next().unwrap();
        let outcome = |line: &Value| {
            Some(format!("{} {}", line["message_id"].as_str().unwrap_or("-"), line["outcome"].as_str()?))
        };
        let mut outcomes: Vec<String> = batch.iter().filter_map(outcome).collect();
        outcomes.sort();
        outcomes
    }

    /// Returns the bodies of all requests for an operation that were sent so far.
    pub(crate) fn sent(&self, operation: &str) -> Vec<Value> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|(sent_operation, _)| sent_operation == operation).map(|(_, body)| body.clone()).collect()
    }

    /// Returns the number of requests that were sent so far.
    pub(crate) fn requests(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}
