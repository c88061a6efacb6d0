//! A discrete-event model of the two event source mappings. Times are in microseconds.
//!
//! Messages arrive in the queue. The queue mapping collects them into batches and runs as many batches at once as its
//! concurrency allows. Each message of a batch is one write to the table, and each accepted write is one record in a
//! lane of the stream. A stream shard has as many lanes as the parallelization factor. A lane runs one batch at a time,
//! and each record is one PUT to the lake. The table and the lake refuse requests above their rates. The SDK retries a
//! refused request. If all attempts are refused, SQS redelivers the message, or the stream mapping retries the batch
//! from its first failed record.

use std::collections::{BTreeMap, VecDeque};

use crate::capacity::number;

pub(crate) const MILLISECOND: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// Maximum number of attempts per request, and the upper bound of the SDK's random wait before the second attempt. The
/// bound doubles with each further attempt (`lambda_support::function::retries`).
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: u64 = 100 * MILLISECOND;

/// The first and the longest wait of the stream mapping before it retries a batch. AWS does not document Lambda's
/// values. These are the emulator's.
const FIRST_BACKOFF: u64 = 500 * MILLISECOND;
const LAST_BACKOFF: u64 = 30 * SECOND;

/// A load and the parameters of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) seed: u64,
    /// Messages that are sent per second.
    pub(crate) rate: u32,
    /// The time for which messages are sent.
    pub(crate) load_time: u64,
    /// True if the run ends when the load ends. If false, it ends when every message is archived or a dead letter.
    pub(crate) stops_with_load: bool,
    /// The sender, if it shares the CPU with the pipeline. If `None`, messages arrive one by one, at random times.
    pub(crate) sender: Option<Sender>,
    pub(crate) ingest: Function,
    /// Maximum concurrency of the queue mapping.
    pub(crate) maximum_concurrency: u64,
    /// Concurrency of the queue mapping at the start, and its growth per minute.
    pub(crate) ramp: (u64, u64),
    pub(crate) visibility_timeout: u64,
    /// Maximum number of messages in flight: received, but neither deleted nor visible again.
    pub(crate) maximum_in_flight: u64,
    pub(crate) max_receive_count: u32,
    /// Writes per second that the table accepts.
    pub(crate) table_rate: u64,
    pub(crate) archive: Function,
    pub(crate) lanes: usize,
    /// The time between two polls of an empty lane.
    pub(crate) poll_interval: u64,
    /// PUTs per second that the lake accepts.
    pub(crate) lake_rate: u64,
    /// Maximum number of invocations of both functions at once.
    pub(crate) account_concurrency: u64,
    /// The shortest time for which an invocation occupies its sandbox.
    pub(crate) shortest_slot: u64,
    /// Number of CPU cores that the sender and both functions share; `UNLIMITED` if each sandbox has its own CPU.
    pub(crate) cores: u64,
}

/// A sender that sends requests at even intervals, one at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) messages_per_request: usize,
    pub(crate) cpu_per_message: u64,
}

/// The parameters of a function's batches, which determine their duration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) batch_size: usize,
    pub(crate) window: u64,
    pub(crate) cpu_per_batch: u64,
    pub(crate) cpu_per_message: u64,
    /// The time until a service answers a request.
    pub(crate) latency: u64,
    /// Maximum number of requests that a batch has in flight.
    pub(crate) in_flight: usize,
}

impl Function {
    /// Returns the duration of a batch. The slower of two limits determines it: the CPU, or the number of requests in
    /// flight.
    pub(crate) fn duration(&self, messages: usize) -> u64 {
        let cpu = messages as u64 * self.cpu_per_message + self.latency;
        let rounds = messages.div_ceil(self.in_flight) as u64 * (self.cpu_per_message + self.latency);
        self.cpu_per_batch + cpu.max(rounds)
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) claimed: u64,
    pub(crate) archived: u64,
    pub(crate) dead_letters: u64,
    /// Messages claimed, and records archived, in the second half of the load.
    pub(crate) second_half: (u64, u64),
    /// Number of PUTs whose object already existed, because an earlier invocation with the same batch had written it.
    pub(crate) repeated_puts: u64,
    pub(crate) ingest: Usage,
    pub(crate) archive: Usage,
    pub(crate) longest_queue: u64,
    /// The times of the last claim and of the last object.
    pub(crate) last_claim: u64,
    pub(crate) last_object: u64,
    /// The sum of the times from send to the start of the batch that claims the message.
    pub(crate) wait: u64,
    /// The times from claim to object.
    pub(crate) lag: Histogram,
    events: u64,
}

impl Outcome {
    /// Returns the number of messages that are neither claimed nor dead letters.
    pub(crate) fn queued(&self) -> u64 {
        self.sent - self.claimed - self.dead_letters
    }

    /// Returns the number of claims without an object.
    pub(crate) fn unarchived(&self) -> u64 {
        self.claimed - self.archived
    }
}

/// The invocations of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) batches: u64,
    /// The billed time.
    pub(crate) duration: u64,
    /// The time for which the invocations occupied their sandboxes.
    pub(crate) occupied: u64,
    pub(crate) busy: u64,
    pub(crate) most_busy: u64,
    /// Number of requests that the table or the lake refused.
    pub(crate) refused: u64,
}

/// A histogram of durations: element `n` counts the durations from `n` to `n + 1` milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    fn add(&mut self, time: u64) {
        let index = usize::try_from(time / MILLISECOND).expect("a run takes less than 2^32 milliseconds");
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] += 1;
    }

    /// Returns a percentile of the durations, rounded down to whole milliseconds.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let total: u64 = self.0.iter().sum();
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen * 100 >= total * percent
        };
        self.0.iter().position(reached).unwrap_or(0) as u64 * MILLISECOND
    }
}

/// Runs a model.
pub(crate) fn simulate(model: &Model) -> Outcome {
    let mut simulation = Simulation {
        model,
        random: fastrand::Rng::with_seed(model.seed),
        now: 0,
        next_arrival: 0.0,
        timetable: BTreeMap::new(),
        unsent: VecDeque::new(),
        sending: false,
        queue: VecDeque::new(),
        messages_in_flight: 0,
        window_end: None,
        lanes: (0..model.lanes).map(|_| Lane::default()).collect(),
        table: Bucket::new(model.table_rate),
        lake: Bucket::new(model.lake_rate),
        waiting: VecDeque::new(),
        idle_cores: model.cores,
        outcome: Outcome::default(),
    };
    simulation.schedule(0, Event::Arrival);
    while let Some(((at, _), event)) = simulation.timetable.pop_first() {
        if model.stops_with_load && at > model.load_time {
            break;
        }
        simulation.now = at;
        simulation.handle(event);
    }
    simulation.outcome
}

/// A message, and the record and object that it becomes.
#[derive(Clone, Copy, Debug)]
struct Item {
    sent_at: u64,
    claimed_at: u64,
    receives: u32,
    /// True if the service has accepted the item's request in the current invocation.
    accepted: bool,
    /// True if the object exists.
    written: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Send,
    Ingest,
    /// The batch is from this lane of the stream.
    Archive(usize),
}

/// One batch in one invocation, or one request of the sender.
#[derive(Debug)]
struct Job {
    stage: Stage,
    items: Vec<Item>,
    started: u64,
    /// Number of requests sent so far for each item that is not yet accepted.
    attempts: u32,
    /// Number of failed invocations for this batch.
    failures: u32,
}

#[derive(Debug)]
enum Event {
    Arrival,
    WindowEnd,
    Redelivery(Item),
    Poll(usize),
    Retry(Job),
    WorkDone(Job),
    Answer(Job),
    Release(Stage),
}

/// The rate limit of a service. It allows bursts of up to one second's requests.
struct Bucket {
    rate: u64,
    /// Millionths of a request.
    tokens: u64,
    filled_at: u64,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate, tokens: rate * SECOND, filled_at: 0 }
    }

    /// Returns the number of requests, at most `wanted`, that the service accepts now.
    fn take(&mut self, now: u64, wanted: usize) -> usize {
        self.tokens = (self.tokens + self.rate * (now - self.filled_at).min(SECOND)).min(self.rate * SECOND);
        self.filled_at = now;
        let taken = (self.tokens / SECOND).min(wanted as u64);
        self.tokens -= taken * SECOND;
        usize::try_from(taken).expect("at most the number wanted")
    }
}

#[derive(Default)]
struct Lane {
    records: VecDeque<Item>,
    /// True if a batch is in progress, or waits for its retry.
    busy: bool,
    has_failed: bool,
    /// True if its next poll is scheduled.
    polled: bool,
}

struct Simulation<'a> {
    model: &'a Model,
    random: fastrand::Rng,
    now: u64,
    next_arrival: f64,
    /// The scheduled events, by time and number. Because of the number, simultaneous events keep the order in which
    /// they were scheduled.
    timetable: BTreeMap<(u64, u64), Event>,
    unsent: VecDeque<Item>,
    sending: bool,
    queue: VecDeque<Item>,
    messages_in_flight: u64,
    window_end: Option<u64>,
    lanes: Vec<Lane>,
    table: Bucket,
    lake: Bucket,
    /// Jobs that wait for a core, with their durations.
    waiting: VecDeque<(Job, u64)>,
    idle_cores: u64,
    outcome: Outcome,
}

impl Simulation<'_> {
    fn schedule(&mut self, at: u64, event: Event) {
        self.outcome.events += 1;
        self.timetable.insert((at, self.outcome.events), event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::WindowEnd => self.start_ingest(),
            Event::Redelivery(item) => {
                self.messages_in_flight -= 1;
                self.queue.push_back(item);
                self.start_ingest();
            }
            Event::Poll(lane) => {
                self.lanes[lane].polled = false;
                self.start_archive(lane);
            }
            Event::Retry(job) if self.is_account_full() => {
                self.schedule(self.now + self.model.poll_interval, Event::Retry(job));
            }
            Event::Retry(job) => self.start(job),
            Event::WorkDone(job) => {
                self.idle_cores += 1;
                self.answer(job);
                self.use_cores();
            }
            Event::Answer(job) => self.answer(job),
            Event::Release(stage) => self.release(stage),
        }
    }

    fn arrive(&mut self) {
        let item = Item { sent_at: self.now, claimed_at: 0, receives: 0, accepted: false, written: false };
        let messages = self.model.sender.map_or(1, |sender| sender.messages_per_request);
        self.outcome.sent += messages as u64;
        let mut gap = 1e6 / f64::from(self.model.rate);
        if self.model.sender.is_some() {
            self.unsent.extend(std::iter::repeat_n(item, messages));
            gap *= number(messages as u64);
            self.start_send();
        } else {
            self.queue.push_back(item);
            // The time between two arrivals of a Poisson process.
            gap *= -(1.0 - self.random.f64()).ln();
            self.start_ingest();
        }
        self.outcome.longest_queue = self.outcome.longest_queue.max(self.outcome.queued());
        // The sum of the gaps, and not each gap, is rounded to microseconds.
        self.next_arrival += gap;
        let next = whole(self.next_arrival);
        if next < self.model.load_time {
            self.schedule(next, Event::Arrival);
        }
    }

    fn start_send(&mut self) {
        let Some(sender) = self.model.sender else { return };
        if self.sending || self.unsent.is_empty() {
            return;
        }
        self.sending = true;
        let items: Vec<_> = self.unsent.drain(..sender.messages_per_request).collect();
        let cpu = items.len() as u64 * sender.cpu_per_message;
        self.run(Job { stage: Stage::Send, items, started: self.now, attempts: 1, failures: 0 }, cpu);
    }

    /// Starts as many batches of messages as the concurrency allows.
    fn start_ingest(&mut self) {
        let (at_first, per_minute) = self.model.ramp;
        let allowed = self.model.maximum_concurrency.min(at_first + per_minute * self.now / (60 * SECOND));
        let Function { batch_size, window, .. } = self.model.ingest;
        while !self.queue.is_empty()
            && self.outcome.ingest.busy < allowed
            && self.messages_in_flight < self.model.maximum_in_flight
            && !self.is_account_full()
        {
            let window_end = *self.window_end.get_or_insert(self.now + window);
            if self.queue.len() < batch_size && self.now < window_end {
                // An event for an earlier window may still be scheduled. It then starts nothing.
                if window_end == self.now + window {
                    self.schedule(window_end, Event::WindowEnd);
                }
                return;
            }
            self.window_end = None;
            let items: Vec<_> = self.queue.drain(..batch_size.min(self.queue.len())).collect();
            self.messages_in_flight += items.len() as u64;
            self.start(Job { stage: Stage::Ingest, items, started: self.now, attempts: 1, failures: 0 });
        }
    }

    /// Starts the next batch of a lane.
    fn start_archive(&mut self, lane: usize) {
        let Function { batch_size, window, .. } = self.model.archive;
        let Lane { records, busy, .. } = &self.lanes[lane];
        let Some(first) = records.front().filter(|_| !busy) else { return };
        if records.len() < batch_size && self.now < first.claimed_at + window || self.is_account_full() {
            return self.poll_later(lane);
        }
        let lane_state = &mut self.lanes[lane];
        lane_state.busy = true;
        let items = lane_state.records.drain(..batch_size.min(lane_state.records.len())).collect();
        self.start(Job { stage: Stage::Archive(lane), items, started: self.now, attempts: 1, failures: 0 });
    }

    /// Schedules the next poll of a lane. The polls of different lanes are spread evenly over the interval.
    fn poll_later(&mut self, lane: usize) {
        if std::mem::replace(&mut self.lanes[lane].polled, true) {
            return;
        }
        let interval = self.model.poll_interval;
        let offset = interval * lane as u64 / self.model.lanes as u64;
        let polls = (self.now + interval - offset) / interval;
        self.schedule(polls * interval + offset, Event::Poll(lane));
    }

    fn is_account_full(&self) -> bool {
        self.outcome.ingest.busy + self.outcome.archive.busy >= self.model.account_concurrency
    }

    fn usage(&mut self, stage: Stage) -> &mut Usage {
        if stage == Stage::Ingest { &mut self.outcome.ingest } else { &mut self.outcome.archive }
    }

    /// Starts an invocation.
    fn start(&mut self, mut job: Job) {
        if let Stage::Archive(lane) = job.stage {
            self.lanes[lane].has_failed = false;
        }
        job.started = self.now;
        job.attempts = 1;
        job.items.iter_mut().for_each(|item| item.accepted = false);
        let usage = self.usage(job.stage);
        usage.batches += 1;
        usage.busy += 1;
        usage.most_busy = usage.most_busy.max(usage.busy);
        let function = if job.stage == Stage::Ingest { &self.model.ingest } else { &self.model.archive };
        let duration = function.duration(job.items.len());
        self.run(job, duration);
    }

    fn run(&mut self, job: Job, duration: u64) {
        self.waiting.push_back((job, duration));
        self.use_cores();
    }

    fn use_cores(&mut self) {
        while self.idle_cores > 0
            && let Some((job, duration)) = self.waiting.pop_front()
        {
            self.idle_cores -= 1;
            self.schedule(self.now + duration, Event::WorkDone(job));
        }
    }

    /// Decides which of a batch's requests the service accepts. Retries the others, or ends the invocation.
    fn answer(&mut self, mut job: Job) {
        if job.stage == Stage::Send {
            self.queue.extend(job.items);
            self.sending = false;
            self.start_ingest();
            return self.start_send();
        }
        let mut wanted: Vec<usize> = (0..job.items.len()).filter(|&index| !job.items[index].accepted).collect();
        let bucket = if job.stage == Stage::Ingest { &mut self.table } else { &mut self.lake };
        let accepted = bucket.take(self.now, wanted.len());
        let refused = wanted.len() - accepted;
        if refused > 0 {
            self.random.shuffle(&mut wanted);
        }
        for &index in &wanted[..accepted] {
            self.accept(job.stage, job.started, &mut job.items[index]);
        }
        if refused == 0 {
            return self.end(&job);
        }
        self.usage(job.stage).refused += refused as u64;
        if job.attempts == ATTEMPTS {
            self.end(&job);
            return self.fail(job);
        }
        let wait = self.random.u64(0..FIRST_WAIT << (job.attempts - 1));
        job.attempts += 1;
        self.schedule(self.now + wait, Event::Answer(job));
    }

    fn accept(&mut self, stage: Stage, started: u64, item: &mut Item) {
        let in_second_half = (self.model.load_time / 2..self.model.load_time).contains(&self.now);
        let outcome = &mut self.outcome;
        item.accepted = true;
        if stage == Stage::Ingest {
            self.messages_in_flight -= 1;
            outcome.claimed += 1;
            outcome.second_half.0 += u64::from(in_second_half);
            outcome.last_claim = self.now;
            outcome.wait += started - item.sent_at;
            let lane = self.random.usize(..self.lanes.len());
            self.lanes[lane].records.push_back(Item { claimed_at: self.now, ..*item });
            if !self.lanes[lane].busy {
                self.poll_later(lane);
            }
        } else if item.written {
            outcome.repeated_puts += 1;
        } else {
            item.written = true;
            outcome.archived += 1;
            outcome.second_half.1 += u64::from(in_second_half);
            outcome.last_object = self.now;
            outcome.lag.add(self.now - item.claimed_at);
        }
    }

    /// Redelivers the failed messages of a queue batch, or retries a stream batch from its first failed record.
    fn fail(&mut self, mut job: Job) {
        let Stage::Archive(lane) = job.stage else {
            for mut item in job.items.into_iter().filter(|item| !item.accepted) {
                item.receives += 1;
                if item.receives == self.model.max_receive_count {
                    self.messages_in_flight -= 1;
                    self.outcome.dead_letters += 1;
                } else {
                    self.schedule(job.started + self.model.visibility_timeout, Event::Redelivery(item));
                }
            }
            return;
        };
        let first_failed = job.items.iter().position(|item| !item.accepted).expect("a request was refused");
        job.items.drain(..first_failed);
        self.lanes[lane].has_failed = true;
        let backoff = (FIRST_BACKOFF << job.failures.min(6)).min(LAST_BACKOFF);
        job.failures += 1;
        self.schedule(self.now + backoff, Event::Retry(job));
    }

    /// Ends an invocation. Its sandbox stays occupied until `shortest_slot` has passed since the start.
    fn end(&mut self, job: &Job) {
        let duration = self.now - job.started;
        let occupied = duration.max(self.model.shortest_slot);
        let usage = self.usage(job.stage);
        usage.duration += duration;
        usage.occupied += occupied;
        self.schedule(job.started + occupied, Event::Release(job.stage));
    }

    fn release(&mut self, stage: Stage) {
        self.usage(stage).busy -= 1;
        self.start_ingest();
        if let Stage::Archive(lane) = stage
            && !self.lanes[lane].has_failed
        {
            self.lanes[lane].busy = false;
            self.start_archive(lane);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in a run is positive and far below 2^52"
)]
fn whole(micros: f64) -> u64 {
    micros as u64
}
