//! Reads the claims of a run, and the message counts of queues. Looks up each claim by its key, because the table may
//! hold the claims of many other runs.

use std::collections::HashMap;
use std::future::Future;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use claim::Claim;
use futures_util::{StreamExt as _, stream};

use crate::events::Plan;
use crate::observed_claim::ObservedClaim;
use crate::pipeline_client::PipelineClient;
use crate::send::SendResults;

/// Maximum number of keys that DynamoDB allows in one `BatchGetItem`.
const KEYS_AT_ONCE: usize = 100;

/// Maximum number of look-ups in flight.
const LOOKUPS_AT_ONCE: usize = 16;

/// The results of several look-ups.
pub struct LookupResults<T> {
    /// Maps an index into [`Plan::event_ids`] to the claim or object that was found, or to `None` if there is none.
    /// Events whose look-up failed are absent.
    pub found: HashMap<usize, Option<T>>,
    /// The first error, if any look-up failed.
    pub problem: Option<anyhow::Error>,
}

impl<T> LookupResults<T> {
    /// Runs up to `at_once` look-ups at the same time. A failed look-up does not discard the results of the others.
    pub(crate) async fn collect<F, R>(lookups: impl Iterator<Item = F>, at_once: usize) -> Self
    where
        F: Future<Output = R>,
        R: Into<Self>,
    {
        let mut answers = stream::iter(lookups).buffer_unordered(at_once);
        let mut all = Self { found: HashMap::new(), problem: None };
        while let Some(answer) = answers.next().await {
            let Self { found, problem } = answer.into();
            all.found.extend(found);
            all.problem = all.problem.or(problem);
        }
        all
    }
}

impl<T> From<anyhow::Result<Vec<(usize, Option<T>)>>> for LookupResults<T> {
    fn from(answer: anyhow::Result<Vec<(usize, Option<T>)>>) -> Self {
        match answer {
            Ok(found) => Self { found: found.into_iter().collect(), problem: None },
            Err(problem) => Self { found: HashMap::new(), problem: Some(problem) },
        }
    }
}

/// Reads the claims of the given events.
pub async fn claims(
    client: &PipelineClient,
    table: &str,
    plan: &Plan,
    sent: &SendResults,
    events: &[usize],
) -> LookupResults<ObservedClaim> {
    let lookups = events.chunks(KEYS_AT_ONCE).map(|chunk| read_chunk(client, table, plan, sent, chunk));
    LookupResults::collect(lookups, LOOKUPS_AT_ONCE).await
}

async fn read_chunk(
    client: &PipelineClient,
    table: &str,
    plan: &Plan,
    sent: &SendResults,
    chunk: &[usize],
) -> anyhow::Result<Vec<(usize, Option<ObservedClaim>)>> {
    let by_key: HashMap<String, usize> =
        chunk.iter().map(|&event| (Claim::partition_key(&plan.event_ids[event]), event)).collect();
    let keys = by_key.keys().map(|pk| {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(pk.clone())),
            ("sk".to_owned(), AttributeValue::S(plan.rules.sort_key().to_string())),
        ])
    });
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).consistent_read(true).build()?;
    let request = client.dynamodb.batch_get_item().request_items(table, keys);
    let answer = request.send().await.with_context(|| format!("failed to read the table {table}"))?;

    let event_of = |item: &HashMap<String, AttributeValue>| Some(*by_key.get(item.get("pk")?.as_s().ok()?)?);
    let mut found: HashMap<usize, Option<ObservedClaim>> = by_key.values().map(|&event| (event, None)).collect();
    // DynamoDB may leave keys unprocessed. The events of these keys count as not looked up, never as unclaimed.
    let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table)).map(|keys| keys.keys);
    for event in unprocessed.iter().flatten().filter_map(event_of) {
        found.remove(&event);
    }
    for item in answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default() {
        let event =
            event_of(&item).with_context(|| format!("the table {table} returned an item that was not requested"))?;
        let claim = Claim::from_item(item).context("failed to read an item of the table as a claim")?;
        found.insert(event, Some(ObservedClaim::new(claim, &plan.rules, sent)));
    }
    Ok(found.into_iter().collect())
}

/// Returns the number of messages in a queue, including delayed messages and messages in flight.
///
/// # Errors
/// Fails if the queue cannot be read.
pub async fn depth(client: &PipelineClient, url: &str) -> anyhow::Result<u64> {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
        Name::ApproximateNumberOfMessagesDelayed,
    ];
    let request = client.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let answer = request.send().await.with_context(|| format!("failed to read the queue {url}"))?;
    let attributes = answer.attributes.unwrap_or_default();
    let counts = names.iter().map(|name| attributes.get(name).and_then(|count| count.parse::<u64>().ok()));
    counts.sum::<Option<u64>>().with_context(|| format!("the queue {url} did not return its message counts"))
}
