//! The SDK clients that the producer uses for both a deployed stack and the embedded pipeline.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_sqs::types::QueueAttributeName;
use emulator::Services;
use lambda_support::https;
use ops::logs::LogsClient;

use crate::embedded::{EmbeddedStack, FaultCounts};
use crate::lake::LakeRequests;
use crate::scenario::Scenario;
use crate::target::Stack;

/// The names of a pipeline's resources, and the SDK clients to access them.
pub struct PipelineClient {
    pub stack: Stack,
    pub sqs: aws_sdk_sqs::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub logs: LogsClient,
    /// The services of an embedded pipeline; `None` for a deployed stack.
    pub(crate) embedded: Option<Arc<Services>>,
    /// Size in bytes of the largest message that the queue accepts; 0 before [`describe_queue`](Self::describe_queue)
    /// is called.
    pub max_message_bytes: usize,
    /// URL of the dead-letter queue, if known.
    pub dlq_url: Option<String>,
    /// True if other senders may use the queue too. The embedded queue has no other senders.
    pub shares_queue: bool,
    /// Time in seconds that each receive from the dead-letter queue waits for messages.
    pub receive_wait_seconds: i32,
    /// Time after which the queue redelivers a message that was not acknowledged.
    pub visibility_timeout: Duration,
    /// Interval between two reads of a log or a queue.
    pub poll_interval: Duration,
    /// Maximum delay of a log line: it may become readable after lines that are up to this much newer.
    pub log_delay: Duration,
    /// Numbers of requests that this client has sent to the lake.
    pub lake_requests: Arc<LakeRequests>,
    /// Counts of the faults injected into the embedded pipeline; `None` for a deployed stack.
    fault_counts: Option<Arc<FaultCounts>>,
}

impl PipelineClient {
    /// Creates the clients for a deployed stack, and reads the queue's attributes.
    pub async fn deployed(stack: &Stack) -> anyhow::Result<Self> {
        // Without these timeouts, a stack that does not answer would hang the run instead of ending it with an error.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_secs(40))
            .build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(https::client()).timeout_config(timeouts);
        if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
            // The queue's URL contains the region: https://sqs.<region>.amazonaws.com/..
            let region = stack.queue_url.strip_prefix("https://sqs.").and_then(|rest| rest.split('.').next());
            if let Some(region) = region {
                loader = loader.region(Region::new(region.to_owned()));
            }
        }
        let mut client = Self::new(&loader.load().await, stack.clone());
        client.describe_queue().await?;
        Ok(client)
    }

    /// Creates the clients for an embedded stack. Before sending, the caller must start the stack's pipeline and call
    /// [`describe_queue`](Self::describe_queue).
    #[must_use]
    pub fn embedded(embedded: &EmbeddedStack) -> Self {
        let stack = Stack::embedded(embedded.settings.archive.object_prefix.to_string());
        // The embedded services check no signatures and lose no bytes, so these clients neither sign nor check.
        let mut unsigned = embedded.services.sdk_config().into_builder();
        unsigned.set_credentials_provider(None);
        let sdk = unsigned
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let mut client = Self::new(&sdk, stack);
        client.sqs = aws_sdk_sqs::Client::from_conf(aws_sdk_sqs::config::Builder::from(&sdk).allow_no_auth().build());
        client.dynamodb =
            aws_sdk_dynamodb::Client::from_conf(aws_sdk_dynamodb::config::Builder::from(&sdk).allow_no_auth().build());
        client.s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&sdk).allow_no_auth().build());
        client.embedded = Some(Arc::clone(&embedded.services));
        client.fault_counts = Some(Arc::clone(&embedded.fault_counts));
        client.poll_interval = Duration::from_millis(200);
        client.log_delay = Duration::ZERO;
        client.receive_wait_seconds = 0;
        client.shares_queue = false;
        client
    }

    /// Returns true if the scenario injects faults, and they occurred ([`FaultCounts::occurred`]).
    #[must_use]
    pub fn faults_occurred(&self, scenario: &Scenario) -> bool {
        let occurred = |faults| self.fault_counts.as_ref().is_some_and(|all| all.occurred(faults));
        scenario.faults.is_some_and(occurred)
    }

    /// Creates the clients with the settings in `sdk`. Call [`describe_queue`](Self::describe_queue) before sending.
    #[must_use]
    pub fn new(sdk: &SdkConfig, stack: Stack) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(sdk),
            s3: aws_sdk_s3::Client::new(sdk),
            logs: LogsClient::new(sdk),
            embedded: None,
            max_message_bytes: 0,
            dlq_url: stack.dlq_url.clone(),
            shares_queue: true,
            receive_wait_seconds: 1,
            visibility_timeout: Duration::ZERO,
            poll_interval: Duration::from_secs(2),
            log_delay: Duration::from_secs(30),
            lake_requests: Arc::default(),
            fault_counts: None,
            stack,
        }
    }

    /// Reads the queue's size limit and visibility timeout. Also looks up the URL of its dead-letter queue, unless that
    /// URL is already known.
    pub async fn describe_queue(&mut self) -> anyhow::Result<()> {
        let url = &self.stack.queue_url;
        let names = [
            QueueAttributeName::MaximumMessageSize,
            QueueAttributeName::VisibilityTimeout,
            QueueAttributeName::RedrivePolicy,
        ];
        let request = self.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = request.send().await.with_context(|| format!("failed to reach the queue {url}"))?;
        let attribute = |name| answer.attributes().and_then(|attributes| attributes.get(&name));

        let max = attribute(QueueAttributeName::MaximumMessageSize)
            .context("the queue's attributes do not contain MaximumMessageSize")?;
        self.max_message_bytes =
            max.parse().with_context(|| format!("failed to parse the queue's MaximumMessageSize {max:?}"))?;
        let timeout = attribute(QueueAttributeName::VisibilityTimeout);
        let timeout = timeout.context("the queue's attributes do not contain VisibilityTimeout")?;
        let timeout =
            timeout.parse().with_context(|| format!("failed to parse the queue's VisibilityTimeout {timeout:?}"))?;
        self.visibility_timeout = Duration::from_secs(timeout);
        if self.dlq_url.is_none()
            && let Some(policy) = attribute(QueueAttributeName::RedrivePolicy)
        {
            let policy: serde_json::Value =
                serde_json::from_str(policy).context("failed to parse the queue's redrive policy")?;
            let name = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
            let name = name.context("the queue's redrive policy does not name a dead-letter queue")?;
            let found = self.sqs.get_queue_url().queue_name(name).send().await;
            self.dlq_url = found.with_context(|| format!("failed to look up the dead-letter queue {name}"))?.queue_url;
        }
        Ok(())
    }
}
