//! The sandboxes of both functions. Like a process on Lambda, each sandbox has its own SDK client, retry quota and handler.
//!
//! A [`Decorator`] can change a sandbox's surroundings. The simulation uses one to skew clocks, and to kill and observe
//! sandboxes. A mutant uses one to change requests, responses and log lines. The code of the functions is always the
//! deployed code.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use archive_fn::DataLake;
use aws_config::SdkConfig;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime::client::retries::RetryPartition;
use emulator::Services;
use emulator::function::{Function, Sandbox, sandbox};
use ingest_fn::ClaimTable;
use lambda_support::LogWriter;

use crate::names;
use crate::settings::PipelineSettings;

/// One of the two functions of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The function `ingest-fn`, which reads SQS messages and writes claims.
    Ingest,
    /// The function `archive-fn`, which reads stream records and writes objects.
    Archive,
}

impl Role {
    /// Returns the function's name.
    #[must_use]
    pub fn function_name(self) -> &'static str {
        match self {
            Self::Ingest => names::INGEST_FUNCTION,
            Self::Archive => names::ARCHIVE_FUNCTION,
        }
    }
}

/// A hook between the functions and the rest of a pipeline. The default methods change nothing.
pub trait Decorator: Send + Sync + 'static {
    /// Returns the writer that receives a function's log lines. `writer` is the one that the pipeline uses by default.
    fn log_writer(&self, _role: Role, writer: LogWriter) -> LogWriter {
        writer
    }

    /// Starts a sandbox.
    fn cold_start(&self, blueprint: Blueprint) -> WarmSandbox {
        blueprint.build()
    }
}

/// A decorator that changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AsDeployed;

impl Decorator for AsDeployed {}

/// The parts from which a cold start builds a sandbox. A decorator can replace the public parts.
pub struct Blueprint {
    /// The sandbox's function.
    pub role: Role,
    /// The sandbox's number. The sandboxes of both functions are numbered together, from 0.
    pub number: u64,
    /// The wall clock of the handler and the SDK client.
    pub clock: SharedTimeSource,
    /// The configuration of the SDK client. It connects the client to the emulated services.
    pub sdk: SdkConfig,
    /// The source of the random part of claim ids. `archive-fn` does not use it.
    pub random: ingest_fn::Random,
    /// The configuration of `ingest-fn`.
    pub ingest: ingest_fn::Config,
    log: LogWriter,
    archive: archive_fn::Config,
}

/// A sandbox after its cold start.
pub struct WarmSandbox {
    /// The sandbox, which handles one invocation at a time.
    pub sandbox: Sandbox,
    /// The handler, if the function is `ingest-fn`. Tests can inspect the handler's cache.
    pub ingest: Option<Arc<ingest_fn::Handler>>,
}

impl Blueprint {
    /// Creates a sandbox with its own SDK client and handler.
    #[must_use]
    pub fn build(self) -> WarmSandbox {
        // On Lambda, each sandbox is a process with its own retry quota. Without a partition of its own, all sandboxes
        // here would share the quota of this process.
        let retry_quota = RetryPartition::custom(format!("sandbox {}", self.number)).build();
        match self.role {
            Role::Ingest => {
                let client = aws_sdk_dynamodb::config::Builder::from(&self.sdk)
                    .time_source(self.clock.clone())
                    .retry_partition(retry_quota);
                let client = aws_sdk_dynamodb::Client::from_conf(client.build());
                let table = ClaimTable::new(client, &self.ingest.table_name, self.ingest.rules.clone());
                let handler = ingest_fn::Handler::new(self.ingest, table, self.log, self.clock, self.random);
                let handler = Arc::new(handler);
                let invoked = Arc::clone(&handler);
                let sandbox = sandbox(move |event| {
                    let handler = Arc::clone(&invoked);
                    async move { handler.handle(event).await }
                });
                WarmSandbox { sandbox, ingest: Some(handler) }
            }
            Role::Archive => {
                let client = aws_sdk_s3::config::Builder::from(&self.sdk)
                    .time_source(self.clock.clone())
                    .retry_partition(retry_quota);
                let lake = DataLake::new(client, &self.archive.bucket_name);
                let handler = Arc::new(archive_fn::Handler::new(self.archive, lake, self.log, self.clock));
                let sandbox = sandbox(move |event| {
                    let handler = Arc::clone(&handler);
                    async move { handler.handle(event).await }
                });
                WarmSandbox { sandbox, ingest: None }
            }
        }
    }
}

/// Both functions of a pipeline. The emulator's mappings invoke them.
pub(crate) struct Functions {
    pub(crate) ingest: Function,
    pub(crate) archive: Function,
}

impl Functions {
    pub(crate) fn new(
        services: &Arc<Services>,
        settings: &PipelineSettings,
        seed: u64,
        decorator: impl Decorator,
    ) -> Self {
        let decorator: Arc<dyn Decorator> = Arc::new(decorator);
        let numbers = Arc::new(AtomicU64::new(0));
        let function = |role: Role| {
            let name = role.function_name();
            let log = decorator.log_writer(role, services.logs.writer(&names::log_group(name)));
            let clock = services.clock;
            let sdk = services.sdk_config();
            let ingest = settings.ingest.clone();
            let archive = settings.archive.clone();
            let decorator = Arc::clone(&decorator);
            let numbers = Arc::clone(&numbers);
            let writer = log.clone();
            let cold_start = move || {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let blueprint = Blueprint {
                    role,
                    number,
                    clock: clock.shared(),
                    sdk: sdk.clone(),
                    random: random(seed ^ (number << 32)),
                    log: writer.clone(),
                    ingest: ingest.clone(),
                    archive: archive.clone(),
                };
                decorator.cold_start(blueprint).sandbox
            };
            Function::new(name, settings.function_timeout, clock, log, cold_start)
                .with_fault_plan(Arc::clone(&services.fault_plan))
        };
        Self { ingest: function(Role::Ingest), archive: function(Role::Archive) }
    }
}

fn random(seed: u64) -> ingest_fn::Random {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    Box::new(move || {
        let mut bytes = [0; 10];
        random.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        bytes
    })
}
