//! The Lambda sandboxes of a world. Each sandbox has its own skewed clock and, like a process on Lambda, its own SDK
//! clients, retry quota and state. A fault can kill a sandbox at any `await` of its handler.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource as _};
use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::Clock;
use emulator::function::Sandbox;
use ingest_fn::{CachedClaim, LakeLayout};
use lambda_support::LogWriter;
use pipeline::sandboxes::AsDeployed;
use pipeline::{Blueprint, Decorator, Role, WarmSandbox};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::Instant;

use crate::current_invocation::{InvocationGuard, current_invocation};
use crate::fault_kind::FaultKind;
use crate::fault_plan::SeededFaultPlan;
use crate::history::{CacheEntry, Entry};
use crate::old_version;
use crate::payload::{failed, items};
use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::skewed_clock::SkewedClock;

/// The metrics that count the outcomes of messages and records.
const COUNTERS: [&str; 9] =
    ["Won", "Duplicate", "Conflict", "Rejected", "Failed", "Written", "AlreadyThere", "Skipped", "Quarantined"];

/// Starts the sandboxes of a world and records what happens in them.
pub struct Sandboxes(Arc<Shared>);

struct Shared {
    clock: Clock,
    recorder: Arc<Recorder>,
    fault_plan: Arc<SeededFaultPlan>,
    /// The decorator that starts the functions: a mutant, or `AsDeployed` for the correct functions.
    functions: Box<dyn Decorator>,
    timeout: Duration,
    /// Maximum difference between a sandbox's clock and the services' clock, in either direction.
    skew_ms: u64,
    invocations: AtomicU64,
    skews: Mutex<fastrand::Rng>,
    /// The rules of `ingest-fn` for each list of ignored members. Each sandbox of `ingest-fn` uses one of them.
    rules: Vec<EventRules>,
    has_old_version: bool,
    layouts: Option<Mutex<fastrand::Rng>>,
    versions: Mutex<fastrand::Rng>,
}

struct SandboxState {
    function: &'static str,
    number: u64,
    clock: SkewedClock,
    ingest: Option<Arc<ingest_fn::Handler>>,
    /// Entries of the warm cache that are already in the history.
    recorded_entries: Mutex<BTreeSet<CacheEntry>>,
}

/// The time at which a fault kills an invocation: after a number of polls of its future, or after a duration.
enum KillTime {
    AfterPolls(u32),
    After(Duration),
}

impl Sandboxes {
    /// Creates the decorator that starts the sandboxes of a scenario.
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
            rules: scenario.rules.lists.iter().map(|list| rules(scenario, list)).collect(),
            has_old_version: scenario.rules.has_old_version,
            layouts: scenario.has_packs.then(|| Mutex::new(fastrand::Rng::with_seed(scenario.seed.rotate_left(19)))),
            versions: Mutex::new(fastrand::Rng::with_seed(scenario.seed.rotate_left(13))),
        }))
    }
}

impl Decorator for Sandboxes {
    fn log_writer(&self, role: Role, _: LogWriter) -> LogWriter {
        let recorder = Arc::clone(&self.0.recorder);
        let writer = LogWriter::new(move |line| {
            record_outcome(&recorder, line);
            Ok(())
        });
        self.0.functions.log_writer(role, writer)
    }

    fn cold_start(&self, mut blueprint: Blueprint) -> WarmSandbox {
        let clock = SkewedClock { clock: self.0.clock, skew_ms: self.0.draw_skew_ms() };
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
        blueprint.ingest.lake_layout = self.0.draw_layout();
        let is_old = self.0.draw_version(&mut blueprint);
        if is_old {
            old_version::change(&mut blueprint);
        }
        let mut warm = self.0.functions.cold_start(blueprint);
        if is_old {
            warm = old_version::without_traces(warm);
        }
        let WarmSandbox { sandbox, ingest } = warm;
        let recorded_entries = Mutex::default();
        let state = Arc::new(SandboxState { function, number, clock, ingest: ingest.clone(), recorded_entries });
        let shared = Arc::clone(&self.0);
        let sandbox: Sandbox = Box::new(move |mut context, payload| {
            // On Lambda, the deadline and the sandbox's clock both come from the host, so the skew applies to both.
            context.deadline = context.deadline.saturating_add_signed(clock.skew_ms);
            let kill_time = shared.draw_kill_time();
            let invocation = shared.begin_invocation(&state, &payload);
            let work = sandbox(context, payload);
            Box::pin(run_invocation(Arc::clone(&shared), Arc::clone(&state), invocation, kill_time, work))
        });
        WarmSandbox { sandbox, ingest }
    }
}

/// Runs one invocation, kills it at `kill_time` if there is one, and records how the invocation ends.
async fn run_invocation(
    shared: Arc<Shared>,
    state: Arc<SandboxState>,
    invocation: u64,
    mut kill_time: Option<KillTime>,
    mut work: futures_util::future::BoxFuture<'static, Result<Vec<u8>, String>>,
) -> Result<Vec<u8>, String> {
    let recorder = &shared.recorder;
    let mut guard = EndGuard { recorder, invocation, has_ended: false };
    let killed_at = match kill_time {
        Some(KillTime::After(time)) => Some(Instant::now() + time),
        _ => None,
    };
    let answer = {
        let mut kill = pin!(async {
            match killed_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            match &mut kill_time {
                Some(KillTime::AfterPolls(0)) => return Poll::Ready(None),
                Some(KillTime::AfterPolls(left)) => *left -= 1,
                Some(KillTime::After(_)) if kill.as_mut().poll(cx).is_ready() => return Poll::Ready(None),
                Some(KillTime::After(_)) | None => {}
            }
            let _guard = InvocationGuard::begin(invocation);
            work.as_mut().poll(cx).map(Some)
        })
        .await
    };
    drop(work);
    guard.has_ended = true;
    match answer {
        None => {
            recorder.record(Entry::Killed { invocation });
            // The emulator's `Function` drops a sandbox that panics, like a killed one. `resume_unwind` panics without
            // printing.
            std::panic::resume_unwind(Box::new("killed"));
        }
        Some(Err(error)) => {
            recorder.record(Entry::Failed { invocation, error: error.clone() });
            Err(error)
        }
        Some(Ok(answer)) => {
            recorder.record(Entry::Answered {
                invocation,
                failed: failed(&answer),
                newly_cached: state.newly_cached_entries(),
            });
            Ok(answer)
        }
    }
}

impl Shared {
    fn draw_skew_ms(&self) -> i64 {
        let max_ms = self.skew_ms.cast_signed();
        self.skews.lock().unwrap_or_else(PoisonError::into_inner).i64(-max_ms..=max_ms)
    }

    /// Chooses a list of ignored members for a sandbox of `ingest-fn`. Returns true if the sandbox must run the old
    /// version.
    fn draw_version(&self, blueprint: &mut Blueprint) -> bool {
        if blueprint.role == Role::Archive {
            return false;
        }
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        blueprint.ingest.rules = self.rules[versions.usize(..self.rules.len())].clone();
        self.has_old_version && versions.bool()
    }

    /// Returns the layout of a sandbox. Most sandboxes of a world with packs write packs.
    fn draw_layout(&self) -> LakeLayout {
        let has_packs =
            |random: &Mutex<fastrand::Rng>| random.lock().unwrap_or_else(PoisonError::into_inner).u8(..4) > 0;
        if self.layouts.as_ref().is_some_and(has_packs) { LakeLayout::Packs } else { LakeLayout::Objects }
    }

    fn draw_kill_time(&self) -> Option<KillTime> {
        let mut random = self.fault_plan.draw(FaultKind::Killed)?;
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        Some(match random.u8(..4) {
            0 => KillTime::AfterPolls(random.u32(..60)),
            1 => KillTime::AfterPolls(random.u32(..6)),
            2 => KillTime::After(Duration::from_millis(random.u64(..200))),
            _ => KillTime::After(Duration::from_millis(random.u64(..timeout_ms))),
        })
    }

    fn begin_invocation(&self, state: &SandboxState, payload: &[u8]) -> u64 {
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed);
        let wall = state.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.recorder.record(Entry::Invoked {
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
    /// Returns the entries of the warm cache that are not in the history yet.
    fn newly_cached_entries(&self) -> Vec<CacheEntry> {
        let mut recorded = self.recorded_entries.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = self.ingest.iter().flat_map(|handler| handler.cached_claims());
        let entries = cached.map(|CachedClaim { event_id_hash, held }| CacheEntry {
            key: event_id_hash,
            claim_id: held.claim_id.to_string(),
            digest: aws_smithy_types::base64::encode(held.digest.to_bytes()),
        });
        entries.filter(|entry| recorded.insert(entry.clone())).collect()
    }
}

/// Records a timeout or a panic if this guard is dropped before the invocation has ended.
struct EndGuard<'a> {
    recorder: &'a Recorder,
    invocation: u64,
    has_ended: bool,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let invocation = self.invocation;
        if !self.has_ended {
            let crashed = std::thread::panicking();
            self.recorder.record(if crashed { Entry::Crashed { invocation } } else { Entry::TimedOut { invocation } });
        }
    }
}

/// Returns the rules of `ingest-fn` with this list of ignored members.
fn rules(scenario: &Scenario, list: &str) -> EventRules {
    let key = DedupKey::parse(scenario.rules.key.setting()).expect("the scenario's dedup key is valid");
    let list = ConflictIgnore::parse(list, &key).expect("the scenario's list is valid");
    EventRules::new(key, list)
}

/// Adds an entry to the history if the log line contains the outcome of a message or a record, or the metrics of a batch.
fn record_outcome(recorder: &Recorder, line: &[u8]) {
    #[derive(Deserialize)]
    struct Line {
        outcome: Option<String>,
        message_id: Option<String>,
        claim_id: Option<String>,
        /// Only the summary line of a batch has this field.
        #[serde(rename = "_aws")]
        metrics: Option<IgnoredAny>,
    }
    let Some(invocation) = current_invocation() else { return };
    let Ok(Line { outcome, message_id, claim_id, metrics }) = serde_json::from_slice(line) else { return };
    if metrics.is_some() {
        let summary: BTreeMap<String, Value> = serde_json::from_slice(line).expect("the line was parsed before");
        let count = |name: &&str| summary.get(*name).and_then(Value::as_u64).unwrap_or_default();
        let items = COUNTERS.iter().map(count).sum::<u64>();
        recorder.record(Entry::Counted { invocation, items: usize::try_from(items).unwrap_or(usize::MAX) });
    }
    let Some(outcome) = outcome else { return };
    let message_id = message_id.unwrap_or_default();
    let claim_id = claim_id.unwrap_or_default();
    recorder.record(Entry::Logged { invocation, outcome, message_id, claim_id });
}
