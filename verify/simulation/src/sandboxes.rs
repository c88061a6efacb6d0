//! Lambda's sandboxes as a world has them: each with a clock of its own that may be off, SDK clients and a retry quota of
//! its own as a process has, killed at any await, and state.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource as _};
use emulator::Clock;
use emulator::function::Sandbox;
use ingest_fn::CachedClaim;
use lambda_support::LogWriter;
use pipeline::sandboxes::AsDeployed;
use pipeline::{Blueprint, Decorator, Role, WarmSandbox};
use serde::Deserialize;
use tokio::time::Instant;

use crate::current_invocation::{InvocationGuard, current_invocation};
use crate::fault_kind::FaultKind;
use crate::fault_plan::SeededFaultPlan;
use crate::history::{CacheEntry, Entry};
use crate::payload::{failed, items};
use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::skewed_clock::SkewedClock;

/// Makes the sandboxes of a world, and watches them.
pub struct Sandboxes(Arc<Shared>);

struct Shared {
    clock: Clock,
    recorder: Arc<Recorder>,
    fault_plan: Arc<SeededFaultPlan>,
    functions: Box<dyn Decorator>,
    timeout: Duration,
    /// The most that a clock is off, in milliseconds.
    skew_ms: u64,
    invocations: AtomicU64,
    skews: Mutex<fastrand::Rng>,
}

/// One sandbox, as it is state.
struct SandboxState {
    function: &'static str,
    number: u64,
    clock: SkewedClock,
    ingest: Option<Arc<ingest_fn::Handler>>,
    known: Mutex<BTreeSet<CacheEntry>>,
}

/// How an invocation dies.
enum Death {
    AfterPolls(u32),
    After(Duration),
}

impl Sandboxes {
    /// Those of a scenario.
    #[must_use]
    pub fn new(clock: Clock, recorder: &Arc<Recorder>, fault_plan: &Arc<SeededFaultPlan>, scenario: &Scenario) -> Self {
        let functions: Box<dyn Decorator> = match scenario.mutant {
            Some(mutant) => Box::new(mutant),
            None => Box::new(AsDeployed),
        };
        Self(Arc::new(Shared {
            clock,
            recorder: Arc::clone(recorder),
            fault_plan: Arc::clone(fault_plan),
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
        let plan = Arc::clone(&self.0.fault_plan);
        blueprint.random = Box::new(move || {
            plan.panic_on_claim_id();
            random()
        });
        let function = match blueprint.role {
            Role::Ingest => "ingest",
            Role::Archive => "archive",
        };
        let number = blueprint.number;
        let WarmSandbox { sandbox, ingest } = self.0.functions.cold_start(blueprint);
        let known = Mutex::default();
        let state = Arc::new(SandboxState { function, number, clock, ingest: ingest.clone(), known });
        let shared = Arc::clone(&self.0);
        let sandbox: Sandbox = Box::new(move |mut context, payload| {
            // Lambda's host and the sandbox on it go by the same clock.
            context.deadline = context.deadline.saturating_add_signed(clock.skew_ms);
            let death = shared.death();
            let invocation = shared.invoked(&state, &payload);
            let work = sandbox(context, payload);
            Box::pin(watch(Arc::clone(&shared), Arc::clone(&state), invocation, death, work))
        });
        WarmSandbox { sandbox, ingest }
    }
}

async fn watch(
    shared: Arc<Shared>,
    state: Arc<SandboxState>,
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
            let _guard = InvocationGuard::begin(invocation);
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
                remembered: state.new_cache_entries(),
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
        let mut random = self.fault_plan.draw(FaultKind::Killed)?;
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        Some(match random.u8(..4) {
            0 => Death::AfterPolls(random.u32(..60)),
            1 => Death::AfterPolls(random.u32(..6)),
            2 => Death::After(Duration::from_millis(random.u64(..200))),
            _ => Death::After(Duration::from_millis(random.u64(..timeout_ms))),
        })
    }

    fn invoked(&self, state: &SandboxState, payload: &[u8]) -> u64 {
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed);
        let wall = state.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.recorder.note(Entry::Invoked {
            invocation,
            function: state.function,
            sandbox: state.number,
            wall_seconds: wall.as_secs(),
            items: items(payload),
        });
        invocation
    }
}

impl SandboxState {
    fn new_cache_entries(&self) -> Vec<CacheEntry> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = self.ingest.iter().flat_map(|handler| handler.cached_claims());
        let remembered = cached.map(|CachedClaim { event_id_hash, held }| CacheEntry {
            key: event_id_hash,
            claim_id: held.claim_id.to_string(),
            digest: aws_smithy_types::base64::encode(held.digest.as_bytes()),
        });
        remembered.filter(|entry| known.insert(entry.clone())).collect()
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

/// Takes the outcome of a message or a record out of a log line, if it tells one.
fn note_outcome(recorder: &Recorder, line: &[u8]) {
    #[derive(Deserialize)]
    struct Line {
        outcome: Option<String>,
        message_id: Option<String>,
        claim_id: Option<String>,
    }
    let Some(invocation) = current_invocation() else { return };
    let Ok(Line { outcome: Some(outcome), message_id, claim_id }) = serde_json::from_slice(line) else { return };
    let (message_id, claim_id) = (message_id.unwrap_or_default(), claim_id.unwrap_or_default());
    recorder.note(Entry::Logged { invocation, outcome, message_id, claim_id });
}
