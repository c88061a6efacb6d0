//! The whole system on one machine, wired as Terraform wires the deployed one.

use std::sync::Arc;
use std::time::Duration;

use archive_fn::DataLake;
use aws_config::SdkConfig;
use aws_smithy_runtime::client::retries::RetryPartition;
use ingest_fn::ClaimTable;
use serde_json::json;
use tokio::task::JoinSet;

use emulator::Services;
use emulator::filter::FilterPattern;
use emulator::function::{Function, sandbox};
use emulator::sqs::{QueueSettings, Redrive};
use emulator::sqs_mapping::{SqsMapping, SqsMappingSettings};
use emulator::stream_mapping::{StreamMapping, StreamMappingSettings};

use crate::names;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What can be set of a pipeline. The defaults are those of the deployed system.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Of both functions.
    pub function_timeout: Duration,
    /// From queue to `ingest-fn`.
    pub sqs_mapping: SqsMappingSettings,
    /// From stream to `archive-fn`.
    pub stream_mapping: StreamMappingSettings,
    /// Receives that a message gets before it goes to the dead-letter queue.
    pub max_receive_count: u32,
    /// How `ingest-fn` is told what it is told; the table's name is set.
    pub ingest: ingest_fn::Config,
    /// How `archive-fn` is told what it is told; the bucket's name is set.
    pub archive: archive_fn::Config,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        let ingest = |variable: &str| match variable {
            "TABLE_NAME" => Some(names::TABLE.to_owned()),
            "AWS_LAMBDA_FUNCTION_NAME" => Some(names::INGEST_FUNCTION.to_owned()),
            _ => None,
        };
        let archive = |variable: &str| match variable {
            "BUCKET_NAME" => Some(names::BUCKET.to_owned()),
            "AWS_LAMBDA_FUNCTION_NAME" => Some(names::ARCHIVE_FUNCTION.to_owned()),
            _ => None,
        };
        let claims = FilterPattern::new(json!({ "dynamodb": { "NewImage": { "sk": { "S": ["CLAIM"] } } } }));
        Self {
            function_timeout: Duration::from_secs(30),
            sqs_mapping: SqsMappingSettings {
                batch_size: 10,
                batching_window: Duration::from_secs(5),
                maximum_concurrency: 10,
                report_batch_item_failures: true,
            },
            stream_mapping: StreamMappingSettings {
                batch_size: 100,
                batching_window: Duration::ZERO,
                filter: claims.expect("the pattern is a tree of names with texts"),
                report_batch_item_failures: true,
                bisect_on_error: true,
                maximum_retry_attempts: None,
                maximum_record_age: Some(Duration::from_secs(79_200)),
                on_failure_queue: Some(names::ON_FAILURE_QUEUE.to_owned()),
            },
            max_receive_count: 3,
            ingest: ingest_fn::Config::from_variables(&lambda_support::Variables::new(&ingest))
                .expect("all has a default"),
            archive: archive_fn::Config::from_variables(&lambda_support::Variables::new(&archive))
                .expect("all has a default"),
        }
    }
}

/// A running pipeline. Dropping it stops the mappings.
pub struct Pipeline {
    /// What it runs on.
    pub services: Arc<Services>,
    /// SQS batch in, claims out.
    pub ingest: Arc<Function>,
    /// Stream batch in, objects out.
    pub archive: Arc<Function>,
    /// Of the table.
    pub stream_arn: String,
    mappings: JoinSet<String>,
}

impl Pipeline {
    /// Makes the queues, the table and the bucket, and starts both mappings. `seed` decides the claim ids.
    ///
    /// # Panics
    /// If the table is there already.
    #[must_use]
    pub fn start(services: &Arc<Services>, settings: PipelineSettings, seed: u64) -> Self {
        let sdk = services.sdk_config();
        let ingest = ingest_function(services, &sdk, &settings, seed);
        let archive = archive_function(services, &sdk, &settings);
        Self::with_functions(services, settings, ingest, archive)
    }

    /// The same around two functions of the caller's.
    ///
    /// # Panics
    /// If the table is there already.
    #[must_use]
    pub fn with_functions(
        services: &Arc<Services>,
        settings: PipelineSettings,
        ingest: Function,
        archive: Function,
    ) -> Self {
        let services = Arc::clone(services);
        // Six times the function's timeout, plus the window, as AWS advises.
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

        let (ingest, archive) = (Arc::new(ingest), Arc::new(archive));
        let to_ingest = SqsMapping::new(Arc::clone(&services), names::QUEUE, Arc::clone(&ingest), settings.sqs_mapping);
        let to_archive =
            StreamMapping::new(Arc::clone(&services), &stream_arn, Arc::clone(&archive), settings.stream_mapping);
        let mut mappings = JoinSet::new();
        mappings.spawn(async move { format!("the queue's mapping ended: {:?}", to_ingest.run().await) });
        mappings.spawn(async move { format!("the stream's mapping ended: {:?}", to_archive.run().await) });
        Self { services, ingest, archive, stream_arn, mappings }
    }

    /// Waits for a mapping to end, which none does unless something is broken, and says how it ended.
    pub async fn broken(&mut self) -> String {
        match self.mappings.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(panicked)) => format!("a mapping panicked: {panicked}"),
            None => std::future::pending().await,
        }
    }
}

fn ingest_function(services: &Arc<Services>, sdk: &SdkConfig, settings: &PipelineSettings, seed: u64) -> Function {
    let log = services.logs.writer(&names::log_group(names::INGEST_FUNCTION));
    let (clock, sdk, config, writer) = (services.clock, sdk.clone(), settings.ingest.clone(), log.clone());
    let sandboxes = std::sync::atomic::AtomicU64::new(0);
    Function::new(names::INGEST_FUNCTION, settings.function_timeout, clock, log, move || {
        let client = aws_sdk_dynamodb::config::Builder::from(&sdk).retry_partition(own_retry_quota()).build();
        let table = ClaimTable::new(aws_sdk_dynamodb::Client::from_conf(client), &config.table_name);
        let sandbox_number = sandboxes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let random = random(seed ^ (sandbox_number << 32));
        let handler = ingest_fn::Handler::new(config.clone(), table, writer.clone(), clock.shared(), random);
        let handler = Arc::new(handler);
        sandbox(move |event| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(event).await }
        })
    })
}

fn archive_function(services: &Arc<Services>, sdk: &SdkConfig, settings: &PipelineSettings) -> Function {
    let log = services.logs.writer(&names::log_group(names::ARCHIVE_FUNCTION));
    let (clock, sdk, config, writer) = (services.clock, sdk.clone(), settings.archive.clone(), log.clone());
    Function::new(names::ARCHIVE_FUNCTION, settings.function_timeout, clock, log, move || {
        let client = aws_sdk_s3::config::Builder::from(&sdk).retry_partition(own_retry_quota());
        let lake = DataLake::new(client, &config.bucket_name);
        let handler = Arc::new(archive_fn::Handler::new(config.clone(), lake, writer.clone(), clock.shared()));
        sandbox(move |event| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(event).await }
        })
    })
}

/// The SDK keeps a quota of retries for each process, and a sandbox of Lambda is one.
fn own_retry_quota() -> RetryPartition {
    RetryPartition::custom("sandbox").build()
}

fn random(seed: u64) -> ingest_fn::Random {
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
    Box::new(move || {
        let mut bytes = [0; 10];
        random.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill(&mut bytes);
        bytes
    })
}
