//! Tests of both functions as they are deployed: compiled, each in its own process, on the machine's clock. Services answer
//! late, connections die while a process is frozen, time passes between batches, and a message cannot be read.
//!
//! `cargo test` runs these tests on unoptimized binaries. `scripts/check-package` runs them on the packaged ones.

// Signals freeze and thaw the processes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use claim::{Claim, Event, EventIdPointer};
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

/// A timeout that ends before the time limit of one attempt of a request.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Duration of a batch in which one attempt of a request gets no answer, and the next attempt gets one at once.
const ONE_LOST_ATTEMPT: std::ops::Range<Duration> = Duration::from_millis(3_500)..Duration::from_millis(7_500);

/// Duration of a batch in which no attempt of a request gets an answer.
const ALL_ATTEMPTS: std::ops::Range<Duration> = Duration::from_secs(11)..Duration::from_secs(15);

/// Longest duration of a batch if all answers arrive, also on a busy machine.
const QUICK: Duration = Duration::from_secs(3);

/// Number of messages or records in a batch: as many as `archive-fn` handles at the same time, and fewer than `ingest-fn`.
const BATCH: u32 = 8;

/// A function in one of its configurations.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ingest { claim_writes: &'static str },
    Archive,
}

const KINDS: [Kind; 3] =
    [Kind::Ingest { claim_writes: "single" }, Kind::Ingest { claim_writes: "batch" }, Kind::Archive];

impl Kind {
    /// Returns a batch of `BATCH` new events. `first` is the number of the first one.
    fn batch(self, first: u32) -> Vec<Value> {
        (first..first + BATCH).map(|number| self.record(number)).collect()
    }

    /// Returns a message with a new event, or the stream record of its claim.
    fn record(self, number: u32) -> Value {
        let body = json!({ "event_id": format!("event-{number}"), "reading": number }).to_string();
        match self {
            Self::Ingest { .. } => message(&number.to_string(), &body),
            Self::Archive => {
                let event = Event::parse(&body, &EventIdPointer::parse("/event_id").unwrap()).unwrap();
                let mut random = [0; 10];
                random[6..].copy_from_slice(&number.to_be_bytes());
                let claim =
                    Claim::new(&event, "m", &body, SystemTime::now(), Duration::from_secs(60), &random).unwrap();
                let image = serde_json::to_value(claim.to_item()).unwrap();
                json!({ "eventName": "INSERT", "dynamodb": { "SequenceNumber": number.to_string(), "NewImage": image } })
            }
        }
    }
}

fn message(id: &str, body: &str) -> Value {
    json!({ "messageId": id, "body": body })
}

/// A function's process with everything that it talks to.
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

    /// Delays the next `number` answers of the services by `delay`. The services execute the requests at once.
    fn delay_answers(&self, number: usize, delay: Duration) {
        let requests = Arc::clone(&self.requests);
        let first_in_time = requests.load(Ordering::Relaxed).saturating_add(number);
        self.services.faults.set(move |_| {
            let is_late = requests.fetch_add(1, Ordering::Relaxed) < first_in_time;
            is_late.then_some(Fault::AnswerDelayed(delay))
        });
    }

    /// Sends a batch to the function. Returns the ids of the failed messages or records, and the time until the response.
    /// Panics if the process ends, or if the response is not there after twice the function's timeout.
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

    /// Sends a batch. Asserts that nothing of it fails. Returns the time until the response.
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

    /// Freezes the process, as Lambda does between batches, and thaws it after its connections were lost.
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

/// The end of a connection that was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The server closes the connection.
    Closed,
    /// Nothing that the client sends is answered, as if a NAT gateway had dropped the connection.
    Silent,
}

/// The network between a function and the services. It can lose the existing connections.
struct Network {
    address: SocketAddr,
    losses: broadcast::Sender<Loss>,
}

impl Network {
    async fn start(aws: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let losses = broadcast::Sender::new(1);
        let to_connections = losses.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, aws, to_connections.subscribe()));
            }
        });
        Self { address, losses }
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
    if loss == Ok(Loss::Silent) {
        std::future::pending::<()>().await;
    }
}

/// Runs a test with every kind of function at the same time, because the tests mostly wait.
async fn with_each<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Kind) -> F) {
    KINDS.map(test).into_iter().collect::<JoinSet<_>>().join_all().await;
}

/// A claim's times are those of the wall clock: `claimed_at` lies within the batch, and `ttl` is the end of the window.
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

/// An answer that does not arrive within the time limit of an attempt costs one more attempt, and not the batch.
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

/// All attempts of a request together end long before the function's deadline.
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

/// The server closes idle connections while the process is frozen. The next batch does not notice it.
#[tokio::test]
async fn thawed_process_replaces_closed_connections() {
    with_each(|kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        for first in [0, 100, 200] {
            let took = function.invoke_without_failure(&kind.batch(first)).await;
            assert!(took < QUICK, "{kind:?}: {took:?}");
            function.freeze_and_lose_connections(Loss::Closed).await;
        }
        assert_eq!(function.written().await, 3 * BATCH as usize, "{kind:?}");
    })
    .await;
}

/// Idle connections go silent while the process is frozen. The next batch loses one attempt, and the one after it nothing.
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

/// One message follows after several connections went silent, and each attempt loses one of them. A batch without an
/// attempt left fails in time, and the redelivered message succeeds.
#[tokio::test]
async fn one_message_survives_many_silent_connections() {
    let with = |kind: Kind| async move {
        let mut function = Deployed::start(kind, TIMEOUT, &[]).await;
        // Late answers make the function open one connection for each message or record.
        function.delay_answers(4, Duration::from_millis(500));
        function.invoke_without_failure(&kind.batch(0)[..4]).await;
        function.freeze_and_lose_connections(Loss::Silent).await;
        let message = [kind.record(100)];
        let (_, took) = function.invoke(&message).await;
        assert!(took < ALL_ATTEMPTS.end, "{kind:?}: {took:?}");
        let took = function.invoke_without_failure(&message).await;
        assert!(took < ONE_LOST_ATTEMPT.end, "{kind:?}: {took:?}");
        assert_eq!(function.written().await, 5, "{kind:?}");
    };
    tokio::join!(with(Kind::Ingest { claim_writes: "single" }), with(Kind::Archive));
}

/// A cached claim answers for the table until it expires, by the wall clock. The next copy of its event is claimed again.
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

/// A message that cannot be read fails alone, and the process goes on. A patch in `verify/mutants` makes the code panic on
/// this message and makes panics end the process: then this test fails.
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
