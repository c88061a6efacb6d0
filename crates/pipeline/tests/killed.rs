//! Runs both compiled functions as child processes under load, kills them with SIGKILL, and starts new ones as Lambda does.
//! In the end, the lake must contain one line per event, as it would without kills.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the test reports the number of kills")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::function::{Function, Sandbox};
use emulator::runtime_api::{RuntimeApi, serve_aws};
use emulator::sqs::{QueueSettings, Redrive};
use emulator::sqs_mapping::SqsMapping;
use emulator::stream_mapping::StreamMapping;
use emulator::{Fault, Services};
use pipeline::testkit::{archived_lines, assert_archived_once};
use pipeline::{PipelineSettings, names};
use serde_json::json;
use tokio::process::Child;
use tokio::sync::Notify;

use crate::support::{claims, function_binary, function_command};

const EVENTS: usize = 300;
const COPIES: usize = 3;

/// The number of kills after which the test no longer kills a function's processes.
const KILLS: usize = 20;

/// The time limit of the whole run. A run takes about ten seconds, and longer on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The visibility timeout of the queues. It is short, because SQS hides the messages of a killed batch for this long.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(2);

/// A compiled function whose processes the test kills.
struct Compiled {
    name: &'static str,
    binary: PathBuf,
    aws: SocketAddr,
    variables: Vec<(&'static str, String)>,
    kill_all: Notify,
    killer: Mutex<Killer>,
}

/// Chooses which invocations to kill, and when.
struct Killer {
    /// `None` if no process is killed at a random moment.
    random: Option<fastrand::Rng>,
    kills: usize,
    invocations: usize,
    /// Duration of the last invocation that was not killed, as an estimate for the next one.
    last_duration: Duration,
    unexpected_exits: usize,
}

impl Killer {
    /// Returns the delay after which to kill the next invocation, or `None` to let it end. Chooses two of three
    /// invocations on average. The delay is random, and at most 1.2 times the expected duration of the invocation. If
    /// the invocation ends first, nothing is killed.
    fn next(&mut self) -> Option<Duration> {
        self.invocations += 1;
        let random = self.random.as_mut().filter(|_| self.kills < KILLS)?;
        (random.u8(..3) < 2).then(|| self.last_duration.mul_f64(random.f64() * 1.2))
    }
}

/// A process with its own Runtime API. If processes shared a Runtime API, the API could give an event to the pending request
/// of a killed process.
struct Process {
    api: RuntimeApi,
    child: Child,
}

impl Compiled {
    fn new(binary: &str, aws: SocketAddr, name: &'static str, own: &[(&'static str, &str)], seed: u64) -> Arc<Self> {
        let own = own.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = own.chain([("AWS_LAMBDA_FUNCTION_NAME", name.to_owned())]).collect();
        let random = fastrand::Rng::with_seed(seed);
        let last_duration = Duration::from_millis(200);
        Arc::new(Self {
            name,
            binary: function_binary(binary),
            aws,
            variables,
            kill_all: Notify::new(),
            killer: Mutex::new(Killer {
                random: Some(random),
                kills: 0,
                invocations: 0,
                last_duration,
                unexpected_exits: 0,
            }),
        })
    }

    async fn start(&self) -> Process {
        let api = RuntimeApi::start(FUNCTION_TIMEOUT).await.unwrap();
        let variables = self.variables.iter().map(|(name, value)| (*name, value));
        let child = function_command(&self.binary, &api, self.aws).envs(variables).spawn().unwrap();
        Process { api, child }
    }

    /// Sends an event to a sandbox's process. Starts a new process if there is none, or if the last one was killed.
    async fn invoke(&self, slot: &mut Option<Process>, request_id: &str, event: Vec<u8>) -> Result<Vec<u8>, String> {
        let kill_after = self.killer.lock().unwrap().next();
        let begun = Instant::now();
        let mut process = match slot.take() {
            Some(process) => process,
            None => self.start().await,
        };
        let killed_at = async {
            match kill_after {
                Some(after) => tokio::time::sleep(after).await,
                None => self.kill_all.notified().await,
            }
        };
        let reply = tokio::select! {
            reply = process.api.invoke(request_id, event) => reply,
            () = killed_at => {
                process.child.kill().await.unwrap();
                self.killer.lock().unwrap().kills += 1;
                return Err("killed".to_owned());
            }
            status = process.child.wait() => {
                self.killer.lock().unwrap().unexpected_exits += 1;
                return Err(format!("exited unexpectedly: {status:?}"));
            }
        };
        if kill_after.is_none() {
            self.killer.lock().unwrap().last_duration = begun.elapsed();
        }
        *slot = Some(process);
        reply.unwrap().map(Vec::from).map_err(|error| String::from_utf8_lossy(&error).into_owned())
    }

    fn function(self: &Arc<Self>, services: &Services) -> Arc<Function> {
        let compiled = Arc::clone(self);
        let cold_start = move || -> Sandbox {
            let compiled = Arc::clone(&compiled);
            let slot = Arc::new(tokio::sync::Mutex::new(None));
            Box::new(move |context, event| {
                let compiled = Arc::clone(&compiled);
                let slot = Arc::clone(&slot);
                Box::pin(async move { compiled.invoke(&mut *slot.lock().await, &context.request_id, event).await })
            })
        };
        let log = services.logs.writer(self.name);
        Arc::new(Function::new(self.name, FUNCTION_TIMEOUT, services.clock, log, cold_start))
    }

    /// Prints and returns the number of kills. Asserts that no process exited by itself.
    fn report(&self) -> usize {
        let killer = self.killer.lock().unwrap();
        assert_eq!(killer.unexpected_exits, 0, "{}", self.name);
        println!("{}: {} of {} invocations killed", self.name, killer.kills, killer.invocations);
        killer.kills
    }
}

/// The moments at which the processes are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kills {
    /// At random moments, whatever a process does.
    AtRandom,
    /// At each of the first closes of a pack. Every process of `ingest-fn` is killed then.
    AtTheClose,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_leave_one_object_per_event() {
    assert_one_line_per_event("objects", Kills::AtRandom).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_leave_one_line_per_event_in_packs() {
    assert_one_line_per_event("packs", Kills::AtRandom).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_at_the_close_leave_one_line_per_event() {
    assert_one_line_per_event("packs", Kills::AtTheClose).await;
}

/// Returns the faults of the first requests that close a pack, one for each kill. In turn, a close is never executed, is
/// executed but its answer never arrives, or is executed after its sender has died.
fn faults_of_closes() -> impl Iterator<Item = Fault> + Send {
    let faults = [
        Fault::RequestDelayed(10 * BOUND),
        Fault::AnswerDelayed(10 * BOUND),
        Fault::RequestDelayed(VISIBILITY_TIMEOUT / 4),
    ];
    faults.into_iter().cycle().take(KILLS)
}

/// Each event becomes one line of one object with one version, no matter when the functions' processes are killed.
async fn assert_one_line_per_event(layout: &str, kills: Kills) {
    let seed = 1;
    let services = Services::on_real_clock(seed).unwrap();
    let stream = services.tables.create_claim_table(names::TABLE);
    services.lakes.create_bucket(names::BUCKET);
    let queue = |redrive| QueueSettings { visibility_timeout: VISIBILITY_TIMEOUT, retention: 10 * BOUND, redrive };
    services.sqs.create_queue(names::DEAD_LETTER_QUEUE, queue(None));
    // No message may become a dead letter, even if its batch is killed many times: the test expects a line for every
    // event.
    let redrive = Redrive { dead_letter_queue: names::DEAD_LETTER_QUEUE.to_owned(), max_receive_count: 1_000 };
    services.sqs.create_queue(names::QUEUE, queue(Some(redrive)));
    services.sqs.create_queue(names::ON_FAILURE_QUEUE, queue(None));

    let aws = serve_aws(Arc::clone(&services)).await.unwrap();
    let variables = [("TABLE_NAME", names::TABLE), ("LAKE_LAYOUT", layout)];
    let ingest = Compiled::new("ingest-fn", aws, names::INGEST_FUNCTION, &variables, seed);
    let variables = [("BUCKET_NAME", names::BUCKET)];
    let archive = Compiled::new("archive-fn", aws, names::ARCHIVE_FUNCTION, &variables, seed + 1);
    if kills == Kills::AtTheClose {
        for function in [&ingest, &archive] {
            function.killer.lock().unwrap().random = None;
        }
        let faults = Mutex::new(faults_of_closes());
        let ingest = Arc::clone(&ingest);
        services.faults.set(move |call| {
            let is_close = call.operation == "PutItem" && contains(call.request.body(), claim::pack::KEY_PREFIX);
            let fault = if is_close { faults.lock().unwrap().next()? } else { return None };
            ingest.kill_all.notify_waiters();
            Some(fault)
        });
    }

    let mut bodies: Vec<String> = (0..EVENTS * COPIES)
        .map(|n| json!({ "event_id": format!("event-{}", n % EVENTS), "reading": n % EVENTS }).to_string())
        .collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut bodies);
    for body in &bodies {
        services.sqs.send(names::QUEUE, body).unwrap();
    }

    let begun = Instant::now();
    let mut settings = PipelineSettings::default();
    settings.sqs_mapping.maximum_concurrency = 3;
    settings.sqs_mapping.batching_window = Duration::ZERO;
    settings.stream_mapping.batch_size = 10;
    settings.stream_mapping.filter = PipelineSettings::pack_filter();
    let to_ingest = ingest.function(&services);
    let to_ingest = SqsMapping::new(Arc::clone(&services), names::QUEUE, to_ingest, settings.sqs_mapping);
    let to_archive = archive.function(&services);
    let to_archive = StreamMapping::new(Arc::clone(&services), &stream, to_archive, settings.stream_mapping);
    let mut mappings = tokio::task::JoinSet::new();
    mappings.spawn(async move { format!("{:?}", to_ingest.run().await) });
    mappings.spawn(async move { format!("{:?}", to_archive.run().await) });

    let drained = async {
        loop {
            let counts = services.sqs.counts(names::QUEUE).unwrap();
            if counts.visible + counts.in_flight == 0 && archived_lines(&services).len() >= EVENTS {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        drained = tokio::time::timeout(BOUND, drained) => drained.expect("every event is archived in time"),
        ended = mappings.join_next() => panic!("a mapping ended: {ended:?}"),
    }
    println!("{} messages of {EVENTS} events in {:.1} s", bodies.len(), begun.elapsed().as_secs_f64());

    let killed = (ingest.report(), archive.report());
    match kills {
        Kills::AtRandom => assert!(killed.0 >= KILLS / 2 && killed.1 >= KILLS / 2, "{killed:?}"),
        Kills::AtTheClose => assert!(killed.0 >= KILLS / 2, "{killed:?}"),
    }

    let claims = claims(&services).await;
    assert_archived_once(&services, &claims, &BTreeSet::new());
    let has_packs = services.lakes.versions(names::BUCKET).keys().any(|key| key.ends_with(".json.gz"));
    assert_eq!(has_packs, layout == "packs");
    for (event_id, body) in bodies.iter().map(|body| (serde_json::from_str::<serde_json::Value>(body).unwrap(), body)) {
        let claim = claims.iter().find(|claim| claim.event_id == event_id["event_id"]).expect("each event is claimed");
        assert_eq!(claim.body_text().unwrap(), body.as_str());
    }
    assert_eq!((claims.len(), services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible), (EVENTS, 0));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
