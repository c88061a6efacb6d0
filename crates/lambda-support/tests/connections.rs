//! Tests the connection pool of the SDK clients against a loopback server that can lose its connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use lambda_support::{function, https};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Duration of requests whose first attempt gets no answer, and whose second attempt is answered at once.
const ONE_LOST_ATTEMPT: Range<Duration> = Duration::from_millis(3_500)..Duration::from_millis(7_500);

/// Longest duration of requests if all answers arrive, even on a busy machine.
const QUICK: Duration = Duration::from_secs(3);

/// The way in which an idle connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The server stops answering.
    Silent,
    /// The server answers the client's next bytes with a reset, as a NAT gateway does after 350 idle seconds.
    Reset,
}

/// A server that answers every request with `{}`.
struct Server {
    address: SocketAddr,
    /// Number of connections that clients have opened.
    opened: Arc<AtomicUsize>,
    /// While this is false, the server withholds its answers.
    answers: watch::Sender<bool>,
    losses: broadcast::Sender<Loss>,
    /// Text of the last request.
    last_request: watch::Receiver<String>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let opened = Arc::new(AtomicUsize::new(0));
        let (answers, _) = watch::channel(true);
        let (requests, last_request) = watch::channel(String::new());
        let losses = broadcast::Sender::new(1);
        let server = Self { address, opened: Arc::clone(&opened), answers, losses, last_request };
        let answers = server.answers.subscribe();
        let losses = server.losses.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                opened.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(client, requests.clone(), answers.clone(), losses.subscribe()));
            }
        });
        server
    }

    /// Returns an SDK client of this server, with the HTTP client, timeouts and retries of the functions.
    fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("sa-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://{}", self.address))
            .http_client(https::client())
            .timeout_config(function::timeouts())
            .retry_config(function::retries());
        Client::from_conf(config.build())
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends so many requests at the same time that the client opens `number` connections, and waits for their answers.
    async fn open_connections(&self, client: &Client, number: usize) {
        self.answers.send_replace(false);
        let requests = tokio::spawn(send(client.clone(), number));
        let opening = async {
            while self.opened() < number {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(QUICK, opening).await.unwrap();
        self.answers.send_replace(true);
        requests.await.unwrap();
        assert_eq!(self.opened(), number);
    }
}

async fn serve(
    mut client: TcpStream,
    requests: watch::Sender<String>,
    mut answers: watch::Receiver<bool>,
    mut losses: broadcast::Receiver<Loss>,
) {
    let answering = async {
        let mut request = Vec::new();
        while client.read_buf(&mut request).await.is_ok_and(|bytes| bytes > 0) {
            // The body of `ListTables` is an empty object.
            if request.ends_with(b"\r\n\r\n{}") {
                requests.send_replace(String::from_utf8(std::mem::take(&mut request)).unwrap());
                answers.wait_for(|answered| *answered).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        }
    };
    let loss = tokio::select! {
        () = answering => return,
        loss = losses.recv() => loss.unwrap(),
    };
    match loss {
        Loss::Silent => std::future::pending().await,
        // A socket that is closed with unread bytes sends a reset.
        Loss::Reset => client.readable().await.unwrap(),
    }
}

/// Sends requests at the same time, and asserts that all of them succeed. Returns the time until the last answer.
async fn send(client: Client, requests: usize) -> Duration {
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for _ in 0..requests {
        let request = client.list_tables();
        sending.spawn(async move { request.send().await });
    }
    for answer in sending.join_all().await {
        answer.unwrap();
    }
    begun.elapsed()
}

/// Loses `dead` idle connections and then sends `requests`. Returns the time until the last answer.
async fn send_after_loss(loss: Loss, dead: usize, requests: usize) -> Duration {
    let server = Server::start().await;
    let client = server.client();
    server.open_connections(&client, dead).await;
    server.losses.send(loss).unwrap();
    let took = send(client.clone(), requests).await;
    assert!(server.opened() <= dead + requests, "{} connections opened", server.opened());
    // No dead connection is left for the next request.
    let next = send(client, 1).await;
    assert!(next < QUICK, "{loss:?}, {dead} dead connections, {requests} requests: the next one took {next:?}");
    took
}

/// Each request loses only one attempt to silent connections, however many of them are in the pool.
#[tokio::test]
async fn silent_connections_cost_one_attempt() {
    let with = async |dead, requests| {
        let took = send_after_loss(Loss::Silent, dead, requests).await;
        assert!(ONE_LOST_ATTEMPT.contains(&took), "{dead} dead connections, {requests} requests: {took:?}");
    };
    tokio::join!(with(10, 1), with(10, 10), with(30, 1), with(30, 10));
}

/// Requests succeed although every connection in the pool answers with a reset.
#[tokio::test]
async fn reset_connections_are_replaced() {
    for (dead, requests) in [(1, 1), (10, 1), (10, 10), (30, 1), (30, 10)] {
        let took = send_after_loss(Loss::Reset, dead, requests).await;
        assert!(took < QUICK, "{dead} dead connections, {requests} requests: {took:?}");
    }
}

/// A request reuses the connection of an earlier request that was answered.
#[tokio::test]
async fn answered_requests_reuse_connections() {
    let server = Server::start().await;
    let client = server.client();
    server.open_connections(&client, 10).await;
    for _ in 0..5 {
        send(client.clone(), 10).await;
    }
    assert_eq!(server.opened(), 10);
}

/// The user agent names the HTTP client, as it does for the SDK's default client.
#[tokio::test]
async fn user_agent_names_http_client() {
    let server = Server::start().await;
    send(server.client(), 1).await;
    let request = server.last_request.borrow().clone();
    assert!(request.contains(" md/http#hyper-1.x"), "{request}");
}
