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

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use emulator::Clock;
use emulator::function::Sandbox;
use ingest_fn::CachedClaim;
use lambda_support::LogWriter;
use pipeline::sandboxes::AsDeployed;
use pipeline::{Blueprint, Decorator, Role, WarmSandbox};
use serde::Deserialize;
use tokio::time::Instant;

use crate::faults::{Dice, FaultKind};
use crate::history::{Entry, Recorder, Remembered};
use crate::scenario::Scenario;

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

/// Makes the sandboxes of a world, and watches them.
pub struct Sandboxes(Arc<Shared>);

struct Shared {
    clock: Clock,
    recorder: Arc<Recorder>,
    dice: Arc<Dice>,
    functions: Box<dyn Decorator>,
    timeout: Duration,
    /// The most that a clock is off, in milliseconds.
    skew_ms: u64,
    invocations: AtomicU64,
    skews: Mutex<fastrand::Rng>,
}

/// One sandbox, as it is watched.
struct Watched {
    function: &'static str,
    number: u64,
    clock: SkewedClock,
    ingest: Option<Arc<ingest_fn::Handler>>,
    known: Mutex<BTreeSet<Remembered>>,
}

/// How an invocation dies.
enum Death {
    AfterPolls(u32),
    After(Duration),
}

impl Sandboxes {
    /// Those of a scenario.
    #[must_use]
    pub fn new(clock: Clock, recorder: &Arc<Recorder>, dice: &Arc<Dice>, scenario: &Scenario) -> Self {
        let functions: Box<dyn Decorator> = match scenario.mutant {
            Some(mutant) => Box::new(mutant),
            None => Box::new(AsDeployed),
        };
        Self(Arc::new(Shared {
            clock,
            recorder: Arc::clone(recorder),
            dice: Arc::clone(dice),
            functions,
            timeout: Duration::from_secs(scenario.timeout_seconds),
            skew_ms: scenario.skew_ms,
            invocations: AtomicU64::new(0),
            skews: Mutex::new(fastrand::Rng::with_seed(scenario.seed.rotate_left(7))),
        }))
    }
}

impl Decorator for Sandboxes {
    fn log_writer(&self, role: Role, _: LogWriter) -> LogWriter {
        let recorder = Arc::clone(&self.0.recorder);
        let writer = LogWriter::new(move |line| {
            note_outcome(&recorder, line);
            Ok(())
        });
        self.0.functions.log_writer(role, writer)
    }

    fn cold_start(&self, mut blueprint: Blueprint) -> WarmSandbox {
        let clock = SkewedClock { clock: self.0.clock, skew_ms: self.0.skew() };
        blueprint.clock = SharedTimeSource::new(clock);
        let random = blueprint.random;
        let dice = Arc::clone(&self.0.dice);
        blueprint.random = Box::new(move || {
            dice.panic_on_draw();
            random()
        });
        let function = match blueprint.role {
            Role::Ingest => "ingest",
            Role::Archive => "archive",
        };
        let number = blueprint.number;
        let WarmSandbox { sandbox, ingest } = self.0.functions.cold_start(blueprint);
        let known = Mutex::default();
        let watched = Arc::new(Watched { function, number, clock, ingest: ingest.clone(), known });
        let shared = Arc::clone(&self.0);
        let sandbox: Sandbox = Box::new(move |mut context, payload| {
            // Lambda's host and the sandbox on it go by the same clock.
            context.deadline = context.deadline.saturating_add_signed(clock.skew_ms);
            let death = shared.death();
            let invocation = shared.invoked(&watched, &payload);
            let work = sandbox(context, payload);
            Box::pin(watch(Arc::clone(&shared), Arc::clone(&watched), invocation, death, work))
        });
        WarmSandbox { sandbox, ingest }
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
            let _running = Running::begin(invocation);
            work.as_mut().poll(cx).map(Some)
        })
        .await
    };
    drop(work);
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
    fn skew(&self) -> i64 {
        let skew_ms = self.skew_ms.cast_signed();
        self.skews.lock().unwrap_or_else(PoisonError::into_inner).i64(-skew_ms..=skew_ms)
    }

    fn death(&self) -> Option<Death> {
        let mut random = self.dice.roll(FaultKind::Killed)?;
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
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
    fn newly_remembered(&self) -> Vec<Remembered> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = self.ingest.iter().flat_map(|handler| handler.cached_claims());
        let remembered = cached.map(|CachedClaim { event_id_hash, held }| Remembered {
            key: event_id_hash,
            claim_id: held.claim_id.to_string(),
            digest: aws_smithy_types::base64::encode(held.digest.as_bytes()),
        });
        remembered.filter(|entry| known.insert(entry.clone())).collect()
    }
}

/// While it lives, an invocation's code runs.
struct Running;

impl Running {
    fn begin(invocation: u64) -> Self {
        CURRENT.set(Some(invocation));
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
