//! The stage of a run: an engine, its clients, and the tables, buckets, queues and log groups that the run creates. The
//! names of all these resources contain the run's prefix, by which the module `removal` finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TableStatus, TimeToLiveSpecification,
};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_types::timeout::TimeoutConfig;
use emulator::sqs::{QueueSettings, Redrive};
use emulator::{Clock, Services, queue_url};
use ops::logs::LogsClient;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::outcome::{Mismatch, eventually};

/// One client for each service.
pub(crate) struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) logs: LogsClient,
    /// Configuration for tests that build their own client.
    pub(crate) config: SdkConfig,
}

impl Clients {
    fn new(config: SdkConfig) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            s3: aws_sdk_s3::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            logs: LogsClient::new(&config),
            config,
        }
    }
}

/// A table of claims. Its keys, stream, TTL and billing mode are those of the deployed table.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) stream_arn: String,
}

pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) dead_letters_url: Option<String>,
}

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    /// Prefix of the names of the resources that the run creates. In names of log groups, it follows a `/`.
    pub(crate) run: String,
    /// Clients that send messages, read data back and clean up, as producers and operators do.
    pub(crate) operator: Clients,
    /// Clients for the requests that `ingest-fn` and the queue mapping send.
    pub(crate) ingest: Clients,
    /// Clients for the requests that `archive-fn` and the stream mapping send.
    pub(crate) archive: Clients,
    embedded: Option<Arc<Services>>,
    claims: OnceCell<Table>,
    streamed: OnceCell<Table>,
    bucket: OnceCell<String>,
    names: AtomicU32,
}

impl Stage {
    pub(crate) async fn from_variables() -> Self {
        let engine = Engine::from_variables();
        let run = std::env::var("CONTRACT_RUN").unwrap_or_else(|_| format!("contract-{:08x}", fastrand::u32(..)));
        // A long poll takes up to 20 s, which is longer than the functions' own timeouts allow.
        let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build();
        let embedded = (engine == Engine::Embedded).then(|| Services::on_clock(Clock::real(), fastrand::u64(..)));
        let config = match &embedded {
            Some(services) => services.sdk_config().into_builder().timeout_config(timeouts).build(),
            None => {
                let config = aws_config::defaults(BehaviorVersion::latest())
                    .http_client(lambda_support::https::client())
                    .timeout_config(timeouts)
                    .load()
                    .await;
                let loopback = config.endpoint_url().is_some_and(|url| url.contains("//127.0.0.1:"));
                assert!(loopback || engine == Engine::Aws, "AWS_ENDPOINT_URL must be on 127.0.0.1 for {engine}");
                config
            }
        };
        let clients = async |role: &str| match std::env::var(role) {
            Err(_) => Clients::new(config.clone()),
            Ok(role) => {
                let provider =
                    AssumeRoleProvider::builder(role).session_name("contract").configure(&config).build().await;
                let provider = aws_sdk_sqs::config::SharedCredentialsProvider::new(provider);
                Clients::new(config.to_builder().credentials_provider(provider).build())
            }
        };
        Self {
            engine,
            run,
            ingest: clients("CONTRACT_INGEST_ROLE").await,
            archive: clients("CONTRACT_ARCHIVE_ROLE").await,
            operator: Clients::new(config.clone()),
            embedded,
            claims: OnceCell::new(),
            streamed: OnceCell::new(),
            bucket: OnceCell::new(),
            names: AtomicU32::new(0),
        }
    }

    /// Returns a name that no other resource or event of the run has.
    pub(crate) fn unique(&self, what: &str) -> String {
        format!("{}-{what}-{}", self.run, self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the table that all tests share, except those that read a stream.
    pub(crate) async fn claims(&self) -> Result<&Table, Mismatch> {
        self.claims.get_or_try_init(|| self.create_table("claims")).await
    }

    /// Returns the table for tests that read a stream. Few tests write to it, so its stream stays short.
    pub(crate) async fn streamed(&self) -> Result<&Table, Mismatch> {
        self.streamed.get_or_try_init(|| self.create_table("streamed")).await
    }

    async fn create_table(&self, what: &str) -> Result<Table, Mismatch> {
        let name = format!("{}-{what}", self.run);
        if let Some(services) = &self.embedded {
            return Ok(Table { stream_arn: services.tables.create_claim_table(&name), name });
        }
        let key = |name: &str, key_type| KeySchemaElement::builder().attribute_name(name).key_type(key_type).build();
        let text = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
        let dynamodb = &self.operator.dynamodb;
        let request = dynamodb.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        let request = request.attribute_definitions(text("pk")?).attribute_definitions(text("sk")?);
        let request = request.key_schema(key("pk", KeyType::Hash)?).key_schema(key("sk", KeyType::Range)?);
        request.stream_specification(stream.build()?).send().await?;
        let stream_arn = eventually("the new table being active", async || {
            let table = dynamodb.describe_table().table_name(&name).send().await?.table;
            let active = table.filter(|table| table.table_status() == Some(&TableStatus::Active));
            Ok(active.and_then(|table| table.latest_stream_arn))
        })
        .await?;
        let ttl = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build()?;
        dynamodb.update_time_to_live().table_name(&name).time_to_live_specification(ttl).send().await?;
        Ok(Table { name, stream_arn })
    }

    /// Deletes expired items on the embedded services. Other engines delete them on their own schedule.
    pub(crate) fn expire(&self) {
        if let Some(services) = &self.embedded {
            let _number = services.tables.sweep_ttl();
        }
    }

    /// Returns the bucket that all tests share. It has versioning.
    pub(crate) async fn bucket(&self) -> Result<&str, Mismatch> {
        self.bucket.get_or_try_init(|| self.create_bucket()).await.map(String::as_str)
    }

    async fn create_bucket(&self) -> Result<String, Mismatch> {
        let name = format!("{}-lake", self.run);
        if let Some(services) = &self.embedded {
            services.lakes.create_bucket(&name);
            return Ok(name);
        }
        let region = self.operator.config.region().map(ToString::to_string).unwrap_or_default();
        // S3 rejects a location constraint for us-east-1.
        let location = (region != "us-east-1").then(|| {
            let constraint = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(constraint).build()
        });
        let s3 = &self.operator.s3;
        s3.create_bucket().bucket(&name).set_create_bucket_configuration(location).send().await?;
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        s3.put_bucket_versioning().bucket(&name).versioning_configuration(versioning).send().await?;
        Ok(name)
    }

    /// Creates a queue. If `max_receives` is set, also creates a dead-letter queue, to which SQS moves a message after
    /// that many receives.
    pub(crate) async fn queue(&self, visibility_seconds: u64, max_receives: Option<u32>) -> Result<Queue, Mismatch> {
        let name = self.unique("queue");
        let dead_letters = max_receives.map(|_| format!("{name}-dlq"));
        if let Some(services) = &self.embedded {
            let settings = |redrive| QueueSettings {
                visibility_timeout: Duration::from_secs(visibility_seconds),
                retention: Duration::from_secs(3_600),
                redrive,
            };
            if let Some(dead_letters) = &dead_letters {
                services.sqs.create_queue(dead_letters, settings(None));
            }
            let redrive = dead_letters
                .clone()
                .zip(max_receives)
                .map(|(dead_letter_queue, max_receive_count)| Redrive { dead_letter_queue, max_receive_count });
            services.sqs.create_queue(&name, settings(redrive));
            return Ok(Queue { url: queue_url(&name), dead_letters_url: dead_letters.as_deref().map(queue_url) });
        }
        let sqs = &self.operator.sqs;
        let create = async |name: &str, redrive: Option<String>| {
            let request = sqs.create_queue().queue_name(name);
            let request = request.attributes(QueueAttributeName::VisibilityTimeout, visibility_seconds.to_string());
            let request = request.attributes(QueueAttributeName::MessageRetentionPeriod, "3600");
            let request = match redrive {
                Some(redrive) => request.attributes(QueueAttributeName::RedrivePolicy, redrive),
                None => request,
            };
            let created = request.send().await?;
            created.queue_url.ok_or_else(|| Mismatch("CreateQueue returned no URL".to_owned()))
        };
        let (dead_letters_url, redrive) = match (&dead_letters, max_receives) {
            (Some(dead_letters), Some(max_receives)) => {
                let url = create(dead_letters, None).await?;
                let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
                let attributes = request.send().await?.attributes.unwrap_or_default();
                let arn = attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
                let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": max_receives });
                (Some(url), Some(policy.to_string()))
            }
            _ => (None, None),
        };
        Ok(Queue { url: create(&name, redrive).await?, dead_letters_url })
    }

    /// Creates a log group that contains `lines`, all with the current time.
    pub(crate) async fn log_group(&self, lines: &[&str]) -> Result<String, Mismatch> {
        let group = format!("/{}", self.unique("log"));
        if let Some(services) = &self.embedded {
            let mut writer = services.logs.writer(&group);
            for line in lines {
                std::io::Write::write_all(&mut writer, line.as_bytes())?;
            }
            return Ok(group);
        }
        let logs = &self.operator.logs;
        let stream = json!({ "logGroupName": group, "logStreamName": "s" });
        let now_ms = Clock::real().now_ms();
        let events: Vec<Value> = lines.iter().map(|line| json!({ "timestamp": now_ms, "message": line })).collect();
        let _empty: Value = logs.call("CreateLogGroup", &json!({ "logGroupName": group })).await?;
        let _empty: Value = logs.call("CreateLogStream", &stream).await?;
        let put = json!({ "logGroupName": group, "logStreamName": "s", "logEvents": events });
        let _token: Value = logs.call("PutLogEvents", &put).await?;
        Ok(group)
    }
}
