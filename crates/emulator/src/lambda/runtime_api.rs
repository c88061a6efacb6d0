//! Two loopback servers for a compiled function that runs in its own process. The Runtime API delivers events to the
//! function, and an AWS endpoint passes the function's requests to the emulated services.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::time::Instant;

pub use crate::transport::endpoint::serve_aws;
use crate::transport::response::empty_response;
use crate::transport::server::serve;

/// A function's reply to an event: its response, or the error that it reported.
pub type Reply = Result<Bytes, Bytes>;

/// The Runtime API of one function (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).
pub struct RuntimeApi {
    /// The value for the function's environment variable `AWS_LAMBDA_RUNTIME_API`.
    pub address: SocketAddr,
    events: mpsc::UnboundedSender<(String, Bytes)>,
    state: Arc<State>,
}

struct State {
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, Bytes)>>,
    replies: Mutex<HashMap<String, oneshot::Sender<Reply>>>,
    function_timeout: Duration,
    first_asked: SetOnce<Instant>,
}

impl RuntimeApi {
    /// Starts a Runtime API on a free loopback port.
    ///
    /// # Errors
    /// Fails if it cannot bind a port.
    pub async fn start(function_timeout: Duration) -> std::io::Result<Self> {
        let (events, waiting) = mpsc::unbounded_channel();
        let waiting = tokio::sync::Mutex::new(waiting);
        let state =
            Arc::new(State { waiting, replies: Mutex::default(), function_timeout, first_asked: SetOnce::new() });
        let served = Arc::clone(&state);
        let address = serve(
            0,
            || (),
            move |request| {
                let state = Arc::clone(&served);
                async move { state.answer(request).await }
            },
        )
        .await?;
        Ok(Self { address, events, state })
    }

    /// Waits until the function asks for its first event. This request ends the cold start. Returns the time of the
    /// request.
    pub async fn first_asked(&self) -> Instant {
        *self.state.first_asked.wait().await
    }

    /// Delivers an event the next time the function asks for one, and waits for the function's reply. The wait never
    /// ends if the function's process dies. Returns `None` if another call uses the same `request_id` before the reply
    /// arrives.
    pub async fn invoke(&self, request_id: &str, event: impl Into<Bytes>) -> Option<Reply> {
        let (sender, reply) = oneshot::channel();
        self.state.replies().insert(request_id.to_owned(), sender);
        self.events.send((request_id.to_owned(), event.into())).ok()?;
        reply.await.ok()
    }
}

impl State {
    fn replies(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path: Vec<&str> = request.uri().path().trim_start_matches("/2018-06-01/runtime/").split('/').collect();
        match path[..] {
            ["invocation", "next"] => {
                // `set` keeps the time of the first request and fails for all later ones.
                let _ = self.first_asked.set(Instant::now());
                match self.waiting.lock().await.recv().await {
                    Some((request_id, event)) => self.invocation(&request_id, event),
                    None => empty_response(500),
                }
            }
            ["invocation", request_id, outcome @ ("response" | "error")] => {
                if let Some(waiting) = self.replies().remove(request_id) {
                    let body = request.body().clone();
                    // `send` fails if the caller of `invoke` has stopped waiting for this reply. Nobody needs the reply
                    // then.
                    let _ = waiting.send(if outcome == "response" { Ok(body) } else { Err(body) });
                }
                empty_response(202)
            }
            ["init", "error"] => empty_response(202),
            _ => empty_response(404),
        }
    }

    fn invocation(&self, request_id: &str, event: Bytes) -> Response<Bytes> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Response::builder()
            // Lambda sends this header, and Python's Lambda runtime crashes without it.
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", request_id)
            .header("lambda-runtime-deadline-ms", (now + self.function_timeout).as_millis().to_string())
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:sa-east-1:123456789012:function:f")
            .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
            .body(event)
            .expect("the headers are text")
    }
}
