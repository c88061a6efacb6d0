//! A Lambda function as the event source mappings see it. An invocation takes JSON. It returns JSON, fails or times
//! out.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lambda_runtime::{Context, LambdaEvent};
use lambda_support::panic_guard::catch_panic_async;
use lambda_support::{Envelope, LogWriter, logs};
use serde::Serialize;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;

use crate::clock::Clock;
use crate::fault_plan::{FaultPlan, NoFaults};
use crate::region::{ACCOUNT, REGION};

/// A warm sandbox, created by one cold start. It handles one invocation at a time.
pub type Sandbox = Box<dyn Fn(Context, Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// A Lambda function and its sandboxes.
pub struct Function {
    name: String,
    timeout: Duration,
    clock: Clock,
    log: Dispatch,
    cold_start: Box<dyn Fn() -> Sandbox + Send + Sync>,
    fault_plan: Arc<dyn FaultPlan>,
    state: Mutex<State>,
}

struct State {
    idle: Vec<Sandbox>,
    random: fastrand::Rng,
}

/// The reason why an invocation returned no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function returned an error or panicked, or its process died.
    #[error("unhandled error: {0}")]
    Unhandled(String),
    /// The function was killed at its timeout.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
}

impl Function {
    /// Creates a function without sandboxes. `cold_start` creates a sandbox, and `log` receives every line that the
    /// function's sandboxes log.
    pub fn new(
        name: &str,
        timeout: Duration,
        clock: Clock,
        log: LogWriter,
        cold_start: impl Fn() -> Sandbox + Send + Sync + 'static,
    ) -> Self {
        // With this seed, request ids differ between functions and are the same in every run.
        let seed = name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        Self {
            name: name.to_owned(),
            timeout,
            clock,
            log: logs::dispatch(log, LevelFilter::INFO, clock.shared()),
            cold_start: Box::new(cold_start),
            fault_plan: Arc::new(NoFaults),
            state: Mutex::new(State { idle: Vec::new(), random: fastrand::Rng::with_seed(seed) }),
        }
    }

    /// Returns this function with a fault plan that decides which sandbox takes an invocation.
    #[must_use]
    pub fn with_fault_plan(self, fault_plan: Arc<dyn FaultPlan>) -> Self {
        Self { fault_plan, ..self }
    }

    /// Returns the function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the function's ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.name)
    }

    /// Invokes the function in an idle sandbox, or in a new one. A sandbox that times out or panics is dropped with its
    /// state.
    ///
    /// # Errors
    /// Fails if the function returns an error, panics or times out.
    pub async fn invoke(&self, payload: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
        let (idle, random) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = self.fault_plan.sandbox(&self.name, state.idle.len());
            (taken.map(|index| state.idle.swap_remove(index)), state.random.u128(..))
        };
        let sandbox = idle.unwrap_or_else(|| tracing::dispatcher::with_default(&self.log, &self.cold_start));
        let mut context = Context::default();
        context.request_id = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string();
        context.deadline = self.clock.now_ms() + u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        context.invoked_function_arn = self.arn();

        let work = catch_panic_async(sandbox(context, payload)).with_subscriber(self.log.clone());
        match tokio::time::timeout(self.timeout, work).await {
            Err(_elapsed) => Err(InvokeError::TimedOut(self.timeout)),
            Ok(Err(panic)) => Err(InvokeError::Unhandled(panic.to_string())),
            Ok(Ok(answer)) => {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).idle.push(sandbox);
                answer.map_err(InvokeError::Unhandled)
            }
        }
    }

    /// Drops all idle sandboxes, as Lambda does when it scales in. The next invocation is a cold start.
    pub fn scale_in(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).idle.clear();
    }
}

/// Creates a sandbox from a handler. The sandbox parses each payload into an [`Envelope`] and calls the handler with
/// it, as `lambda_runtime` would.
pub fn sandbox<H, F, Answer, E>(handle: H) -> Sandbox
where
    H: Fn(LambdaEvent<Envelope>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, E>> + Send + 'static,
    Answer: Serialize,
    E: std::fmt::Display,
{
    Box::new(move |context, payload| {
        let event = serde_json::from_slice(&payload).map(|payload| handle(LambdaEvent::new(payload, context)));
        Box::pin(async move {
            let answer = event.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
            serde_json::to_vec(&answer).map_err(|error| error.to_string())
        })
    })
}
