//! Reads back a run's claims, objects and dead letters.
//!
//! Claims and objects are looked up by key. The table and the lake are never scanned or listed, because a lake may hold years of
//! data.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_s3::types::DeleteMarkerEntry;
use claim::key::SORT_KEY;
use claim::{Claim, Digest, ObjectPrefix};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::events::Plan;
use crate::pipeline_client::PipelineClient;
use crate::same_json::same_json;
use crate::send::SendResults;

/// DynamoDB's limit on the keys of one `BatchGetItem`.
const KEYS_AT_ONCE: usize = 100;

/// Number of look-ups in flight at once.
const LOOKUPS_AT_ONCE: usize = 16;

/// The search gives up on a dead-letter queue that has more messages than this.
const MOST_DEAD_LETTERS: usize = 10_000;

/// The search hides each dead letter that it received from other consumers for this long.
const DEAD_LETTER_HIDDEN_SECONDS: i32 = 20;

/// The object of one claim.
#[derive(Clone, Debug)]
pub struct Object {
    pub key: String,
    /// Number of versions of the key.
    pub versions: usize,
    /// True if the latest version is one line that holds the claim's event as it was sent.
    pub is_as_sent: bool,
}

/// The results of several look-ups.
pub struct LookupResults<T> {
    /// Maps an index into [`Plan::event_ids`] to the item, or to `None` if there is no item. Events whose look-up failed are absent.
    pub found: HashMap<usize, Option<T>>,
    /// The first error, if any look-up failed.
    pub problem: Option<anyhow::Error>,
}

impl<T> LookupResults<T> {
    /// Runs several look-ups at once. A failed look-up does not discard the results of the others.
    async fn collect<F>(lookups: impl Iterator<Item = F>) -> Self
    where
        F: Future<Output = anyhow::Result<Vec<(usize, Option<T>)>>>,
    {
        let mut answers = stream::iter(lookups).buffer_unordered(LOOKUPS_AT_ONCE);
        let mut all = Self { found: HashMap::new(), problem: None };
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(found) => all.found.extend(found),
                Err(problem) => all.problem = all.problem.or(Some(problem)),
            }
        }
        all
    }
}

/// Reads the claims of the given events.
pub async fn claims(client: &PipelineClient, table: &str, plan: &Plan, events: &[usize]) -> LookupResults<Claim> {
    LookupResults::collect(events.chunks(KEYS_AT_ONCE).map(|chunk| read_chunk(client, table, plan, chunk))).await
}

async fn read_chunk(
    client: &PipelineClient,
    table: &str,
    plan: &Plan,
    chunk: &[usize],
) -> anyhow::Result<Vec<(usize, Option<Claim>)>> {
    let by_key: HashMap<String, usize> =
        chunk.iter().map(|&event| (Claim::partition_key(&plan.event_ids[event]), event)).collect();
    let keys = by_key.keys().map(|pk| {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(pk.clone())),
            ("sk".to_owned(), AttributeValue::S(SORT_KEY.to_owned())),
        ])
    });
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).consistent_read(true).build()?;
    let request = client.dynamodb.batch_get_item().request_items(table, keys);
    let answer = request.send().await.with_context(|| format!("failed to read the table {table}"))?;

    let event_of = |item: &HashMap<String, AttributeValue>| Some(*by_key.get(item.get("pk")?.as_s().ok()?)?);
    let mut found: HashMap<usize, Option<Claim>> = by_key.values().map(|&event| (event, None)).collect();
    // DynamoDB may leave keys unprocessed. Those events count as not looked up, never as unclaimed.
    let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table)).map(|keys| keys.keys);
    for event in unprocessed.iter().flatten().filter_map(event_of) {
        found.remove(&event);
    }
    for item in answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default() {
        let event =
            event_of(&item).with_context(|| format!("the table {table} returned an item that was not requested"))?;
        found.insert(event, Some(Claim::from_item(item).context("failed to read an item of the table as a claim")?));
    }
    Ok(found.into_iter().collect())
}

/// Looks up the objects of the given claims.
pub async fn objects(
    client: &PipelineClient,
    bucket: &str,
    prefix: &ObjectPrefix,
    plan: &Plan,
    sent: &SendResults,
    claims: &[(usize, &Claim)],
) -> LookupResults<Object> {
    let lookups = claims.iter().map(|&(event, claim)| async move {
        let key = prefix.object_key(claim);
        let found = read_object(client, bucket, &key).await?;
        let object = found.map(|(versions, content)| {
            let is_as_sent = is_as_sent(&content, claim, plan, event, sent);
            Object { key, versions, is_as_sent }
        });
        Ok(vec![(event, object)])
    });
    LookupResults::collect(lookups).await
}

/// Returns the number of versions of a key and the content of the latest one, or `None` if there is no version or the latest is a
/// delete marker.
pub(crate) async fn read_object(
    client: &PipelineClient,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
    let failed = || format!("failed to read s3://{bucket}/{key}");
    let listed = client.s3.list_object_versions().bucket(bucket).prefix(key).send().await.with_context(failed)?;
    let versions = listed.versions().iter().filter(|version| version.key() == Some(key)).count();
    let is_deleted = |marker: &DeleteMarkerEntry| marker.key() == Some(key) && marker.is_latest() == Some(true);
    if versions == 0 || listed.delete_markers().iter().any(is_deleted) {
        return Ok(None);
    }
    let object = client.s3.get_object().bucket(bucket).key(key).send().await.with_context(failed)?;
    let content = object.body.collect().await.with_context(failed)?;
    Ok(Some((versions, content.to_vec())))
}

#[derive(Deserialize)]
struct Line<'a> {
    event_id: String,
    claim_id: String,
    claimed_at: String,
    message_id: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

fn is_as_sent(content: &[u8], claim: &Claim, plan: &Plan, event_index: usize, sent: &SendResults) -> bool {
    let Some(line) = std::str::from_utf8(content).ok().and_then(|text| text.strip_suffix('\n')) else { return false };
    let Ok(parsed) = serde_json::from_str::<Line<'_>>(line) else { return false };
    let Line { event_id, claim_id, claimed_at, message_id, event } = parsed;
    let has_more_lines = line.contains('\n');
    let matches_claim = event_id == claim.event_id
        && claim_id == claim.claim_id.to_string()
        && claimed_at == claim.claimed_at_text()
        && message_id == claim.message_id;
    // The winning message is unknown if another run sent it or its send was not confirmed. Then the claim's digest selects one of this
    // run's messages, and the body in the claim is the last resort.
    let winner = sent.confirmed.get(&claim.message_id).map(|&index| &plan.messages[index]);
    let same_event = || plan.messages_of[event_index].iter().map(|&index| &plan.messages[index]);
    let digest = Digest::from_stored(&claim.digest);
    let expected = match winner.or_else(|| same_event().find(|message| digest.is_some() && message.digest == digest)) {
        Some(message) => message.body.to_string(),
        None => match claim.body_text() {
            Ok(body) => body.into_owned(),
            Err(_) => return false,
        },
    };
    matches_claim && !has_more_lines && same_json(event.get(), &expected)
}

/// Adds the ids of this run's messages in the dead-letter queue to `seen`, and returns `false` if the queue has too many messages to
/// search.
///
/// Each call hides the messages that it received for 20 seconds, so that the next call receives others.
///
/// # Errors
/// Fails if the queue cannot be read.
pub async fn dead_letters(
    client: &PipelineClient,
    url: &str,
    sent: &SendResults,
    seen: &mut HashSet<String>,
) -> anyhow::Result<bool> {
    let mut looked_at = 0;
    loop {
        let request = client.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let answer = request.visibility_timeout(DEAD_LETTER_HIDDEN_SECONDS).wait_time_seconds(0).send().await;
        let messages = answer.with_context(|| format!("failed to read the dead-letter queue {url}"))?.messages;
        let messages = messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(true);
        }
        looked_at += messages.len();
        if looked_at > MOST_DEAD_LETTERS {
            return Ok(false);
        }
        let ids = messages.into_iter().filter_map(|message| message.message_id);
        seen.extend(ids.filter(|id| sent.confirmed.contains_key(id)));
    }
}

/// Returns the number of messages in a queue: waiting, delayed or in flight.
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
