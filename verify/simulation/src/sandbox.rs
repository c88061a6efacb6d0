//! Lambda's sandboxes as a world has them: each with a clock of its own that may be off, SDK clients and a retry quota of
//! its own as a process has, killed at any await, and watched.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use archive_fn::DataLake;
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime::client::retries::RetryPartition;
use emulator::function::{self, Function};
use emulator::{Clock, Services};
use ingest_fn::ClaimTable;
use lambda_support::{LogWriter, deliberate_fault};
use pipeline::{PipelineSettings, names};
use serde::Deserialize;
use tokio::time::Instant;

use crate::faults::{Dice, FaultKind};
use crate::history::{Entry, Recorder, Remembered};

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The invocation whose code runs now, if any does.
#[must_use]
pub fn current() -> Option<u64> {
    CURRENT.get()
}

/// A wall clock that is off.
#[derive(Clone, Copy, Debug)]
struct SkewedClock {
    clock: Clock,
    skew_ms: i64,
}

impl TimeSource for SkewedClock {
    fn now(&self) -> SystemTime {
        let skew = Duration::from_millis(self.skew_ms.unsigned_abs());
        if self.skew_ms < 0 { self.clock.now() - skew } else { self.clock.now() + skew }
    }
}

/// Makes sandboxes, and watches them.
#[derive(Clone)]
pub struct Sandboxes(Arc<Shared>);

struct Shared {
    services: Arc<Services>,
    recorder: Arc<Recorder>,
    dice: Arc<Dice>,
    settings: PipelineSettings,
    seed: u64,
    /// The most that a clock is off, in milliseconds.
    skew_ms: u64,
    sandboxes: AtomicU64,
    invocations: AtomicU64,
    skews: Mutex<fastrand::Rng>,
}

/// One sandbox, as it is watched.
struct Watched {
    function: &'static str,
    number: u64,
    clock: SkewedClock,
    /// When it was frozen last, and for how long in all.
    frozen: Mutex<(Option<Instant>, Duration)>,
    remembered: Box<dyn Fn() -> Vec<Remembered> + Send + Sync>,
    known: Mutex<BTreeSet<Remembered>>,
}

/// How an invocation dies.
enum Death {
    AfterPolls(u32),
    After(Duration),
}

impl Sandboxes {
    /// On `services`. `skew_ms` is the most that a sandbox's clock is off, either way.
    #[must_use]
    pub fn new(
        services: &Arc<Services>,
        recorder: &Arc<Recorder>,
        dice: &Arc<Dice>,
        settings: &PipelineSettings,
        seed: u64,
        skew_ms: u64,
    ) -> Self {
        Self(Arc::new(Shared {
            services: Arc::clone(services),
            recorder: Arc::clone(recorder),
            dice: Arc::clone(dice),
            settings: settings.clone(),
            seed,
            skew_ms,
            sandboxes: AtomicU64::new(0),
            invocations: AtomicU64::new(0),
            skews: Mutex::new(fastrand::Rng::with_seed(seed.rotate_left(7))),
        }))
    }

    /// SQS batch in, claims out.
    #[must_use]
    pub fn ingest(&self) -> Function {
        let this = self.clone();
        self.function(names::INGEST_FUNCTION, move |log| {
            let shared = &this.0;
            let (number, clock) = shared.born();
            let config = aws_sdk_dynamodb::config::Builder::from(&shared.services.sdk_config())
                .time_source(clock)
                .retry_partition(RetryPartition::custom(format!("sandbox {number}")).build());
            let table = ClaimTable::new(aws_sdk_dynamodb::Client::from_conf(config.build()), names::TABLE);
            let random = Mutex::new(fastrand::Rng::with_seed(shared.seed ^ (number << 32)));
            let random: ingest_fn::Random = Box::new(move || {
                let mut bytes = [0; 10];
                random.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
                bytes
            });
            let config = shared.settings.ingest.clone();
            let handler = ingest_fn::Handler::new(config, table, log, SharedTimeSource::new(clock), random);
            let handler = Arc::new(handler);
            let looked_into = Arc::clone(&handler);
            let remembered = move || {
                let entry = |(key, held): ([u8; 16], ingest_fn::HeldClaim)| Remembered {
                    key,
                    claim_id: held.claim_id.to_string(),
                    digest: aws_smithy_types::base64::encode(held.digest.as_bytes()),
                };
                looked_into.remembered().into_iter().map(entry).collect()
            };
            let sandbox = function::sandbox(move |event| {
                let handler = Arc::clone(&handler);
                async move { handler.handle(event).await }
            });
            this.watched("ingest", number, clock, Box::new(remembered), sandbox)
        })
    }

    /// Stream batch in, objects out.
    #[must_use]
    pub fn archive(&self) -> Function {
        let this = self.clone();
        self.function(names::ARCHIVE_FUNCTION, move |log| {
            let shared = &this.0;
            let (number, clock) = shared.born();
            let config = aws_sdk_s3::config::Builder::from(&shared.services.sdk_config())
                .time_source(clock)
                .retry_partition(RetryPartition::custom(format!("sandbox {number}")).build());
            let lake = DataLake::new(config, names::BUCKET);
            let config = shared.settings.archive.clone();
            let handler = Arc::new(archive_fn::Handler::new(config, lake, log, SharedTimeSource::new(clock)));
            let sandbox = function::sandbox(move |event| {
                let handler = Arc::clone(&handler);
                async move { handler.handle(event).await }
            });
            this.watched("archive", number, clock, Box::new(Vec::new), sandbox)
        })
    }

    fn function(
        &self,
        name: &str,
        cold_start: impl Fn(LogWriter) -> function::Sandbox + Send + Sync + 'static,
    ) -> Function {
        let recorder = Arc::clone(&self.0.recorder);
        let log = LogWriter::new(move |line| {
            note_outcome(&recorder, line);
            Ok(())
        });
        let writer = log.clone();
        let (clock, timeout) = (self.0.services.clock, self.0.settings.function_timeout);
        Function::new(name, timeout, clock, log, move || cold_start(writer.clone()))
            .with_fault_plan(Arc::clone(&self.0.services.fault_plan))
    }

    fn watched(
        &self,
        function: &'static str,
        number: u64,
        clock: SkewedClock,
        remembered: Box<dyn Fn() -> Vec<Remembered> + Send + Sync>,
        sandbox: function::Sandbox,
    ) -> function::Sandbox {
        let shared = Arc::clone(&self.0);
        let known = Mutex::default();
        let watched = Arc::new(Watched { function, number, clock, frozen: Mutex::default(), remembered, known });
        Box::new(move |mut context, payload| {
            // Lambda's host and the sandbox on it go by the same clock.
            context.deadline = context.deadline.saturating_add_signed(clock.skew_ms);
            let death = shared.death();
            let invocation = shared.invoked(&watched, &payload);
            let work = sandbox(context, payload);
            Box::pin(watch(Arc::clone(&shared), Arc::clone(&watched), invocation, death, work))
        })
    }
}

async fn watch(
    shared: Arc<Shared>,
    watched: Arc<Watched>,
    invocation: u64,
    mut death: Option<Death>,
    mut work: futures_util::future::BoxFuture<'static, Result<Vec<u8>, String>>,
) -> Result<Vec<u8>, String> {
    let recorder = &shared.recorder;
    let mut end = End { recorder, invocation, told: false };
    let frozen_seconds = watched.thaw().as_secs();
    let dies_at = match death {
        Some(Death::After(time)) => Some(Instant::now() + time),
        _ => None,
    };
    let answer = {
        let mut dies = pin!(async {
            match dies_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            match &mut death {
                Some(Death::AfterPolls(0)) => return Poll::Ready(None),
                Some(Death::AfterPolls(left)) => *left -= 1,
                Some(Death::After(_)) if dies.as_mut().poll(cx).is_ready() => return Poll::Ready(None),
                Some(Death::After(_)) | None => {}
            }
            let _running = Running::begin(invocation, frozen_seconds);
            work.as_mut().poll(cx).map(Some)
        })
        .await
    };
    drop(work);
    watched.freeze();
    end.told = true;
    match answer {
        None => {
            recorder.note(Entry::Killed { invocation });
            // What `Function` takes for the death of the process; no panic hook hears of it.
            std::panic::resume_unwind(Box::new("killed"));
        }
        Some(Err(error)) => {
            recorder.note(Entry::Refused { invocation, error: error.clone() });
            Err(error)
        }
        Some(Ok(answer)) => {
            recorder.note(Entry::Answered {
                invocation,
                failed: failed(&answer),
                remembered: watched.newly_remembered(),
            });
            Ok(answer)
        }
    }
}

impl Shared {
    fn born(&self) -> (u64, SkewedClock) {
        let number = self.sandboxes.fetch_add(1, Ordering::Relaxed);
        let skew_ms = self.skew_ms.cast_signed();
        let skew_ms = self.skews.lock().unwrap_or_else(PoisonError::into_inner).i64(-skew_ms..=skew_ms);
        (number, SkewedClock { clock: self.services.clock, skew_ms })
    }

    fn death(&self) -> Option<Death> {
        let mut random = self.dice.roll(FaultKind::Killed)?;
        let timeout_ms = u64::try_from(self.settings.function_timeout.as_millis()).unwrap_or(u64::MAX);
        Some(match random.u8(..4) {
            0 => Death::AfterPolls(random.u32(..60)),
            1 => Death::AfterPolls(random.u32(..6)),
            2 => Death::After(Duration::from_millis(random.u64(..200))),
            _ => Death::After(Duration::from_millis(random.u64(..timeout_ms))),
        })
    }

    fn invoked(&self, watched: &Watched, payload: &[u8]) -> u64 {
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed);
        let wall = watched.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.recorder.note(Entry::Invoked {
            invocation,
            function: watched.function,
            sandbox: watched.number,
            wall_seconds: wall.as_secs(),
            items: items(payload),
        });
        invocation
    }
}

impl Watched {
    /// It runs again. Gives for how long it has stood still in all.
    fn thaw(&self) -> Duration {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = frozen.0.take() {
            frozen.1 += since.elapsed();
        }
        frozen.1
    }

    fn freeze(&self) {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
    }

    fn newly_remembered(&self) -> Vec<Remembered> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (self.remembered)().into_iter().filter(|entry| known.insert(entry.clone())).collect()
    }
}

/// While it lives, an invocation's code runs.
struct Running;

impl Running {
    fn begin(invocation: u64, frozen_seconds: u64) -> Self {
        CURRENT.set(Some(invocation));
        deliberate_fault::set_frozen_seconds(frozen_seconds);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// Notes the end of an invocation that does not come to its end.
struct End<'a> {
    recorder: &'a Recorder,
    invocation: u64,
    told: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let invocation = self.invocation;
        if !self.told {
            let crashed = std::thread::panicking();
            self.recorder.note(if crashed { Entry::Crashed { invocation } } else { Entry::TimedOut { invocation } });
        }
    }
}

fn items(payload: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Payload {
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "messageId")]
        message_id: Option<String>,
        dynamodb: Option<Change>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Change {
        sequence_number: String,
    }
    let payload: Payload = serde_json::from_slice(payload).expect("the mapping makes the payload");
    let item = |record: Record| record.message_id.or(record.dynamodb.map(|change| change.sequence_number));
    payload.records.into_iter().filter_map(item).collect()
}

fn failed(answer: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        batch_item_failures: Vec<Failure>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        item_identifier: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).expect("the handler answers with a partial batch response");
    answer.batch_item_failures.into_iter().filter_map(|failure| failure.item_identifier).collect()
}

/// Takes the outcome of a message or a record out of a log line, if it tells one.
fn note_outcome(recorder: &Recorder, line: &[u8]) {
    #[derive(Deserialize)]
    struct Line {
        outcome: Option<String>,
        message_id: Option<String>,
        claim_id: Option<String>,
    }
    let Some(invocation) = current() else { return };
    let Ok(Line { outcome: Some(outcome), message_id, claim_id }) = serde_json::from_slice(line) else { return };
    let (message_id, claim_id) = (message_id.unwrap_or_default(), claim_id.unwrap_or_default());
    recorder.note(Entry::Logged { invocation, outcome, message_id, claim_id });
}
