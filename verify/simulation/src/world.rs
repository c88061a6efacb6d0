//! One run: a scenario from its first message until nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_smithy_runtime::client::retries::RetryPartition;
use bytes::Bytes;
use claim::record::KEY_PREFIX;
use emulator::sqs::MAX_MESSAGE_BYTES;
use emulator::{Clock, Services, queue_url};
use ingest_fn::ClaimWrites;
use lambda_support::Variables;
use pipeline::{Pipeline, PipelineSettings, names};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::faults::{Dice, FaultKind, name_of_image};
use crate::history::{Entry, History, Recorder};
use crate::judgement::Judgement;
use crate::poison_record::PoisonRecord;
use crate::reference_model;
use crate::sandbox::Sandboxes;
use crate::scenario::{Scenario, Step};
use crate::workload::Meaning;

/// After this long, every request that was ever sent has arrived: `RequestLate` is a minute at the most.
const ALL_ARRIVED: Duration = Duration::from_secs(70);

/// Without faults, everything is done well before: three receives, each up to 185 s apart, and back-offs of half a minute.
const CALM_BOUND: Duration = Duration::from_secs(2 * 60 * 60);

/// Amid faults, time is not passed over before everything is done, but not waited for without end either.
const FAULTY_BOUND: Duration = Duration::from_secs(20 * 60);

/// A dead letter is kept for 14 days from its first enqueue; a day is left for what a world does meanwhile.
const DEAD_LETTER_SECONDS: u64 = 13 * 86_400;

/// What came of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// What must always hold and did not, and how messages ended.
    pub judgement: Judgement,
    /// What happened.
    pub history: History,
    /// How often each kind of fault happened.
    pub hits: BTreeMap<FaultKind, u64>,
    /// Messages that were sent.
    pub messages: usize,
}

/// What is there when nothing moves any more.
#[derive(Debug)]
pub struct Remains {
    /// Partition key and claim id of each item; an empty id if it has none.
    pub table: BTreeMap<String, String>,
    /// Sequence numbers of the stream's records, by claim id, or by partition key for what is no claim of `ingest-fn`'s.
    pub sequence_numbers: BTreeMap<String, Vec<String>>,
    /// The content of every version of every object.
    pub objects: BTreeMap<String, Vec<Bytes>>,
    /// Message ids in the dead-letter queue.
    pub dead_letters: BTreeSet<String>,
    /// First and last sequence number of what the on-failure queue says was given up.
    pub given_up: Vec<(String, String)>,
    /// What was put into the table by hand, by its partition key, and whether it must be quarantined.
    pub by_hand: BTreeMap<String, bool>,
    /// Why the world did not come to rest, if it did not.
    pub unrest: Vec<String>,
}

/// Runs a scenario.
///
/// # Panics
/// If the runtime cannot be made, which takes an exhausted machine.
#[must_use]
pub fn run(scenario: &Scenario) -> Outcome {
    // The SDK's jitter.
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread can be made").block_on(async {
        let mut world = World::new(scenario);
        for step in &scenario.steps {
            world.step(step).await;
        }
        world.end().await
    })
}

struct World<'a> {
    scenario: &'a Scenario,
    services: Arc<Services>,
    recorder: Arc<Recorder>,
    dice: Arc<Dice>,
    pipeline: Pipeline,
    producer: aws_sdk_sqs::Client,
    hand: aws_sdk_dynamodb::Client,
    sending: JoinSet<()>,
    by_hand: BTreeMap<String, bool>,
    given_up: Vec<(String, String)>,
    /// Since the dead letters were last redriven.
    passed_seconds: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + scenario.epoch);
        let recorder = Arc::new(Recorder::new(clock));
        let dice = Arc::new(Dice::new(scenario, Arc::clone(&recorder)));
        let services = Services::with_fault_plan(clock, scenario.seed, Arc::clone(&dice) as _);
        let faults = Arc::clone(&dice);
        services.faults.set(move |call| faults.fault(call));

        let settings = settings(scenario);
        let sandboxes = Sandboxes::new(services.clock, &recorder, &dice, scenario);
        let pipeline = Pipeline::start_decorated(&services, settings, scenario.seed, sandboxes);
        let sdk = services.sdk_config();
        let producer = aws_sdk_sqs::config::Builder::from(&sdk)
            .retry_partition(RetryPartition::custom("producer").build())
            .build();
        Self {
            scenario,
            producer: aws_sdk_sqs::Client::from_conf(producer),
            hand: aws_sdk_dynamodb::Client::new(&sdk),
            services,
            recorder,
            dice,
            pipeline,
            sending: JoinSet::new(),
            by_hand: BTreeMap::new(),
            given_up: Vec::new(),
            passed_seconds: 0,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Send(messages) => self.send(messages),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Sweep if self.dice.roll(FaultKind::TtlDeletion).is_some() => {
                self.recorder.note(Entry::Swept(self.services.tables.sweep_ttl()));
            }
            Step::ScaleIn if self.dice.roll(FaultKind::ScaledIn).is_some() => {
                self.recorder.note(Entry::ScaledIn);
                self.pipeline.ingest.scale_in();
                self.pipeline.archive.scale_in();
            }
            Step::Redrive if self.dice.roll(FaultKind::Redrive).is_some() => self.redrive().await,
            Step::Pass(seconds) if self.dice.roll(FaultKind::DaysPass).is_some() => self.pass(*seconds).await,
            Step::PutByHand(n) if self.dice.roll(FaultKind::PoisonRecord).is_some() => {
                let pk = format!("{KEY_PREFIX}by-hand-{}", self.by_hand.len());
                self.put_by_hand(&pk, *n).await;
            }
            Step::BlockFirstEvent if self.dice.roll(FaultKind::PoisonRecord).is_some() => {
                if let Meaning::Event { id, .. } = &self.scenario.messages[0].meaning {
                    self.put_by_hand(&format!("{KEY_PREFIX}{id}"), 0).await;
                }
            }
            Step::Sweep
            | Step::ScaleIn
            | Step::Redrive
            | Step::Pass(_)
            | Step::PutByHand(_)
            | Step::BlockFirstEvent => {}
        }
    }

    /// Sends in the background, as producers do.
    fn send(&mut self, messages: &[usize]) {
        let mut requests: Vec<(usize, Vec<usize>)> = Vec::new();
        for &message in messages {
            let bytes = self.scenario.messages[message].body.len();
            match requests.last_mut() {
                Some((sum, request)) if request.len() < 10 && *sum + bytes <= MAX_MESSAGE_BYTES => {
                    *sum += bytes;
                    request.push(message);
                }
                _ => requests.push((bytes, vec![message])),
            }
        }
        for (_, messages) in requests {
            let entry = |&message: &usize| {
                let body = &self.scenario.messages[message].body;
                let entry = SendMessageBatchRequestEntry::builder().id(message.to_string()).message_body(body);
                entry.build().expect("id and body are set")
            };
            let entries = messages.iter().map(entry).collect();
            let request = self.producer.send_message_batch().queue_url(queue_url(names::QUEUE));
            let (request, recorder) = (request.set_entries(Some(entries)), Arc::clone(&self.recorder));
            self.sending.spawn(async move {
                let known = match request.send().await {
                    Ok(sent) if sent.failed().is_empty() => Ok(()),
                    Ok(sent) => Err(format!("{:?}", sent.failed())),
                    Err(error) => Err(error.to_string()),
                };
                recorder.note(Entry::Sent { messages, known });
            });
        }
    }

    /// Moves what is in the dead-letter queue back, as `StartMessageMoveTask` does: with a new id and a new enqueue time.
    async fn redrive(&mut self) {
        self.passed_seconds = 0;
        let sqs = &self.services.sqs;
        loop {
            let dead = sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).await;
            let dead = dead.expect("the queue is there");
            if dead.is_empty() {
                return;
            }
            for letter in dead {
                let new = sqs.send(names::QUEUE, &letter.body).expect("it was sent before");
                self.recorder.note(Entry::Redriven { old: letter.message_id, new });
                sqs.delete(names::DEAD_LETTER_QUEUE, &letter.receipt_handle).expect("the queue gave this handle");
            }
        }
    }

    /// Lets time pass in which nobody does anything, if everything comes to rest before. Dead letters are redriven before they
    /// are too old.
    async fn pass(&mut self, mut seconds: u64) {
        while seconds > 0 {
            if self.passed_seconds == DEAD_LETTER_SECONDS {
                self.redrive().await;
            }
            tokio::time::sleep(ALL_ARRIVED).await;
            if self.rest(FAULTY_BOUND).await.is_err() {
                return;
            }
            let part = seconds.min(DEAD_LETTER_SECONDS - self.passed_seconds);
            self.recorder.note(Entry::Passed(part));
            tokio::time::advance(Duration::from_secs(part)).await;
            self.passed_seconds += part;
            seconds -= part;
        }
    }

    /// Puts an item into the table that `archive-fn` has to quarantine, or to pass over.
    async fn put_by_hand(&mut self, pk: &str, n: usize) {
        let PoisonRecord { item, is_quarantined } = PoisonRecord::new(n, pk);
        let pk = item["pk"].as_s().expect("it is text").clone();
        if is_quarantined {
            self.recorder.awaits_object(&pk);
        }
        self.by_hand.insert(pk, is_quarantined);
        let put = self.hand.put_item().table_name(names::TABLE).set_item(Some(item)).send().await;
        put.expect("nothing goes wrong with what is done by hand");
    }

    /// Waits until nothing is under way any more: no function runs, no request is on its way, the queue is empty, and each
    /// claim has its object, or was given up.
    async fn rest(&mut self, bound: Duration) -> Result<(), String> {
        let give_up = Instant::now() + bound;
        loop {
            while self.sending.try_join_next().is_some() {}
            let counts = self.services.sqs.counts(names::QUEUE).expect("the queue is there");
            let messages = counts.visible + counts.in_flight;
            let mut without_object = self.recorder.without_object();
            if messages == 0 && !without_object.is_empty() {
                self.read_on_failure_queue().await;
                without_object.retain(|name| !self.is_given_up(name));
            }
            if messages == 0 && without_object.is_empty() && self.sending.is_empty() && self.recorder.is_idle() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                let sending = self.sending.len();
                return Err(format!(
                    "{messages} messages in the queue, {sending} requests under way, without an object: {without_object:?}"
                ));
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    async fn read_on_failure_queue(&mut self) {
        let sqs = &self.services.sqs;
        loop {
            let told = sqs.receive(names::ON_FAILURE_QUEUE, 10, Duration::ZERO, None).await;
            let told = told.expect("the queue is there");
            if told.is_empty() {
                return;
            }
            for message in told {
                let said: Value = serde_json::from_str(&message.body).expect("the mapping writes JSON");
                let number = |name: &str| said["DDBStreamBatchInfo"][name].as_str().unwrap_or_default().to_owned();
                self.given_up.push((number("startSequenceNumber"), number("endSequenceNumber")));
                sqs.delete(names::ON_FAILURE_QUEUE, &message.receipt_handle).expect("the queue gave this handle");
            }
        }
    }

    fn is_given_up(&self, name: &str) -> bool {
        if self.given_up.is_empty() {
            return false;
        }
        let numbers = self.sequence_numbers();
        let named = |number: &String| self.given_up.iter().any(|(first, last)| first <= number && number <= last);
        numbers.get(name).is_some_and(|numbers| numbers.iter().any(named))
    }

    fn sequence_numbers(&self) -> BTreeMap<String, Vec<String>> {
        let mut numbers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, image) in self.services.tables.stream_records(&self.pipeline.stream_arn) {
            let Some(image) = image else { continue };
            numbers.entry(name_of_image(&image)).or_default().push(number);
        }
        numbers
    }

    /// Ends all faults, waits until nothing moves, redrives what is dead, waits again, and has a look.
    async fn end(mut self) -> Outcome {
        self.dice.calm();
        let mut unrest = Vec::new();
        tokio::time::sleep(ALL_ARRIVED).await;
        self.send(&[self.scenario.messages.len() - 1]);
        if let Err(what) = self.rest(CALM_BOUND).await {
            unrest.push(format!("two hours after the last fault there are still {what}"));
        } else {
            self.redrive().await;
            if let Err(what) = self.rest(CALM_BOUND).await {
                unrest.push(format!("two hours after the last redrive there are still {what}"));
            }
        }
        let broken = tokio::time::timeout(Duration::from_secs(1), self.pipeline.broken()).await;
        unrest.extend(broken.ok());
        let remains = self.remains(unrest).await;
        let history = self.recorder.end();
        let judgement = reference_model::judge(self.scenario, &history, &remains);
        let messages = self.scenario.sent().len() + 1;
        Outcome { judgement, history, hits: self.dice.hits(), messages }
    }

    async fn remains(&mut self, unrest: Vec<String>) -> Remains {
        self.read_on_failure_queue().await;
        let mut table = BTreeMap::new();
        let mut pages = self.hand.scan().table_name(names::TABLE).into_paginator().send();
        while let Some(page) = pages.next().await {
            for item in page.expect("nothing goes wrong with what is done by hand").items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
                table.insert(text("pk"), text("claim_id"));
            }
        }
        let mut dead_letters = BTreeSet::new();
        loop {
            let dead = self.services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).await;
            let dead = dead.expect("the queue is there");
            if dead.is_empty() {
                break;
            }
            dead_letters.extend(dead.into_iter().map(|letter| letter.message_id));
        }
        Remains {
            table,
            sequence_numbers: self.sequence_numbers(),
            objects: self.services.lakes.versions(names::BUCKET),
            dead_letters,
            given_up: std::mem::take(&mut self.given_up),
            by_hand: self.by_hand.clone(),
            unrest,
        }
    }
}

fn settings(scenario: &Scenario) -> PipelineSettings {
    let variable = |name: &str| match name {
        "TABLE_NAME" => Some(names::TABLE.to_owned()),
        "DEDUP_WINDOW_SECONDS" => Some(scenario.window_seconds.to_string()),
        "EVENT_ID_POINTER" => Some(scenario.event_id_pointer.to_owned()),
        "ON_CONFLICT" => scenario.conflict_is_dead_letter.then(|| "dead-letter".to_owned()),
        "CLAIM_CACHE_ENTRIES" => Some(scenario.cache_entries.to_string()),
        "CLAIM_WRITES" => (scenario.claim_writes == ClaimWrites::Batch).then(|| "batch".to_owned()),
        _ => None,
    };
    let ingest = ingest_fn::Config::from_variables(&Variables::new(&variable));
    let mut settings = PipelineSettings {
        function_timeout: Duration::from_secs(scenario.timeout_seconds),
        ingest: ingest.expect("the scenario's settings are possible"),
        ..PipelineSettings::default()
    };
    settings.sqs_mapping.batch_size = scenario.queue_batch;
    settings.sqs_mapping.batching_window = Duration::from_secs(scenario.batching_window_seconds);
    settings.sqs_mapping.maximum_concurrency = scenario.concurrency;
    settings.stream_mapping.batch_size = scenario.stream_batch;
    settings.stream_mapping.bisect_on_error = scenario.bisect;
    settings.stream_mapping.maximum_record_age = Some(Duration::from_secs(scenario.record_age_seconds));
    settings
}
