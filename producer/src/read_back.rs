//! Reads the claims and objects of a run, and the message counts of queues.
//!
//! The producer looks up each claim and each object by its key. It never scans the table or lists the whole lake,
//! because a lake may hold years of data.

use std::collections::HashMap;
use std::future::Future;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{DeleteMarkerEntry, ObjectVersion};
use claim::{Claim, ConflictIgnore, ObjectPrefix};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::events::Plan;
use crate::pipeline_client::PipelineClient;
use crate::same_json::same_json;
use crate::send::SendResults;

/// Maximum number of keys that DynamoDB allows in one `BatchGetItem`.
const KEYS_AT_ONCE: usize = 100;

/// Number of look-ups in flight at once.
const LOOKUPS_AT_ONCE: usize = 16;

/// The object of one claim.
#[derive(Clone, Debug)]
pub struct Object {
    pub key: String,
    /// Number of versions of the object. If someone deleted it and `replay` restored it, the identical versions count
    /// as one.
    pub versions: usize,
    /// True if the latest version consists of one line that contains the claim's event as it was sent.
    pub is_as_sent: bool,
}

/// The results of several look-ups.
pub struct LookupResults<T> {
    /// Maps an index into [`Plan::event_ids`] to the claim or object that was found, or to `None` if there is none.
    /// Events whose look-up failed are absent.
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
            ("sk".to_owned(), AttributeValue::S(plan.rules.sort_key().to_string())),
        ])
    });
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).consistent_read(true).build()?;
    let request = client.dynamodb.batch_get_item().request_items(table, keys);
    let answer = request.send().await.with_context(|| format!("failed to read the table {table}"))?;

    let event_of = |item: &HashMap<String, AttributeValue>| Some(*by_key.get(item.get("pk")?.as_s().ok()?)?);
    let mut found: HashMap<usize, Option<Claim>> = by_key.values().map(|&event| (event, None)).collect();
    // DynamoDB may leave keys unprocessed. The events of these keys count as not looked up, never as unclaimed.
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
        let object = found.map(|StoredObject { content, versions, .. }| {
            let is_as_sent = is_as_sent(&content, claim, plan, event, sent);
            Object { key, versions, is_as_sent }
        });
        Ok(vec![(event, object)])
    });
    LookupResults::collect(lookups).await
}

/// The content of an object's latest version, and the counts of the object's versions.
pub(crate) struct StoredObject {
    pub(crate) content: Vec<u8>,
    /// Trace id in the metadata of the latest version, if it has one.
    pub(crate) trace_id: Option<String>,
    /// Number of versions, not counting `deleted_versions`.
    pub(crate) versions: usize,
    /// Number of older versions, if all of them are identical to the latest version and each was deleted before the
    /// next was written; otherwise 0. Such versions exist after `replay` has restored an object that someone deleted.
    pub(crate) deleted_versions: usize,
}

/// Name of the object metadata in which `archive-fn` stores the claim's trace id.
const TRACE_ID_METADATA: &str = "trace-id";

/// Reads the object under a key and counts its versions. Returns `None` if the object never existed or is deleted.
pub(crate) async fn read_object(
    client: &PipelineClient,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<StoredObject>> {
    let failed = || format!("failed to read s3://{bucket}/{key}");
    let listed = client.s3.list_object_versions().bucket(bucket).prefix(key).send().await.with_context(failed)?;
    let versions: Vec<&ObjectVersion> = listed.versions().iter().filter(|version| version.key() == Some(key)).collect();
    let markers: Vec<&DeleteMarkerEntry> =
        listed.delete_markers().iter().filter(|marker| marker.key() == Some(key)).collect();
    if versions.is_empty() || markers.iter().any(|marker| marker.is_latest() == Some(true)) {
        return Ok(None);
    }
    let (content, trace_id) = read_version(client, bucket, key, None).await.with_context(failed)?;
    let mut object = StoredObject { content, trace_id, versions: versions.len(), deleted_versions: 0 };
    if each_was_deleted(&versions, &markers) {
        for older in &versions[1..] {
            let (content, _) = read_version(client, bucket, key, older.version_id()).await.with_context(failed)?;
            if content != object.content {
                return Ok(Some(object));
            }
        }
        object.deleted_versions = object.versions - 1;
        object.versions = 1;
    }
    Ok(Some(object))
}

/// Returns the content of a version, and the trace id in its metadata.
async fn read_version(
    client: &PipelineClient,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    let request = client.s3.get_object().bucket(bucket).key(key).set_version_id(version_id.map(str::to_owned));
    let mut answer = request.send().await?;
    let trace_id = answer.metadata.as_mut().and_then(|metadata| metadata.remove(TRACE_ID_METADATA));
    Ok((answer.body.collect().await?.to_vec(), trace_id))
}

/// Returns true if each version of a key except the latest was hidden by a delete marker before the next version was
/// written. `versions` are in S3's order, the newest first.
fn each_was_deleted(versions: &[&ObjectVersion], markers: &[&DeleteMarkerEntry]) -> bool {
    let is_hidden = |pair: &[&ObjectVersion]| {
        // S3's times are in whole seconds, so a marker may have the same time as a version.
        let is_between = |at: &DateTime| pair[1].last_modified() <= Some(at) && Some(at) <= pair[0].last_modified();
        markers.iter().any(|marker| marker.last_modified().is_none_or(is_between))
    };
    markers.len() + 1 >= versions.len() && versions.windows(2).all(is_hidden)
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
    // The winning message is unknown if another run sent it, or if its send was not confirmed. The object is then
    // compared with a message of this run whose digest is equal to the claim's. If there is no such message, the object
    // is compared with the body in the claim. If members are ignored, perhaps none of the messages with an equal digest has
    // the body that was claimed.
    let is_body_of = |&index: &usize| same_json(event.get(), &plan.messages[index].body);
    let is_claimed_body = || claim.body_text().is_ok_and(|body| same_json(event.get(), &body));
    let is_as_sent = match sent.confirmed.get(&claim.message_id) {
        Some(winner) => is_body_of(winner),
        None => {
            let digest = claim.comparable_digest(&plan.rules).ok();
            let is_equal = |index: &&usize| digest.is_some() && plan.messages[**index].digest == digest;
            let mut equal = plan.messages_of[event_index].iter().filter(is_equal).peekable();
            let ignores = *plan.rules.conflict_ignore() != ConflictIgnore::none();
            let is_unknown = equal.peek().is_none();
            equal.any(is_body_of) || ((is_unknown || ignores) && is_claimed_body())
        }
    };
    matches_claim && !has_more_lines && is_as_sent
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
