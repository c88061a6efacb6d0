//! Creates the pipeline's resources on the emulated services and starts its mappings, as Terraform does on AWS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use emulator::Services;
use emulator::function::Function;
use emulator::sqs::{QueueSettings, Redrive};
use emulator::sqs_mapping::SqsMapping;
use emulator::stream_mapping::StreamMapping;
use tokio::runtime::{self, Handle, Runtime};
use tokio::task::JoinSet;

use crate::names;
use crate::sandboxes::{AsDeployed, Decorator, Functions};
use crate::settings::PipelineSettings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A running pipeline. Dropping it stops the mappings.
pub struct Pipeline {
    /// The services that the pipeline runs on.
    pub services: Arc<Services>,
    /// The function `ingest-fn`, which reads SQS messages and writes claims.
    pub ingest: Arc<Function>,
    /// The function `archive-fn`, which reads stream records and writes objects.
    pub archive: Arc<Function>,
    /// The ARN of the table's stream.
    pub stream_arn: String,
    mappings: JoinSet<String>,
    /// The threads of the mappings, if they do not run on the caller's runtime.
    _threads: Option<[MappingThread; 2]>,
}

/// A thread with a runtime of its own.
struct MappingThread(Option<Runtime>);

impl MappingThread {
    fn start(name: &str) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_time().build();
        runtime.map(|runtime| Self(Some(runtime)))
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().expect("the runtime is shut down only on drop").handle().clone()
    }
}

impl Drop for MappingThread {
    fn drop(&mut self) {
        // Dropping the runtime itself would wait for its thread, which an asynchronous caller must not do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Pipeline {
    /// Name of the thread on which [`Pipeline::start_on_threads`] runs `ingest-fn` and its mapping.
    pub const INGEST_THREAD: &str = "ingest";
    /// Name of the thread on which [`Pipeline::start_on_threads`] runs `archive-fn` and its mapping.
    pub const ARCHIVE_THREAD: &str = "archive";

    /// Creates the queues, the table and the bucket, and starts both mappings. `seed` determines the random part of
    /// claim ids.
    ///
    /// # Panics
    /// Panics if the table already exists.
    #[must_use]
    pub fn start(services: &Arc<Services>, settings: PipelineSettings, seed: u64) -> Self {
        Self::start_decorated(services, settings, seed, AsDeployed)
    }

    /// Starts a pipeline as [`Pipeline::start`] does, with each mapping and its function on a thread of its own. The
    /// operating system then divides the CPU between them, so neither has to wait while the other has a backlog. On a
    /// shared runtime, `archive-fn` would wait, because `ingest-fn` has more tasks. The services must use the real
    /// clock.
    ///
    /// # Errors
    /// Fails if a thread cannot be started.
    ///
    /// # Panics
    /// Panics if the table already exists.
    pub fn start_on_threads(services: &Arc<Services>, settings: PipelineSettings, seed: u64) -> io::Result<Self> {
        let threads = [MappingThread::start(Self::INGEST_THREAD)?, MappingThread::start(Self::ARCHIVE_THREAD)?];
        let handles = threads.each_ref().map(MappingThread::handle);
        let pipeline = Self::start_on(services, settings, seed, AsDeployed, handles);
        Ok(Self { _threads: Some(threads), ..pipeline })
    }

    /// Starts a pipeline as [`Pipeline::start`] does. `decorator` can replace the pipeline's sandboxes and log writers.
    ///
    /// # Panics
    /// Panics if the table already exists.
    #[must_use]
    pub fn start_decorated(
        services: &Arc<Services>,
        settings: PipelineSettings,
        seed: u64,
        decorator: impl Decorator,
    ) -> Self {
        let handle = Handle::current();
        Self::start_on(services, settings, seed, decorator, [handle.clone(), handle])
    }

    fn start_on(
        services: &Arc<Services>,
        settings: PipelineSettings,
        seed: u64,
        decorator: impl Decorator,
        [on_ingest, on_archive]: [Handle; 2],
    ) -> Self {
        let Functions { ingest, archive } = Functions::new(services, &settings, seed, decorator);
        let services = Arc::clone(services);
        // AWS recommends a visibility timeout of six times the function's timeout plus the batching window.
        let visibility_timeout = settings.function_timeout * 6 + settings.sqs_mapping.batching_window;
        let long_kept = QueueSettings { visibility_timeout, retention: DAY * 14, redrive: None };
        let redrive = Redrive {
            dead_letter_queue: names::DEAD_LETTER_QUEUE.to_owned(),
            max_receive_count: settings.max_receive_count,
        };
        services.sqs.create_queue(names::DEAD_LETTER_QUEUE, long_kept.clone());
        services.sqs.create_queue(names::ON_FAILURE_QUEUE, long_kept);
        services
            .sqs
            .create_queue(names::QUEUE, QueueSettings { visibility_timeout, retention: DAY, redrive: Some(redrive) });
        let stream_arn = services.tables.create_claim_table(names::TABLE);
        services.lakes.create_bucket(names::BUCKET);

        let ingest = Arc::new(ingest);
        let archive = Arc::new(archive);
        let to_ingest = SqsMapping::new(Arc::clone(&services), names::QUEUE, Arc::clone(&ingest), settings.sqs_mapping);
        let to_archive =
            StreamMapping::new(Arc::clone(&services), &stream_arn, Arc::clone(&archive), settings.stream_mapping);
        let mut mappings = JoinSet::new();
        let to_ingest = async move { format!("the queue mapping ended: {:?}", to_ingest.run().await) };
        let to_archive = async move { format!("the stream mapping ended: {:?}", to_archive.run().await) };
        mappings.spawn_on(to_ingest, &on_ingest);
        mappings.spawn_on(to_archive, &on_archive);
        Self { services, ingest, archive, stream_arn, mappings, _threads: None }
    }

    /// Waits until a mapping fails, and returns a description of the failure.
    pub async fn wait_for_failure(&mut self) -> String {
        match self.mappings.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(panicked)) => format!("a mapping panicked: {panicked}"),
            None => std::future::pending().await,
        }
    }
}
