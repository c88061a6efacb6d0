//! Tests of both functions as they are deployed: compiled, each in its own process, on the machine's clock. They cover late
//! answers, connections that die while a process is frozen, cached claims that expire, and unreadable messages.
//!
//! `cargo test` runs these tests on unoptimized binaries. `scripts/check-package` runs them on the packaged binaries.

// Signals freeze and thaw the processes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use claim::{Claim, EventRules, SourceMessage};
use emulator::runtime_api::{RuntimeApi, serve_aws};
use emulator::{Fault, Services};
use pipeline::names;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{claims, function_binary, function_command};

/// The timeout of the deployed functions.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A function timeout that is shorter than the SDK's time limit for one attempt of a request.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Expected duration of a batch if one attempt of a request gets no answer, and the next attempt is answered at once.
const ONE_LOST_ATTEMPT: Range<Duration> = Duration::from_millis(3_500)..Duration::from_millis(7_500);

/// Expected duration of a batch if no attempt of a request gets an answer.
const ALL_ATTEMPTS: Range<Duration> = Duration::from_secs(11)..Duration::from_secs(15);

/// Longest expected duration of a batch if all answers arrive. Even a busy machine needs less.
const QUICK: Duration = Duration::from_secs(3);

/// Number of messages or records in a batch. `archive-fn` handles this many concurrently, and `ingest-fn` handles more.
const BATCH: u32 = 8;

/// A function and its configuration.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ingest { claim_writes: &'static str },
    Archive,
}

const KINDS: [Kind; 3] =
    [Kind::Ingest { claim_writes: "single" }, Kind::Ingest { claim_writes: "batch" }, Kind::Archive];

impl Kind {
    /// Returns a batch of `BATCH` new events. `first` is the number of the first event.
    fn batch(self, first: u32) -> Vec<Value> {
        self.records(first..first + BATCH)
    }

    /// Returns a batch with one new event for each number.
    fn records(self, numbers: Range<u32>) -> Vec<Value> {
        numbers.map(|number| self.record(number)).collect()
    }

    /// Returns a message with a new event for `ingest-fn`, or the stream record of a new claim for `archive-fn`.
    fn record(self, number: u32) -> Value {
        let body = json!({ "event_id": format!("event-{number}"), "reading": number }).to_string();
        match self {
            Self::Ingest { .. } => message(&number.to_string(), &body),
            Self::Archive => {
                let event = EventRules::default().event(&body, None).unwrap();
                let mut random = [0; 10];
                random[6..].copy_from_slice(&number.to_be_bytes());
                let claim = Claim::new(
                    &event,
                    &SourceMessage::new("m", &body),
                    SystemTime::now(),
                    Duration::from_secs(60),
                    &random,
                )
                .unwrap();
                let image = serde_json::to_value(claim.to_item()).unwrap();
                json!({ "eventName": "INSERT", "dynamodb": { "SequenceNumber": number.to_string(), "NewImage": image } })
            }
        }
    }
}

fn message(id: &str, body: &str) -> Value {
    json!({ "messageId": id, "body": body })
}

/// A function's process, and the services and the network that it uses.
struct Deployed {
    kind: Kind,
    services: Arc<Services>,
    network: Network,
    api: RuntimeApi,
    child: Child,
    /// Number of requests to the services so far.
    requests: Arc<AtomicUsize>,
    batches: usize,
}

impl Deployed {
    /// Starts a function and waits until its cold start is over.
    async fn start(kind: Kind, timeout: Duration, variables: &[(&str, &str)]) -> Self {
        let services = Services::on_real_clock(1).unwrap();
        let _ = services.tables.create_claim_table(names::TABLE);
        services.lakes.create_bucket(names::BUCKET);
        let network = Network::start(serve_aws(Arc::clone(&services)).await.unwrap()).await;
        let api = RuntimeApi::start(timeout).await.unwrap();
        let (name, own) = match kind {
            Kind::Ingest { claim_writes } => {
                ("ingest-fn", [("TABLE_NAME", names::TABLE), ("CLAIM_WRITES", claim_writes)])
            }
            Kind::Archive => ("archive-fn", [("BUCKET_NAME", names::BUCKET), ("OBJECT_PREFIX", "events/")]),
        };
        let child = function_command(&function_binary(name), &api, network.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .envs(own)
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        tokio::time::timeout(TIMEOUT, api.first_asked()).await.expect("the function starts in time");
        let deployed = Self { kind, services, network, api, child, requests: Arc::default(), batches: 0 };
        deployed.delay_answers(0, Duration::ZERO);
        deployed
    }

    /// Delays the next `number` answers of the services by `delay`. The services still execute the requests at once.
    fn delay_answers(&self, number: usize, delay: Duration) {
        let requests = Arc::clone(&self.requests);
        let first_in_time = requests.load(Ordering::Relaxed).saturating_add(number);
        self.services.faults.set(move |_| {
            let is_late = requests.fetch_add(1, Ordering::Relaxed) < first_in_time;
            is_late.then_some(Fault::AnswerDelayed(delay))
        });
    }

    /// Sends a batch to the function. Returns the ids of the failed messages or records, and the time until the response.
    /// Panics if the process ends, or if no response arrives within a minute.
    async fn invoke(&mut self, records: &[Value]) -> (Vec<String>, Duration) {
        self.batches += 1;
        let begun = Instant::now();
        let event = json!({ "Records": records }).to_string();
        let request_id = self.batches.to_string();
        let reply = tokio::select! {
            reply = tokio::time::timeout(2 * TIMEOUT, self.api.invoke(&request_id, event)) => reply,
            status = self.child.wait() => panic!("{:?}: the process ended: {status:?}", self.kind),
        };
        let reply = reply.expect("the function responds").unwrap().expect("the function reports no error");
        let response: Value = serde_json::from_slice(&reply).unwrap();
        let failed = response["batchItemFailures"].as_array().unwrap().iter();
        let failed = failed.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned());
        (failed.collect(), begun.elapsed())
    }

    /// Sends a batch. Asserts that no message or record fails. Returns the time until the response.
    async fn invoke_without_failure(&mut self, records: &[Value]) -> Duration {
        let (failed, took) = self.invoke(records).await;
        assert!(failed.is_empty(), "{:?}: {failed:?} failed after {took:?}", self.kind);
        took
    }

    /// Returns the number of claims that `ingest-fn` wrote, or of object versions that `archive-fn` wrote.
    async fn written(&self) -> usize {
        match self.kind {
            Kind::Ingest { .. } => claims(&self.services).await.len(),
            Kind::Archive => self.services.lakes.versions(names::BUCKET).values().map(Vec::len).sum(),
        }
    }

    /// Freezes the process, as Lambda does between batches. Thaws it after the network has lost its connections.
    async fn freeze_and_lose_connections(&self, loss: Loss) {
        self.signal("STOP").await;
        self.network.lose_connections(loss);
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.signal("CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id().expect("the process runs"));
        assert!(tokio::process::Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }
}

/// The way in which an idle connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The network answers the client's next bytes with a reset, as a NAT gateway does if a connection was idle for too
    /// long.
    Reset,
    /// The network drops everything that the client sends.
    Silent,
}

/// The network between a function and the services. It can lose the existing connections.
struct Network {
    address: SocketAddr,
    losses: broadcast::Sender<Loss>,
    /// Number of connections that the function has opened.
    opened: Arc<AtomicUsize>,
}

impl Network {
    async fn start(aws: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let losses = broadcast::Sender::new(1);
        let to_connections = losses.clone();
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, aws, to_connections.subscribe()));
            }
        });
        Self { address, losses, opened }
    }

    fn lose_connections(&self, loss: Loss) {
        self.losses.send(loss).expect("a connection is open");
    }
}

/// Carries the bytes of a connection until it ends or is lost.
async fn carry(mut client: TcpStream, aws: SocketAddr, mut losses: broadcast::Receiver<Loss>) {
    let mut server = TcpStream::connect(aws).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let loss = tokio::select! {
        // An error only means that the function closed the connection, for example because an answer was late.
        _ = copy_bidirectional(&mut client, &mut server) => return,
        loss = losses.recv() => loss,
    };
    match loss.unwrap() {
        // A socket that is closed with unread bytes sends a reset.
        Loss::Reset => client.readable().await.unwrap(),
        Loss::Silent => std::future::pending().await,
    }
}

/// Runs a test for all kinds of functions in parallel, because the tests spend most of their time waiting.
async fn with_each<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Kind) -> F) {
    KINDS.map(test).into_iter().collect::<JoinSet<_>>().join_all().await;
}

/// A claim's times come from the wall clock: `claimed_at` is between the start and the end of the batch, and `ttl` is the
/// end of the dedup window.
#[tokio::test]
async fn times_of_claim_agree_with_wall_clock() {
    for claim_writes in ["single", "batch"] {
        let window = [("DEDUP_WINDOW_SECONDS", "100")];
        let mut function = Deployed::start(Kind::Ingest { claim_writes }, TIMEOUT, &window).await;
        let begun = SystemTime::now();
        function.invoke_without_failure(&function.kind.batch(0)).await;
        let ended = SystemTime::now();
        let claims = claims(&function.services).await;
        assert_eq!(claims.len(), BATCH as usize);
        for claim in claims {
            // A claim has the time in milliseconds, rounded down.
            let claimed_at = SystemTime::from(claim.claimed_at);
            assert!(
                claimed_at + Duration::from_millis(1) > begun && claimed_at <= ended,
                "{begun:?} {claim:?} {ended:?}"
            );
            assert_eq!(claim.ttl, claim.claimed_at.timestamp().unsigned_abs() + 100);
        }
    }
}

/// If no answer arrives in time, the function reports the whole batch as failed before its deadline. The same process then
/// handles the redelivered batch, and nothing is written twice.
#[tokio::test]
async fn late_answers_fail_batch_before_deadline() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, SHORT_TIMEOUT, &[]).await;
        let batch = kind.batch(0);
        function.delay_answers(usize::MAX, Duration::from_secs(10));
        let (failed, took) = function.invoke(&batch).await;
        assert_eq!(failed.len(), batch.len(), "{kind:?}");
        assert!(took < SHORT_TIMEOUT, "{kind:?}: {took:?}");
        function.delay_answers(0, Duration::ZERO);
        function.invoke_without_failure(&batch).await;
        assert_eq!(function.written().await, batch.len(), "{kind:?}");
    })
    .await;
}

/// If the answer to one attempt does not arrive in time, the SDK retries the request, and the batch succeeds.
#[tokio::test]
async fn late_answer_costs_one_attempt() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        let batch = kind.batch(0);
        function.delay_answers(1, Duration::from_secs(20));
        let took = function.invoke_without_failure(&batch).await;
        assert!(ONE_LOST_ATTEMPT.contains(&took), "{kind:?}: {took:?}");
        assert_eq!(function.written().await, batch.len(), "{kind:?}");
    })
    .await;
}

/// A request that gets no answer fails after its last attempt, long before the function's deadline.
#[tokio::test]
async fn unanswered_request_fails_after_12_seconds() {
    let with = |kind: Kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        let batch = kind.batch(0);
        function.delay_answers(usize::MAX, Duration::from_secs(60));
        let (failed, took) = function.invoke(&batch).await;
        assert_eq!(failed.len(), batch.len(), "{kind:?}");
        assert!(ALL_ATTEMPTS.contains(&took), "{kind:?}: {took:?}");
    };
    tokio::join!(with(Kind::Ingest { claim_writes: "single" }), with(Kind::Archive));
}

/// After a freeze, the first request on each idle connection is answered with a reset. The next batch is still quick
/// and does not fail, although there are more dead connections than a request has attempts.
#[tokio::test]
async fn thawed_process_replaces_reset_connections() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        for (first, messages) in [(0, 1), (100, BATCH)] {
            // Late answers make the function open a connection for each message or record.
            function.delay_answers(BATCH as usize, Duration::from_millis(500));
            function.invoke_without_failure(&kind.batch(first)).await;
            function.freeze_and_lose_connections(Loss::Reset).await;
            let took = function.invoke_without_failure(&kind.records(first + 50..first + 50 + messages)).await;
            assert!(took < QUICK, "{kind:?}, {messages} messages: {took:?}");
        }
        assert_eq!(function.written().await, 3 * BATCH as usize + 1, "{kind:?}");
    })
    .await;
}

/// Idle connections go silent while the process is frozen. The next batch waits for one failed attempt, and the batch
/// after that is not delayed.
#[tokio::test]
async fn thawed_process_replaces_silent_connections() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        function.invoke_without_failure(&kind.batch(0)).await;
        function.freeze_and_lose_connections(Loss::Silent).await;
        let took = function.invoke_without_failure(&kind.batch(100)).await;
        assert!(ONE_LOST_ATTEMPT.contains(&took), "{kind:?}: {took:?}");
        let took = function.invoke_without_failure(&kind.batch(200)).await;
        assert!(took < QUICK, "{kind:?}: {took:?}");
        assert_eq!(function.written().await, 3 * BATCH as usize, "{kind:?}");
    })
    .await;
}

/// A function opens as many connections as it can, and then all of them go silent. The next batch waits for one failed
/// attempt, but does not fail.
#[tokio::test]
async fn many_silent_connections_cost_one_attempt() {
    let with = |kind: Kind, connections: u32, messages: u32| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        // Late answers make the function open a connection for each message or record.
        function.delay_answers(connections as usize, Duration::from_millis(500));
        function.invoke_without_failure(&kind.records(0..connections)).await;
        assert_eq!(function.network.opened.load(Ordering::Relaxed), connections as usize, "{kind:?}");
        function.freeze_and_lose_connections(Loss::Silent).await;
        let took = function.invoke_without_failure(&kind.records(100..100 + messages)).await;
        assert!(ONE_LOST_ATTEMPT.contains(&took), "{kind:?}, {messages} messages: {took:?}");
        let took = function.invoke_without_failure(&kind.batch(200)).await;
        assert!(took < QUICK, "{kind:?}, {messages} messages: {took:?}");
        assert_eq!(function.written().await, (connections + messages + BATCH) as usize, "{kind:?}");
    };
    let ingest = Kind::Ingest { claim_writes: "single" };
    tokio::join!(with(ingest, 10, 1), with(ingest, 10, 10), with(Kind::Archive, 8, 1), with(Kind::Archive, 8, 8));
}

/// A function reuses its connections as long as its requests are answered.
#[tokio::test]
async fn warm_process_keeps_its_connections() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        function.delay_answers(BATCH as usize, Duration::from_millis(500));
        function.invoke_without_failure(&kind.batch(0)).await;
        let opened = function.network.opened.load(Ordering::Relaxed);
        for first in [100, 200, 300] {
            function.invoke_without_failure(&kind.batch(first)).await;
        }
        assert_eq!(function.network.opened.load(Ordering::Relaxed), opened, "{kind:?}");
    })
    .await;
}

/// While the warm cache contains the claim of an event, copies of the event need no request to the table. After the
/// claim has expired by the wall clock, the next copy claims the event again.
#[tokio::test]
async fn expired_cached_claim_is_claimed_again() {
    for claim_writes in ["single", "batch"] {
        let window = [("DEDUP_WINDOW_SECONDS", "4")];
        let mut function = Deployed::start(Kind::Ingest { claim_writes }, TIMEOUT, &window).await;
        let body = r#"{"event_id":"a"}"#;
        function.invoke_without_failure(&[message("first", body)]).await;
        let requests = function.requests.load(Ordering::Relaxed);
        function.invoke_without_failure(&[message("cached", body)]).await;
        assert_eq!(function.requests.load(Ordering::Relaxed), requests, "the cache answers");

        let claim = claims(&function.services).await.remove(0);
        assert_eq!(claim.message_id, "first");
        let expired = SystemTime::UNIX_EPOCH + Duration::from_secs(claim.ttl + 1);
        tokio::time::sleep(expired.duration_since(SystemTime::now()).unwrap_or_default()).await;
        function.invoke_without_failure(&[message("later", body)]).await;
        let again = claims(&function.services).await;
        assert_eq!(again.iter().map(|claim| claim.message_id.as_str()).collect::<Vec<_>>(), ["later"]);
        assert_ne!(again[0].claim_id, claim.claim_id);
    }
}

/// While Lambda freezes a sandbox, the wall clock goes on and the monotonic clock may stand still. An event whose claim
/// expires during the freeze is claimed again. If the wall clock is then set back, the function still uses the new
/// claim.
///
/// libfaketime changes the wall clock of the process. Without it, the test does nothing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn claim_that_expires_in_a_freeze_is_claimed_again() {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    if !std::path::Path::new(&library).exists() {
        eprintln!("not tested: {library} is missing (Debian package faketime)");
        return;
    }
    let clock = tempfile::NamedTempFile::new().unwrap();
    let set_clock = |offset| std::fs::write(clock.path(), offset).unwrap();
    set_clock("+0");
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.path().to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DEDUP_WINDOW_SECONDS", "7200"),
    ];
    // Lambda's deadline comes from a clock that is not changed.
    let timeout = Duration::from_hours(4);
    let mut function = Deployed::start(Kind::Ingest { claim_writes: "single" }, timeout, &variables).await;
    for (id, offset, winner, requests) in [
        ("first", "+0", "first", 1),
        ("copy", "+1h", "first", 0),
        ("later", "+3h", "later", 1),
        ("back", "+0", "later", 0),
    ] {
        function.signal("STOP").await;
        set_clock(offset);
        function.signal("CONT").await;
        let before = function.requests.load(Ordering::Relaxed);
        function.invoke_without_failure(&[message(id, r#"{"event_id":"a"}"#)]).await;
        assert_eq!(function.requests.load(Ordering::Relaxed) - before, requests, "{id}");
        let claims = claims(&function.services).await;
        assert_eq!(claims.iter().map(|claim| claim.message_id.as_str()).collect::<Vec<_>>(), [winner], "{id}");
    }
}

/// A message that cannot be read fails alone, and the process keeps running. This test must catch the mutant
/// `panic-aborts`, which panics while it reads this message. The panic ends the mutant's process.
#[tokio::test]
async fn unreadable_message_leaves_process_alive() {
    for claim_writes in ["single", "batch"] {
        let mut function = Deployed::start(Kind::Ingest { claim_writes }, TIMEOUT, &[]).await;
        for (bad, good) in [("bad-1", 1), ("bad-2", 2)] {
            let (failed, _) = function.invoke(&[message(bad, "not json"), function.kind.record(good)]).await;
            assert_eq!(failed, [bad]);
        }
        assert_eq!(function.written().await, 2);
    }
}
