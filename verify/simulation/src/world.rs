//! Runs the world of one scenario: runs the steps, ends the faults, and waits until all work is done. The reference
//! model judges the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_types::Blob;
use claim::key::KEY_PREFIX;
use claim::pack;
use emulator::sqs::MAX_MESSAGE_BYTES;
use emulator::{Clock, Services, queue_url};
use pipeline::{Pipeline, names};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fault_kind::FaultKind;
use crate::fault_plan::SeededFaultPlan;
use crate::final_state::FinalState;
use crate::history::{Entry, History};
use crate::judgment::Judgment;
use crate::poison_record::PoisonRecord;
use crate::recorder::Recorder;
use crate::reference_model;
use crate::requests::name_of_image;
use crate::sandboxes::Sandboxes;
use crate::scenario::{Scenario, Step};
use crate::settings::settings;
use crate::workload::{Attribute, Meaning, Message};

/// Every request arrives within this time after it was sent. The fault `RequestLate` delays a request by at most a
/// minute.
const MAX_REQUEST_DELAY: Duration = Duration::from_secs(70);

/// The time for which the stream keeps a record.
pub(crate) const STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after which a mapping that was disabled receives nothing more. A receive from the queue waits at most 20 s,
/// and a batching window of the simulation takes at most 5 s.
const LAST_POLL: Duration = Duration::from_secs(30);

/// Maximum wait for all work to finish after the faults have ended. The work takes far less time: a message is received at
/// most three times, at most 185 s apart, and the stream mapping waits at most half a minute between retries.
const MAX_WAIT_WITHOUT_FAULTS: Duration = Duration::from_secs(2 * 60 * 60);

/// Maximum wait of a step for all work to finish. Faults continue during this wait, so some work may never finish.
const MAX_WAIT_WITH_FAULTS: Duration = Duration::from_secs(20 * 60);

/// Maximum idle time between two redrives. SQS deletes a dead letter 14 days after the message was sent to the queue.
/// The 14th day is left for the other steps of the world. A mapping stays disabled for about a day, so `disable` first
/// redrives the dead letters if less than two days are left until this maximum.
const MAX_IDLE_SECONDS: u64 = 13 * 86_400;

/// The outcome of one world.
#[derive(Debug)]
pub struct Outcome {
    pub judgment: Judgment,
    pub history: History,
    /// Number of times that each kind of fault happened.
    pub fault_counts: BTreeMap<FaultKind, u64>,
    /// Number of messages sent.
    pub messages: usize,
}

/// Runs the world of a scenario and judges it.
///
/// # Panics
/// If the machine lacks the resources for an async runtime.
#[must_use]
pub fn run(scenario: &Scenario) -> Outcome {
    // The SDK draws the jitter of its retries from fastrand's thread-local generator, so the generator must be seeded.
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the machine has resources for a single-threaded runtime").block_on(async {
        let mut world = World::new(scenario);
        for step in &scenario.steps {
            world.run_step(step).await;
        }
        world.finish().await
    })
}

struct World<'a> {
    scenario: &'a Scenario,
    services: Arc<Services>,
    recorder: Arc<Recorder>,
    fault_plan: Arc<SeededFaultPlan>,
    pipeline: Pipeline,
    producer: aws_sdk_sqs::Client,
    /// A client whose requests never fail. It puts poison records into the table and reads the final contents of the
    /// table.
    dynamodb: aws_sdk_dynamodb::Client,
    /// The producer's requests that are in flight.
    sends: JoinSet<()>,
    /// Partition keys of the poison records. The value is true if `archive-fn` must quarantine the record.
    put_by_hand: BTreeMap<String, bool>,
    /// First and last sequence number of each range of discarded records.
    discarded: Vec<(String, String)>,
    /// Seconds of idle time since the dead letters were last redriven.
    idle_seconds: u64,
    /// Time at which a mapping was last disabled.
    disabled_at: Instant,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + scenario.epoch);
        let recorder = Arc::new(Recorder::new(clock));
        let fault_plan = Arc::new(SeededFaultPlan::new(scenario, Arc::clone(&recorder)));
        let services = Services::with_fault_plan(clock, scenario.seed, Arc::clone(&fault_plan) as _);
        let faults = Arc::clone(&fault_plan);
        services.faults.set(move |call| faults.fault(call));

        let settings = settings(scenario);
        let sandboxes = Sandboxes::new(services.clock, &recorder, &fault_plan, scenario);
        let pipeline = Pipeline::start_decorated(&services, settings, scenario.seed, sandboxes);
        let sdk = services.sdk_config();
        let producer = aws_sdk_sqs::config::Builder::from(&sdk)
            .retry_partition(RetryPartition::custom("producer").build())
            .build();
        Self {
            scenario,
            producer: aws_sdk_sqs::Client::from_conf(producer),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            services,
            recorder,
            fault_plan,
            pipeline,
            sends: JoinSet::new(),
            put_by_hand: BTreeMap::new(),
            discarded: Vec::new(),
            idle_seconds: 0,
            disabled_at: Instant::now(),
        }
    }

    async fn run_step(&mut self, step: &Step) {
        match step {
            Step::Send(messages) => self.send(messages),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::DeleteExpired if self.fault_plan.draw(FaultKind::TtlDeletion).is_some() => {
                self.recorder.record(Entry::TtlDeleted(self.services.tables.sweep_ttl()));
            }
            Step::ScaleIn if self.fault_plan.draw(FaultKind::ScaledIn).is_some() => {
                self.recorder.record(Entry::ScaledIn);
                self.pipeline.ingest.scale_in();
                self.pipeline.archive.scale_in();
            }
            Step::Redrive if self.fault_plan.draw(FaultKind::Redrive).is_some() => self.redrive().await,
            Step::Idle(seconds) if self.fault_plan.draw(FaultKind::IdlePeriod).is_some() => self.idle(*seconds).await,
            Step::Disable("ingest") if self.fault_plan.draw(FaultKind::IngestDisabled).is_some() => {
                self.disable("ingest").await;
            }
            Step::Disable("archive") if self.fault_plan.draw(FaultKind::ArchiveDisabled).is_some() => {
                self.disable("archive").await;
            }
            Step::Enable(seconds) => self.enable(*seconds).await,
            Step::KeepDeadLetters(seconds) if self.fault_plan.draw(FaultKind::DeadLettersKept).is_some() => {
                self.keep_dead_letters(*seconds).await;
            }
            Step::PutByHand(n) if self.fault_plan.draw(FaultKind::PoisonRecord).is_some() => {
                let pk = format!("{KEY_PREFIX}by-hand-{}", self.put_by_hand.len());
                self.put_poison_record(&pk, *n).await;
            }
            Step::BlockFirstEvent if self.fault_plan.draw(FaultKind::PoisonRecord).is_some() => {
                if let Meaning::Event { id, .. } = &self.scenario.messages[0].meaning {
                    self.put_poison_record(&format!("{KEY_PREFIX}{id}"), 0).await;
                }
            }
            Step::DeleteExpired
            | Step::ScaleIn
            | Step::Redrive
            | Step::Idle(_)
            | Step::Disable(_)
            | Step::KeepDeadLetters(_)
            | Step::PutByHand(_)
            | Step::BlockFirstEvent => {}
        }
    }

    /// Sends messages in the background, and does not wait for the answers.
    fn send(&mut self, messages: &[usize]) {
        let mut requests: Vec<(usize, Vec<usize>)> = Vec::new();
        for &message in messages {
            let bytes = self.scenario.messages[message].bytes();
            match requests.last_mut() {
                Some((sum, request)) if request.len() < 10 && *sum + bytes <= MAX_MESSAGE_BYTES => {
                    *sum += bytes;
                    request.push(message);
                }
                _ => requests.push((bytes, vec![message])),
            }
        }
        for (_, messages) in requests {
            let entries = messages.iter().map(|&message| entry(message, &self.scenario.messages[message])).collect();
            let request = self.producer.send_message_batch().queue_url(queue_url(names::QUEUE));
            let request = request.set_entries(Some(entries));
            let recorder = Arc::clone(&self.recorder);
            self.sends.spawn(async move {
                let result = match request.send().await {
                    Ok(sent) if sent.failed().is_empty() => Ok(()),
                    Ok(sent) => Err(format!("{:?}", sent.failed())),
                    Err(error) => Err(error.to_string()),
                };
                recorder.record(Entry::Sent { messages, result });
            });
        }
    }

    /// Moves all dead letters back to the queue. Each one gets a new message id and a new enqueue time, as with
    /// `StartMessageMoveTask` on AWS.
    async fn redrive(&mut self) {
        self.idle_seconds = 0;
        let sqs = &self.services.sqs;
        loop {
            let letters = sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).await;
            let letters = letters.expect("the queue exists");
            if letters.is_empty() {
                return;
            }
            for letter in letters {
                let new_id = sqs.send_message(names::QUEUE, letter.content()).expect("the queue accepted this before");
                self.recorder.record(Entry::Redriven { old_id: letter.message_id, new_id });
                sqs.delete(names::DEAD_LETTER_QUEUE, &letter.receipt_handle).expect("the queue issued this handle");
            }
        }
    }

    /// Waits until all work is done, and then advances the clock by `seconds`. If SQS would delete dead letters in that
    /// time, advances the clock in parts. Between the parts, redrives the dead letters and waits again. Stops if the
    /// work does not finish. Does nothing while a mapping is disabled.
    async fn idle(&mut self, mut seconds: u64) {
        // While a mapping is disabled, only `enable` may let hours pass. Otherwise the mapping would stay disabled for
        // longer than `Step::Enable` says.
        while seconds > 0 && self.fault_plan.disabled().is_none() {
            if self.idle_seconds >= MAX_IDLE_SECONDS {
                self.redrive().await;
            }
            tokio::time::sleep(MAX_REQUEST_DELAY).await;
            if self.wait_until_done(MAX_WAIT_WITH_FAULTS).await.is_err() {
                return;
            }
            let part = seconds.min(MAX_IDLE_SECONDS - self.idle_seconds);
            self.recorder.record(Entry::Idle(part));
            tokio::time::advance(Duration::from_secs(part)).await;
            self.idle_seconds += part;
            seconds -= part;
        }
    }

    /// Waits until all work is done, and then disables a mapping. If the work does not finish, the mapping stays
    /// enabled.
    async fn disable(&mut self, function: &'static str) {
        if self.idle_seconds + 2 * 86_400 > MAX_IDLE_SECONDS {
            self.redrive().await;
        }
        tokio::time::sleep(MAX_REQUEST_DELAY).await;
        if self.wait_until_done(MAX_WAIT_WITH_FAULTS).await.is_ok() {
            self.fault_plan.disable(function);
            self.disabled_at = Instant::now();
            tokio::time::sleep(LAST_POLL).await;
        }
    }

    /// Waits until the work that does not depend on the disabled mapping is done. Then advances the clock until the
    /// mapping has been disabled for `seconds`, and enables the mapping. If the work does not finish, enables the
    /// mapping without advancing the clock.
    async fn enable(&mut self, seconds: u64) {
        let Some(function) = self.fault_plan.disabled() else { return };
        tokio::time::sleep(MAX_REQUEST_DELAY).await;
        if self.wait_until_done(MAX_WAIT_WITH_FAULTS).await.is_ok() {
            let end = self.disabled_at + Duration::from_secs(seconds);
            let left = end.saturating_duration_since(Instant::now());
            self.recorder.record(Entry::Idle(left.as_secs()));
            self.idle_seconds += left.as_secs();
            tokio::time::advance(left).await;
        }
        if function == "ingest" {
            let counts = self.services.sqs.counts(names::QUEUE).expect("the queue exists");
            self.recorder.record(Entry::QueueCounted(counts.visible + counts.in_flight));
        }
        self.fault_plan.enable();
    }

    /// Redrives the dead letters and waits until all work is done, so that no dead letter is old. Then leaves the dead
    /// letters in their queue for `seconds`, and redrives those that SQS has not deleted.
    async fn keep_dead_letters(&mut self, seconds: u64) {
        self.redrive().await;
        tokio::time::sleep(MAX_REQUEST_DELAY).await;
        if self.wait_until_done(MAX_WAIT_WITH_FAULTS).await.is_err() {
            return;
        }
        self.list_dead_letters().await;
        self.recorder.record(Entry::Idle(seconds));
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.list_dead_letters().await;
        self.redrive().await;
    }

    async fn list_dead_letters(&self) {
        let ids = self.dead_letters().await;
        self.recorder.record(Entry::DeadLettersListed(ids));
        // Wait until the letters are visible again.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Returns the ids of the messages in the dead-letter queue, and hides them for a second.
    async fn dead_letters(&self) -> BTreeSet<String> {
        let hidden = Some(Duration::from_secs(1));
        let mut ids = BTreeSet::new();
        loop {
            let letters = self.services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, hidden).await;
            let letters = letters.expect("the queue exists");
            if letters.is_empty() {
                return ids;
            }
            ids.extend(letters.into_iter().map(|letter| letter.message_id));
        }
    }

    /// Puts the poison record number `n` into the table. `archive-fn` must quarantine or skip the record.
    async fn put_poison_record(&mut self, pk: &str, n: usize) {
        let PoisonRecord { item, is_quarantined } = PoisonRecord::new(n, pk, &self.scenario.rules.sort_key());
        let pk = item["pk"].as_s().expect("the partition key is text").clone();
        if is_quarantined {
            self.recorder.expect_object(&pk);
        }
        self.put_by_hand.insert(pk, is_quarantined);
        let put = self.dynamodb.put_item().table_name(names::TABLE).set_item(Some(item)).send().await;
        put.expect("requests made by hand never fail");
    }

    /// Waits until all work is done: no function runs, no request is in flight, the queue is empty, and every item that
    /// must become an object has one, unless its record was discarded or has left the stream. Does not wait for the
    /// work of a disabled mapping. Returns a description of the unfinished work if the work is not done after
    /// `max_wait`.
    async fn wait_until_done(&mut self, max_wait: Duration) -> Result<(), String> {
        let deadline = Instant::now() + max_wait;
        loop {
            while self.sends.try_join_next().is_some() {}
            let counts = self.services.sqs.counts(names::QUEUE).expect("the queue exists");
            let mut messages = counts.visible + counts.in_flight;
            let mut without_object = self.recorder.without_object(STREAM_RETENTION);
            match self.fault_plan.disabled() {
                Some("ingest") => messages = 0,
                Some(_) => without_object.clear(),
                None => {}
            }
            if messages == 0 && !without_object.is_empty() {
                self.read_on_failure_queue().await;
                without_object.retain(|name| !self.is_discarded(name));
            }
            if messages == 0 && without_object.is_empty() && self.sends.is_empty() && self.recorder.is_idle() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let sends = self.sends.len();
                return Err(format!(
                    "{messages} messages in the queue, {sends} producer requests in flight, no object yet for {without_object:?}"
                ));
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    async fn read_on_failure_queue(&mut self) {
        let sqs = &self.services.sqs;
        loop {
            let messages = sqs.receive(names::ON_FAILURE_QUEUE, 10, Duration::ZERO, None).await;
            let messages = messages.expect("the queue exists");
            if messages.is_empty() {
                return;
            }
            for message in messages {
                let body: Value = serde_json::from_str(&message.body).expect("the mapping writes JSON");
                let number = |name: &str| body["DDBStreamBatchInfo"][name].as_str().unwrap_or_default().to_owned();
                self.discarded.push((number("startSequenceNumber"), number("endSequenceNumber")));
                sqs.delete(names::ON_FAILURE_QUEUE, &message.receipt_handle).expect("the queue issued this handle");
            }
        }
    }

    fn is_discarded(&self, name: &str) -> bool {
        if self.discarded.is_empty() {
            return false;
        }
        let numbers = self.sequence_numbers();
        let is_named = |number: &String| self.discarded.iter().any(|(first, last)| first <= number && number <= last);
        numbers.get(name).is_some_and(|numbers| numbers.iter().any(is_named))
    }

    fn sequence_numbers(&self) -> BTreeMap<String, Vec<String>> {
        let mut numbers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, image) in self.services.tables.stream_records(&self.pipeline.stream_arn) {
            let Some(image) = image else { continue };
            numbers.entry(name_of_image(&image)).or_default().push(number);
        }
        numbers
    }

    /// Ends all faults, sends the last message, and waits until all work is done. Then redrives the dead letters, waits
    /// again, and judges the final state.
    async fn finish(mut self) -> Outcome {
        self.fault_plan.enable();
        self.fault_plan.end();
        let mut unfinished = Vec::new();
        tokio::time::sleep(MAX_REQUEST_DELAY).await;
        self.send(&[self.scenario.messages.len() - 1]);
        if let Err(work) = self.wait_until_done(MAX_WAIT_WITHOUT_FAULTS).await {
            unfinished.push(format!("unfinished two hours after the last fault: {work}"));
        } else {
            self.redrive().await;
            if let Err(work) = self.wait_until_done(MAX_WAIT_WITHOUT_FAULTS).await {
                unfinished.push(format!("unfinished two hours after the last redrive: {work}"));
            }
        }
        let failure = tokio::time::timeout(Duration::from_secs(1), self.pipeline.wait_for_failure()).await;
        unfinished.extend(failure.ok());
        let final_state = self.final_state(unfinished).await;
        let history = self.recorder.end();
        let judgment = reference_model::judge(self.scenario, &history, &final_state);
        let messages = self.scenario.sent().len() + 1;
        Outcome { judgment, history, fault_counts: self.fault_plan.counts(), messages }
    }

    async fn final_state(&mut self, unfinished: Vec<String>) -> FinalState {
        self.read_on_failure_queue().await;
        let mut table = BTreeMap::new();
        let mut packs = BTreeSet::new();
        let mut pages = self.dynamodb.scan().table_name(names::TABLE).into_paginator().send();
        while let Some(page) = pages.next().await {
            for item in page.expect("requests made by hand never fail").items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
                match text("pk").strip_prefix(pack::KEY_PREFIX) {
                    Some(pack_id) => drop(packs.insert(pack_id.to_owned())),
                    None => drop(table.insert(text("pk"), text("claim_id"))),
                }
            }
        }
        let dead_letters = self.dead_letters().await;
        FinalState {
            table,
            packs,
            sequence_numbers: self.sequence_numbers(),
            objects: self.services.lakes.versions(names::BUCKET),
            dead_letters,
            discarded: std::mem::take(&mut self.discarded),
            put_by_hand: self.put_by_hand.clone(),
            unfinished,
        }
    }
}

/// Returns the entry for `message` in a `SendMessageBatch` request. The entry's id is `position`.
fn entry(position: usize, message: &Message) -> SendMessageBatchRequestEntry {
    let mut entry = SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(&message.body);
    for Attribute { name, data_type, value } in &message.attributes {
        let attribute = MessageAttributeValue::builder().data_type(*data_type);
        let attribute = match *data_type {
            "Binary" => attribute.binary_value(Blob::new(value.as_bytes())),
            _ => attribute.string_value(value),
        };
        entry = entry.message_attributes(*name, attribute.build().expect("the data type is set"));
    }
    if let Some(header) = &message.trace_header {
        let header = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build();
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        entry = entry.message_system_attributes(name, header.expect("the data type is set"));
    }
    entry.build().expect("id and body are set")
}
