//! The embedded pipeline whose events the tests trace.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use claim::ObjectPrefix;
use emulator::{Clock, Fault, Service, Services, queue_url};
use ingest_fn::LakeLayout;
use pipeline::{Pipeline, PipelineSettings, names};
use producer::pipeline_client::PipelineClient;
use producer::target::{FunctionSettings, Stack};
use producer::trace::{Story, trace};
use tokio::time::{sleep, timeout};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Age at which the stream mapping discards a record. It is short, so that a record is discarded after few attempts.
const RECORD_AGE: Duration = Duration::from_secs(10 * 60);

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct TracedPipeline {
    pub(crate) services: Arc<Services>,
    pub(crate) pipeline: Option<Pipeline>,
    /// The function settings that `trace` assumes. A test may make them differ from the pipeline's.
    pub(crate) settings: FunctionSettings,
}

impl TracedPipeline {
    pub(crate) fn start() -> Self {
        Self::start_with(PipelineSettings::default())
    }

    /// Starts a pipeline whose functions do not log routine outcomes.
    pub(crate) fn start_silent() -> Self {
        let mut settings = PipelineSettings::default();
        settings.ingest.log_routine_outcomes = false;
        settings.archive.log_routine_outcomes = false;
        Self::start_with(settings)
    }

    pub(crate) fn start_packed() -> Self {
        let mut settings = PipelineSettings::default();
        settings.ingest.lake_layout = LakeLayout::Packs;
        settings.stream_mapping.filter = PipelineSettings::pack_filter();
        Self::start_with(settings)
    }

    fn start_with(mut settings: PipelineSettings) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let services = Services::on_clock(clock, 7);
        settings.stream_mapping.maximum_record_age = Some(RECORD_AGE);
        let pipeline = Pipeline::start(&services, settings, 7);
        Self { services, pipeline: Some(pipeline), settings: FunctionSettings::default() }
    }

    pub(crate) fn send(&self, body: &str) {
        self.services.sqs.send(names::QUEUE, body).unwrap();
    }

    pub(crate) async fn until(&self, done: impl Fn(&Services) -> bool) {
        let waiting = async {
            while !done(&self.services) {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(DAY, waiting).await.expect("the condition is met within a day");
    }

    /// Makes every request to `service` whose operation starts with `operation` fail with status 503.
    pub(crate) fn fail(&self, service: Service, operation: &'static str) {
        let fails = move |call: &emulator::Call<'_>| call.service == service && call.operation.starts_with(operation);
        self.services.faults.set(move |call| fails(call).then_some(Fault::Refused(503)));
    }

    pub(crate) async fn try_trace(&self, event_id: &str) -> Story {
        let dlq_url = Some(queue_url(names::DEAD_LETTER_QUEUE));
        let stack = Stack { dlq_url, ..Stack::embedded("events/".to_owned()) };
        let client = PipelineClient::new(&self.services.sdk_config(), stack);
        let prefix = ObjectPrefix::parse("events/").unwrap();
        trace(&client, event_id, &prefix, &self.settings, None, RECORD_AGE, self.services.clock.now().into()).await
    }

    /// Traces an event, and asserts that every source could be read.
    pub(crate) async fn trace(&self, event_id: &str) -> Story {
        let story = self.try_trace(event_id).await;
        assert!(story.unreadable.is_empty(), "{:?}", story.unreadable);
        story
    }

    /// Sends an event, and waits until it is archived.
    pub(crate) async fn archive(&self, event_id: &str) {
        let objects = self.services.lakes.versions(names::BUCKET).len();
        self.send(&format!(r#"{{"event_id":"{event_id}"}}"#));
        self.until(|services| services.lakes.versions(names::BUCKET).len() > objects).await;
    }

    pub(crate) async fn delete_claim(&self, event_id: &str) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let request = client.delete_item().table_name(names::TABLE);
        request.set_key(Some(claim_key(event_id))).send().await.unwrap();
    }

    /// Writes a claim of `to` that differs from the claim of `from` only in its event and its id.
    pub(crate) async fn copy_claim(&self, from: &str, to: &str) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let claim = client.get_item().table_name(names::TABLE).set_key(Some(claim_key(from))).send().await.unwrap();
        let mut claim = claim.item.unwrap();
        claim.extend(claim_key(to));
        let id = claim["claim_id"].as_s().unwrap();
        let other_id = format!("{}{}", &id[..id.len() - 1], if id.ends_with('0') { '1' } else { '0' });
        claim.insert("claim_id".to_owned(), AttributeValue::S(other_id));
        client.put_item().table_name(names::TABLE).set_item(Some(claim)).send().await.unwrap();
    }

    pub(crate) async fn set_in_claim(&self, event_id: &str, update: &str, value: &str) {
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let request = client.update_item().table_name(names::TABLE).update_expression(update);
        let request = request.set_key(Some(claim_key(event_id)));
        let value = AttributeValue::S(value.to_owned());
        request.expression_attribute_values(":v", value).send().await.unwrap();
    }
}

/// Returns the key of the claim of an event.
fn claim_key(event_id: &str) -> HashMap<String, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([("pk".to_owned(), text(&format!("EVENT#{event_id}"))), ("sk".to_owned(), text("CLAIM"))])
}

pub(crate) fn outcomes(story: &Story) -> Vec<&str> {
    story.ingest.iter().map(|line| line.outcome.as_str()).collect()
}

pub(crate) fn text(story: &Story) -> String {
    let mut out = Vec::new();
    story.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}
