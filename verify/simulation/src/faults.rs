//! Everything that goes wrong, and the dice that decide when. Each kind of fault has dice of its own, so that leaving one
//! kind out changes the others as little as can be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use emulator::fault_plan::{Delivery, FaultPlan};
use emulator::{Call, Fault, Service};
use fastrand::Rng;
use pipeline::names;
use serde_json::Value;

use crate::history::{Claimed, Entry, Recorder, hash};
use crate::poison_record::BY_HAND;
use crate::sandbox;
use crate::scenario::Scenario;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// A request never reaches its service.
    RequestLost,
    /// A request is done, and its answer lost.
    AnswerLost,
    /// A service says "too many requests".
    Throttled,
    /// A service answers 500.
    ServerError,
    /// A service answers 503.
    Unavailable,
    /// S3 answers 409.
    Conflict,
    /// A request arrives later than its sender waits for.
    RequestLate,
    /// An answer comes later than its receiver waits for.
    AnswerLate,
    /// One of the faults above, for minutes or hours, on every request to one service.
    Outage,
    /// A function is killed at an await.
    Killed,
    /// An invocation meets a cold sandbox, though there is a warm one.
    ColdStart,
    /// All idle sandboxes end.
    ScaledIn,
    /// Sandboxes' clocks differ from the services'.
    ClockSkew,
    /// A batch is delivered twice, the second time while the first is under way or after it.
    BatchTwice,
    /// What a function answered is lost.
    BatchAnswerLost,
    /// SQS gives a message to two receivers.
    MessageTwice,
    /// SQS gives messages in another order.
    OutOfOrder,
    /// A message becomes visible while it is processed.
    VisibilityRunsOut,
    /// The stream's batches have other boundaries.
    OtherBoundaries,
    /// The stream's mapping stops trying a batch, and reads it anew.
    ReadAnew,
    /// The stream's mapping loses its checkpoint, and goes back.
    CheckpointLost,
    /// DynamoDB deletes what has expired, sooner or later.
    TtlDeletion,
    /// Hours or days pass in which nobody does anything.
    DaysPass,
    /// Dead letters are moved back to the queue.
    Redrive,
    /// Somebody puts into the table what cannot be archived.
    PoisonRecord,
    /// Some claims of a request of many are throttled.
    StatementsThrottled,
    /// Some claims of a request of many are inserted, and the answer says that something went wrong with them.
    StatementsUnknown,
    /// A function's own code panics: where it draws a claim id, or sends a request.
    Panic,
}

/// What a planted panic says.
pub const PANIC: &str = "a planted panic";

/// All kinds, in order.
#[must_use]
pub fn all() -> &'static [FaultKind] {
    FaultKind::value_variants()
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no kind is skipped");
        f.write_str(value.get_name())
    }
}

/// A time in which each request to a service goes wrong in the same way.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// Which service.
    pub service: Service,
    /// How.
    pub fault: Fault,
    /// From when to when, in milliseconds since the world began.
    pub ms: (u64, u64),
}

/// How often each kind of fault happens: its part of the times that it could.
pub type Rates = BTreeMap<FaultKind, f64>;

/// Decides what goes wrong, and notes what the services did.
pub struct Dice {
    recorder: Arc<Recorder>,
    outages: Vec<Outage>,
    poll_interval: Duration,
    state: Mutex<State>,
}

struct State {
    calm: bool,
    dice: BTreeMap<FaultKind, Die>,
    latency: Rng,
}

struct Die {
    rate: f64,
    random: Rng,
    hits: u64,
}

impl Dice {
    /// For one world.
    #[must_use]
    pub fn new(scenario: &Scenario, recorder: Arc<Recorder>) -> Self {
        let new = |(&kind, &rate): (&FaultKind, &f64)| {
            let random = Rng::with_seed(scenario.seed.wrapping_mul(1_000).wrapping_add(kind as u64));
            (kind, Die { rate, random, hits: 0 })
        };
        let mut dice: BTreeMap<FaultKind, Die> = scenario.rates.iter().map(new).collect();
        let outages =
            if scenario.rates.contains_key(&FaultKind::Outage) { scenario.outages.clone() } else { Vec::new() };
        if scenario.skew_ms > 0 {
            dice.entry(FaultKind::ClockSkew).and_modify(|die| die.hits = 1);
        }
        let state = State { calm: false, dice, latency: Rng::with_seed(!scenario.seed) };
        Self { recorder, outages, poll_interval: scenario.poll_interval, state: Mutex::new(state) }
    }

    /// Whether it happens now; if so, gives what decides how.
    pub fn roll(&self, kind: FaultKind) -> Option<Rng> {
        let mut state = self.lock();
        if state.calm {
            return None;
        }
        let die = state.dice.get_mut(&kind)?;
        let hit = die.random.f64() < die.rate;
        let random = hit.then(|| die.random.fork())?;
        die.hits += 1;
        Some(random)
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.lock().calm = true;
        self.recorder.note(Entry::NoFaults);
    }

    /// How often each kind happened.
    #[must_use]
    pub fn hits(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().dice.iter().map(|(kind, die)| (*kind, die.hits)).collect()
    }

    /// What goes wrong with a request, which is noted. Nothing does with what is done by hand.
    pub fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        let invocation = sandbox::current();
        if invocation.is_none() && call.service == Service::DynamoDb {
            return None;
        }
        if invocation.is_some() && self.roll(FaultKind::Panic).is_some() {
            for subject in subjects(call) {
                self.recorder.note(Entry::Panicked { invocation, subject });
            }
            panic!("{PANIC}");
        }
        let fault = self.choose(call);
        for subject in subjects(call) {
            let operation = operation(call).to_owned();
            self.recorder.note(Entry::Requested { invocation, operation, subject, fault });
        }
        let fault = fault.or_else(|| self.latency());
        if let Some(Fault::RequestDelayed(delay)) = fault {
            self.recorder.arrives_after(delay);
        }
        fault
    }

    /// Panics where a function draws the random part of a claim id.
    pub fn panic_on_draw(&self) {
        if self.roll(FaultKind::Panic).is_some() {
            self.recorder.note(Entry::Panicked { invocation: sandbox::current(), subject: "a claim id".to_owned() });
            panic!("{PANIC}");
        }
    }

    fn choose(&self, call: &Call<'_>) -> Option<Fault> {
        let now = self.recorder.elapsed_ms();
        let outage = self
            .outages
            .iter()
            .find(|outage| outage.service == call.service && (outage.ms.0..outage.ms.1).contains(&now));
        if let Some(outage) = outage
            && self.roll(FaultKind::Outage).is_some()
        {
            return Some(outage.fault);
        }
        let seconds = |random: &mut Rng| Duration::from_millis(random.u64(1_000..60_000));
        let (s3, batch) = (call.service == Service::S3, call.operation == "BatchExecuteStatement");
        all().iter().find_map(|&kind| {
            let of = |fault: fn(&mut Rng) -> Fault| self.roll(kind).map(|mut random| fault(&mut random));
            match kind {
                FaultKind::RequestLost => of(|_| Fault::RequestLost),
                FaultKind::AnswerLost => of(|_| Fault::AnswerLost),
                FaultKind::Throttled => of(|_| Fault::Throttled),
                FaultKind::ServerError => of(|_| Fault::Refused(500)),
                FaultKind::Unavailable => of(|_| Fault::Refused(503)),
                FaultKind::Conflict if s3 => of(|_| Fault::Refused(409)),
                FaultKind::StatementsThrottled if batch => {
                    self.roll(kind).map(|mut random| Fault::StatementsThrottled(some_of(call, &mut random)))
                }
                FaultKind::StatementsUnknown if batch => {
                    self.roll(kind).map(|mut random| Fault::StatementsUnknown(some_of(call, &mut random)))
                }
                FaultKind::RequestLate => self.roll(kind).map(|mut random| Fault::RequestDelayed(seconds(&mut random))),
                FaultKind::AnswerLate => self.roll(kind).map(|mut random| Fault::AnswerDelayed(seconds(&mut random))),
                _ => None,
            }
        })
    }

    /// Which of two requests comes first is left to chance as well.
    fn latency(&self) -> Option<Fault> {
        let mut state = self.lock();
        if state.calm {
            return None;
        }
        let latency = Duration::from_millis(state.latency.u64(1..30));
        Some(if state.latency.bool() { Fault::RequestDelayed(latency) } else { Fault::AnswerDelayed(latency) })
    }

    fn noted(&self, kind: FaultKind) -> Option<Rng> {
        let random = self.roll(kind)?;
        self.recorder.note(Entry::Fault(kind));
        Some(random)
    }

    /// The table took a claim.
    fn claimed(&self, item: &Value) {
        self.recorder.awaits_object(&text(item, "claim_id", "S"));
        self.recorder.note(Entry::Claimed(Claimed {
            pk: text(item, "pk", "S"),
            claim_id: text(item, "claim_id", "S"),
            claimed_at: text(item, "claimed_at", "S"),
            ttl: text(item, "ttl", "N").parse().unwrap_or_default(),
            digest: text(item, "digest", "B"),
            message_id: text(item, "message_id", "S"),
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultPlan for Dice {
    fn next_message(&self, _: &str, waiting: usize) -> usize {
        self.roll(FaultKind::OutOfOrder).map_or(0, |mut random| random.usize(..waiting))
    }

    fn visibility(&self, queue: &str) -> Option<Duration> {
        if queue != names::QUEUE {
            return None;
        }
        if self.noted(FaultKind::MessageTwice).is_some() {
            return Some(Duration::ZERO);
        }
        let mut random = self.noted(FaultKind::VisibilityRunsOut)?;
        Some(Duration::from_millis(random.u64(1..20_000)))
    }

    fn sandbox(&self, _: &str, idle: usize) -> Option<usize> {
        match self.roll(FaultKind::ColdStart) {
            None => idle.checked_sub(1),
            // A new one, or any that is idle.
            Some(mut random) => random.usize(..=idle).checked_sub(1).filter(|_| random.bool()),
        }
    }

    fn delivery(&self, _: &str) -> Delivery {
        if let Some(mut random) = self.noted(FaultKind::BatchTwice) {
            let at_most = if random.bool() { 100 } else { 20_000 };
            return Delivery::Twice(Duration::from_millis(random.u64(..at_most)));
        }
        if self.noted(FaultKind::BatchAnswerLost).is_some() { Delivery::AnswerLost } else { Delivery::Once }
    }

    fn batch_size(&self, maximum: usize) -> usize {
        self.roll(FaultKind::OtherBoundaries).map_or(maximum, |mut random| random.usize(1..=maximum))
    }

    fn reads_anew(&self) -> bool {
        self.noted(FaultKind::ReadAnew).is_some()
    }

    fn batches_back(&self) -> usize {
        self.noted(FaultKind::CheckpointLost).map_or(0, |mut random| random.usize(1..10))
    }

    fn poll_interval(&self) -> Duration {
        // With nothing left to happen, looking seldom saves time.
        if self.lock().calm { Duration::from_secs(5) } else { self.poll_interval }
    }

    fn answered(&self, call: &Call<'_>, status: u16, answer: &[u8]) {
        match (call.service, operation(call)) {
            (Service::DynamoDb, "PutItem") if status == 200 => {
                let request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
                if request["ConditionExpression"].is_null() {
                    return self.recorder.note(Entry::PutByHand { pk: text(&request["Item"], "pk", "S") });
                }
                self.claimed(&request["Item"]);
            }
            (Service::DynamoDb, "BatchExecuteStatement") if status == 200 => {
                let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
                let answers = answer["Responses"].as_array().into_iter().flatten();
                for ((item, answer), subject) in items(call).iter().zip(answers).zip(subjects(call)) {
                    if answer["Error"].is_null() {
                        self.claimed(item);
                    } else {
                        self.recorder.note(Entry::Declined { status: 400, subject });
                    }
                }
            }
            (Service::S3, "PUT") if status == 200 => {
                let content = call.request.body();
                let key = object_key(call);
                let name = key.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
                if key.contains("_unusable/") {
                    let record: Value = serde_json::from_slice(content).unwrap_or_default();
                    self.recorder.has_object(&name_of_image(&record["dynamodb"]["NewImage"]));
                } else {
                    self.recorder.has_object(name);
                }
                self.recorder.note(Entry::Stored { hash: hash(content), key });
            }
            (Service::Sqs, "SendMessageBatch") if status == 200 => {
                let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
                for taken in answer["Successful"].as_array().into_iter().flatten() {
                    let message = taken["Id"].as_str().and_then(|id| id.parse().ok());
                    let id = taken["MessageId"].as_str().unwrap_or_default().to_owned();
                    self.recorder.note(Entry::Accepted { message: message.expect("the producer numbers entries"), id });
                }
            }
            (Service::DynamoDb | Service::S3, _) if status >= 400 => {
                for subject in subjects(call) {
                    self.recorder.note(Entry::Declined { status, subject });
                }
            }
            _ => {}
        }
    }
}

/// Without the path of an S3 request.
fn operation<'a>(call: &'a Call<'_>) -> &'a str {
    call.operation.split(' ').next().unwrap_or_default()
}

fn object_key(call: &Call<'_>) -> String {
    let path = call.request.uri().path();
    path.trim_start_matches('/').split_once('/').map(|(_bucket, key)| key).unwrap_or_default().to_owned()
}

/// What a request is about.
fn subjects(call: &Call<'_>) -> Vec<String> {
    match call.service {
        Service::S3 => vec![object_key(call)],
        Service::DynamoDb => {
            let claim = |item: &Value| format!("{} {}", text(item, "claim_id", "S"), text(item, "pk", "S"));
            items(call).iter().map(claim).collect()
        }
        Service::Sqs | Service::Logs => vec![String::new()],
    }
}

/// The items that a request is to write.
fn items(call: &Call<'_>) -> Vec<Value> {
    let mut request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    let Some(statements) = request["Statements"].as_array() else { return vec![request["Item"].take()] };
    // INSERT INTO "table" VALUE {'name': ?, 'name': ?}
    let item = |statement: &Value| {
        let names = statement["Statement"].as_str().unwrap_or_default().split('\'').skip(1).step_by(2);
        let values = statement["Parameters"].as_array().into_iter().flatten().cloned();
        names.map(ToOwned::to_owned).zip(values).collect::<serde_json::Map<_, _>>().into()
    };
    statements.iter().map(item).collect()
}

/// Bits of some statements of a request.
fn some_of(call: &Call<'_>, random: &mut Rng) -> u32 {
    let statements = u32::try_from(items(call).len()).unwrap_or(1);
    random.u32(1..1 << statements)
}

/// What a stream record's new image is awaited as: a claim by its id, what was put by hand by its partition key.
#[must_use]
pub fn name_of_image(image: &Value) -> String {
    text(image, if text(image, "message_id", "S") == BY_HAND { "pk" } else { "claim_id" }, "S")
}

fn text(item: &Value, name: &str, kind: &str) -> String {
    item[name][kind].as_str().unwrap_or_default().to_owned()
}
