//! One run: a scenario from its first message until nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_smithy_runtime::client::retries::RetryPartition;
use claim::key::KEY_PREFIX;
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
use crate::judgement::Judgement;
use crate::poison_record::PoisonRecord;
use crate::recorder::Recorder;
use crate::reference_model;
use crate::requests::name_of_image;
use crate::sandboxes::Sandboxes;
use crate::scenario::{Scenario, Step};
use crate::settings::settings;
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
    hand: aws_sdk_dynamodb::Client,
    sending: JoinSet<()>,
    by_hand: BTreeMap<String, bool>,
    discarded: Vec<(String, String)>,
    /// Since the dead letters were last redriven.
    passed_seconds: u64,
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
            hand: aws_sdk_dynamodb::Client::new(&sdk),
            services,
            recorder,
            fault_plan,
            pipeline,
            sending: JoinSet::new(),
            by_hand: BTreeMap::new(),
            discarded: Vec::new(),
            passed_seconds: 0,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Send(messages) => self.send(messages),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Sweep if self.fault_plan.draw(FaultKind::TtlDeletion).is_some() => {
                self.recorder.note(Entry::Swept(self.services.tables.sweep_ttl()));
            }
            Step::ScaleIn if self.fault_plan.draw(FaultKind::ScaledIn).is_some() => {
                self.recorder.note(Entry::ScaledIn);
                self.pipeline.ingest.scale_in();
                self.pipeline.archive.scale_in();
            }
            Step::Redrive if self.fault_plan.draw(FaultKind::Redrive).is_some() => self.redrive().await,
            Step::Pass(seconds) if self.fault_plan.draw(FaultKind::DaysPass).is_some() => self.pass(*seconds).await,
            Step::PutByHand(n) if self.fault_plan.draw(FaultKind::PoisonRecord).is_some() => {
                let pk = format!("{KEY_PREFIX}by-hand-{}", self.by_hand.len());
                self.put_by_hand(&pk, *n).await;
            }
            Step::BlockFirstEvent if self.fault_plan.draw(FaultKind::PoisonRecord).is_some() => {
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
            if self.wait_until_idle(FAULTY_BOUND).await.is_err() {
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
    async fn wait_until_idle(&mut self, bound: Duration) -> Result<(), String> {
        let give_up = Instant::now() + bound;
        loop {
            while self.sending.try_join_next().is_some() {}
            let counts = self.services.sqs.counts(names::QUEUE).expect("the queue is there");
            let messages = counts.visible + counts.in_flight;
            let mut without_object = self.recorder.without_object();
            if messages == 0 && !without_object.is_empty() {
                self.read_on_failure_queue().await;
                without_object.retain(|name| !self.is_discarded(name));
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
                self.discarded.push((number("startSequenceNumber"), number("endSequenceNumber")));
                sqs.delete(names::ON_FAILURE_QUEUE, &message.receipt_handle).expect("the queue gave this handle");
            }
        }
    }

    fn is_discarded(&self, name: &str) -> bool {
        if self.discarded.is_empty() {
            return false;
        }
        let numbers = self.sequence_numbers();
        let named = |number: &String| self.discarded.iter().any(|(first, last)| first <= number && number <= last);
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
    async fn finish(mut self) -> Outcome {
        self.fault_plan.end();
        let mut unfinished = Vec::new();
        tokio::time::sleep(ALL_ARRIVED).await;
        self.send(&[self.scenario.messages.len() - 1]);
        if let Err(what) = self.wait_until_idle(CALM_BOUND).await {
            unfinished.push(format!("two hours after the last fault there are still {what}"));
        } else {
            self.redrive().await;
            if let Err(what) = self.wait_until_idle(CALM_BOUND).await {
                unfinished.push(format!("two hours after the last redrive there are still {what}"));
            }
        }
        let broken = tokio::time::timeout(Duration::from_secs(1), self.pipeline.broken()).await;
        unfinished.extend(broken.ok());
        let final_state = self.final_state(unfinished).await;
        let history = self.recorder.end();
        let judgement = reference_model::judge(self.scenario, &history, &final_state);
        let messages = self.scenario.sent().len() + 1;
        Outcome { judgement, history, hits: self.fault_plan.hits(), messages }
    }

    async fn final_state(&mut self, unfinished: Vec<String>) -> FinalState {
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
        FinalState {
            table,
            sequence_numbers: self.sequence_numbers(),
            objects: self.services.lakes.versions(names::BUCKET),
            dead_letters,
            discarded: std::mem::take(&mut self.discarded),
            by_hand: self.by_hand.clone(),
            unfinished,
        }
    }
}
