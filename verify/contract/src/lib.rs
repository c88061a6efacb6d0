//! What the design stands on: each behaviour of SQS, DynamoDB, its streams, S3 and CloudWatch Logs is one named test,
//! written once over the SDK's clients. `cargo test` runs them on the embedded services, `scripts/contract ENGINE` on others.
//!
//! A behaviour's body says what must hold. Where an engine is known to do something else, the behaviour says so beside
//! its name, with what it does instead, and who is believed and why; such an engine must then do exactly that. So an
//! unexpected agreement fails as well as an unexpected disagreement.
//!
//! | variable | what it says |
//! | --- | --- |
//! | `CONTRACT_ENGINE` | `embedded` (default), `dynamodb-local`, `elasticmq`, `ministack` or `aws` |
//! | `CONTRACT_RUN` | what the names of the run's resources begin with (random) |
//! | `CONTRACT_RESULTS` | a file that gets one line of JSON for each behaviour |
//! | `CONTRACT_INGEST_ROLE`, `CONTRACT_ARCHIVE_ROLE` | ARNs of the roles that the functions' own requests are made under |
//! | `CONTRACT_REMOVE` | any value: test nothing, and remove everything whose name begins with `CONTRACT_RUN` |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was removed is told to whoever asked for it")]
#![allow(clippy::needless_pass_by_value, reason = "what must hold is written where it is compared")]

mod dynamodb;
mod engine;
mod logs;
mod partiql;
mod removal;
mod s3;
mod sqs;
mod stage;
mod streams;

use std::fmt::{Debug, Display};
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Handle;

use crate::engine::{Engine, Service};
use crate::stage::Stage;

/// Long enough for what takes long on a real account, such as a queue's approximate counts, which take up to a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Behaviours at once: they wait more than they work.
const AT_ONCE: usize = 12;

/// What an engine does instead of what must hold.
#[derive(Debug)]
struct Instead(String);

impl<E: std::error::Error + 'static> From<E> for Instead {
    fn from(error: E) -> Self {
        Self(lambda_support::error_chain(&error))
    }
}

/// Whether a behaviour holds.
type Outcome = Result<(), Instead>;

type Body = dyn Fn(Arc<Stage>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send + Sync;

/// A behaviour that the design stands on.
struct Behaviour {
    service: Service,
    /// A claim.
    name: &'static str,
    body: Box<Body>,
    /// Its line in the table.
    order: usize,
    differences: Vec<Difference>,
    not_on: Vec<(Engine, &'static str)>,
}

/// A known disagreement.
struct Difference {
    engine: Engine,
    instead: &'static str,
    /// Who is believed, and why.
    believed: &'static str,
}

impl Behaviour {
    fn new<F>(service: Service, name: &'static str, body: impl Fn(Arc<Stage>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + 'static,
    {
        Self {
            service,
            name,
            body: Box::new(move |stage| Box::pin(body(stage))),
            order: 0,
            differences: vec![],
            not_on: vec![],
        }
    }

    /// This engine does something else.
    fn differs(mut self, engine: Engine, instead: &'static str, believed: &'static str) -> Self {
        self.differences.push(Difference { engine, instead, believed });
        self
    }

    /// On this engine the question cannot be put.
    fn not_on(mut self, engine: Engine, why: &'static str) -> Self {
        self.not_on.push((engine, why));
        self
    }

    /// Runs it, and judges what was seen.
    async fn check(&self, stage: Arc<Stage>, results: &Results) -> Result<(), Failed> {
        let engine = stage.engine;
        let bounded = tokio::time::timeout(PATIENCE * 3, (self.body)(stage)).await;
        let seen = bounded.unwrap_or_else(|_| Err(Instead("has not come to an end".to_owned())));
        let difference = self.differences.iter().find(|difference| difference.engine == engine);
        let verdict = match (&seen, difference) {
            (Ok(()), None) => Ok(()),
            (Err(Instead(seen)), None) => Err(format!("does not hold on {engine}: {seen}")),
            (Ok(()), Some(difference)) => {
                Err(format!("holds on {engine}, which was thought to do otherwise: {}", difference.instead))
            }
            (Err(Instead(seen)), Some(difference)) if seen == difference.instead => Ok(()),
            (Err(Instead(seen)), Some(difference)) => {
                Err(format!("does not hold on {engine}: {seen}\nwhich was thought to be: {}", difference.instead))
            }
        };
        let (holds, instead) = match &seen {
            Ok(()) => ("yes", None),
            Err(Instead(instead)) => ("no", Some(instead.as_str())),
        };
        let believed = difference.map(|difference| difference.believed);
        results.add(self, engine, holds, instead, believed, verdict.is_ok());
        verdict.map_err(Failed::from)
    }
}

/// `behaviour!(Sqs, name_of_an_async_function)`.
macro_rules! behaviour {
    ($service:ident, $body:ident) => {
        $crate::Behaviour::new($crate::engine::Service::$service, stringify!($body), $body)
    };
}
use behaviour;

/// Fails with what was seen, if it is not what must hold.
fn same<T: PartialEq + Debug>(what: impl Display, seen: T, must_be: T) -> Outcome {
    if seen == must_be { Ok(()) } else { Err(Instead(format!("{what}: {seen:?}, not {must_be:?}"))) }
}

/// Fails with `instead` unless it holds.
fn holds(holds: bool, instead: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Instead(instead())) }
}

/// The service's own code for a refusal, or `accepted`.
fn answer<T, E: ProvideErrorMetadata + Debug, R: Debug>(result: &Result<T, SdkError<E, R>>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(SdkError::ServiceError(error)) => {
            // SQS still gives the codes of its older protocol beside those of its API reference.
            let code = error.err().code().unwrap_or("without a code");
            match code.trim_start_matches("AWS.SimpleQueueService.") {
                "NonExistentQueue" => "QueueDoesNotExist".to_owned(),
                code => code.to_owned(),
            }
        }
        Err(error) => format!("no answer: {error:?}"),
    }
}

/// Looks again and again, until there is something to see.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>, Instead>) -> Result<T, Instead> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if tokio::time::Instant::now() >= give_up {
            return Err(Instead(format!("{what}: not within {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs all of them at the same time, on every core there is, and gives their results in the same order.
async fn at_once<T: Send + 'static>(all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let running: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(|ended| ended.expect("a request does not panic")).collect()
}

/// Where the outcome of each behaviour is written down.
struct Results(Option<Mutex<File>>);

impl Results {
    fn from_variables() -> std::io::Result<Self> {
        let file =
            std::env::var_os("CONTRACT_RESULTS").map(|path| OpenOptions::new().append(true).create(true).open(path));
        Ok(Self(file.transpose()?.map(Mutex::new)))
    }

    fn add(
        &self,
        behaviour: &Behaviour,
        engine: Engine,
        holds: &str,
        instead: Option<&str>,
        believed: Option<&str>,
        as_expected: bool,
    ) {
        let line = serde_json::json!({
            "order": behaviour.order,
            "service": behaviour.service.to_string(),
            "behaviour": behaviour.name,
            "engine": engine.to_string(),
            "holds": holds,
            "instead": instead,
            "believed": believed,
            "as_expected": as_expected,
        });
        if let Some(file) = &self.0 {
            writeln!(file.lock().unwrap(), "{line}").expect("the results file can be written");
        }
    }
}

/// Runs the behaviors of the engine that `CONTRACT_ENGINE` names, as a test binary does.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stage = Arc::new(runtime.block_on(Stage::from_variables()));
    if std::env::var_os("CONTRACT_REMOVE").is_some() {
        return runtime.block_on(removal::remove(&stage));
    }
    let results = Arc::new(Results::from_variables().expect("CONTRACT_RESULTS can be opened"));
    let behaviours = [
        dynamodb::behaviours(),
        partiql::behaviours(),
        streams::behaviours(),
        s3::behaviours(),
        sqs::behaviours(),
        logs::behaviours(),
    ];
    let mut trials = Vec::new();
    for (order, behaviour) in behaviours.into_iter().flatten().enumerate() {
        let behaviour = Behaviour { order, ..behaviour };
        let why_not = behaviour.not_on.iter().find(|(engine, _)| *engine == stage.engine).map(|(_, why)| *why);
        if why_not.is_some() || !stage.engine.has(behaviour.service) {
            if !arguments.list {
                results.add(&behaviour, stage.engine, "not applicable", why_not, None, true);
            }
            continue;
        }
        trials.push(trial(behaviour, &stage, &results, runtime.handle().clone()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(behaviour: Behaviour, stage: &Arc<Stage>, results: &Arc<Results>, runtime: Handle) -> Trial {
    let (stage, results) = (Arc::clone(stage), Arc::clone(results));
    let name = format!("{}::{}", behaviour.service, behaviour.name);
    Trial::test(name, move || runtime.block_on(behaviour.check(stage, &results)))
}
