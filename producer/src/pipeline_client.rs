//! A pipeline that can be talked to: deployed or embedded, it is the same SDK clients.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::types::QueueAttributeName;
use lambda_support::https;
use ops::logs::LogsClient;
use pipeline::names;

use crate::embedded::{EmbeddedStack, FaultCounts};
use crate::scenario::Scenario;
use crate::target::Stack;

/// A pipeline, and the clients to talk to it.
pub struct PipelineClient {
    /// Its names.
    pub stack: Stack,
    /// Queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The data lake.
    pub s3: aws_sdk_s3::Client,
    /// The functions' logs.
    pub logs: LogsClient,
    /// Largest message that the queue takes, in bytes.
    pub max_message_bytes: usize,
    /// The dead-letter queue, if there is one that is known.
    pub dlq_url: Option<String>,
    /// How often to look.
    pub poll_interval: Duration,
    /// A log line may turn up so much later than one with a later timestamp.
    pub log_delay: Duration,
    /// How often the scenario's faults occurred in the embedded pipeline.
    fault_counts: Option<Arc<FaultCounts>>,
}

impl PipelineClient {
    /// Reaches a deployed stack.
    ///
    /// # Errors
    /// When the queue cannot be reached.
    pub async fn deployed(stack: &Stack) -> anyhow::Result<Self> {
        // A stack that does not answer ends in an error, never in a wait without end.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_secs(40))
            .build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(https::client()).timeout_config(timeouts);
        if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
            // The queue's URL says where the stack is: https://sqs.<region>.amazonaws.com/..
            let region = stack.queue_url.strip_prefix("https://sqs.").and_then(|rest| rest.split('.').next());
            if let Some(region) = region {
                loader = loader.region(Region::new(region.to_owned()));
            }
        }
        let mut client = Self::new(&loader.load().await, stack.clone());
        client.describe_queue().await?;
        Ok(client)
    }
    /// The clients of an embedded stack, whose pipeline somebody else starts. The queue has not been asked for anything yet.
    #[must_use]
    pub fn embedded(embedded: &EmbeddedStack) -> Self {
        let stack = Stack {
            queue_url: emulator::queue_url(names::QUEUE),
            table: Some(names::TABLE.to_owned()),
            bucket: Some(names::BUCKET.to_owned()),
            object_prefix: embedded.settings.archive.object_prefix.to_string(),
            ingest_log_group: Some(names::log_group(names::INGEST_FUNCTION)),
            archive_log_group: Some(names::log_group(names::ARCHIVE_FUNCTION)),
            dlq_url: None,
            on_failure_url: Some(emulator::queue_url(names::ON_FAILURE_QUEUE)),
            event_id_pointer: None,
        };
        let mut client = Self::new(&embedded.services.sdk_config(), stack);
        client.fault_counts = Some(Arc::clone(&embedded.fault_counts));
        client.poll_interval = Duration::from_millis(200);
        client.log_delay = Duration::ZERO;
        client
    }

    /// Says whether all of the scenario's faults occurred in the embedded pipeline.
    #[must_use]
    pub fn faults_occurred(&self, scenario: &Scenario) -> bool {
        let occurred = |faults| self.fault_counts.as_ref().is_some_and(|all| all.occurred(faults));
        scenario.faults.is_some_and(occurred)
    }

    /// By these clients' settings. The queue has not been asked for anything yet.
    #[must_use]
    pub fn new(sdk: &SdkConfig, stack: Stack) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(sdk),
            s3: aws_sdk_s3::Client::new(sdk),
            logs: LogsClient::new(sdk),
            max_message_bytes: 0,
            dlq_url: stack.dlq_url.clone(),
            poll_interval: Duration::from_secs(2),
            log_delay: Duration::from_secs(30),
            fault_counts: None,
            stack,
        }
    }

    /// Asks the queue what it takes, and where its dead letters go.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn describe_queue(&mut self) -> anyhow::Result<()> {
        let url = &self.stack.queue_url;
        let names = [QueueAttributeName::MaximumMessageSize, QueueAttributeName::RedrivePolicy];
        let request = self.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = request.send().await.with_context(|| format!("the queue {url} cannot be reached"))?;
        let attribute = |name| answer.attributes().and_then(|attributes| attributes.get(&name));

        let max = attribute(QueueAttributeName::MaximumMessageSize)
            .context("the queue does not say how large a message may be")?;
        self.max_message_bytes = max.parse().with_context(|| format!("the queue's largest message is {max:?}"))?;
        if self.dlq_url.is_none()
            && let Some(policy) = attribute(QueueAttributeName::RedrivePolicy)
        {
            let policy: serde_json::Value = serde_json::from_str(policy).context("the queue's redrive policy")?;
            let name = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
            let name = name.context("the queue's redrive policy names no dead-letter queue")?;
            let found = self.sqs.get_queue_url().queue_name(name).send().await;
            self.dlq_url = found.with_context(|| format!("the dead-letter queue {name}"))?.queue_url;
        }
        Ok(())
    }
}
