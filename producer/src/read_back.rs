//! What became of this run's events in the table, the lake and the dead-letter queue. Everything is looked up by key, and
//! nothing is listed: a lake may hold years.

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
use crate::same_json::same_json;
use crate::send::Sent;
use crate::stack::Connected;

/// Most keys of a `BatchGetItem`.
const KEYS_AT_ONCE: usize = 100;

/// Requests at once.
const LOOKUPS_AT_ONCE: usize = 16;

/// A dead-letter queue with more messages is not searched.
const MOST_DEAD_LETTERS: usize = 10_000;

/// A dead letter that was looked at is hidden from others for so long.
const DEAD_LETTER_HIDDEN_SECONDS: i32 = 20;

/// What is in the lake for a claim.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// How many versions the key has.
    pub versions: usize,
    /// It holds the claim's event as that was sent, in one line.
    pub is_as_sent: bool,
}

/// What was looked up, by event: `None` where there is nothing. Events of which that could not be told are missing.
pub struct LookedUp<T> {
    /// By index into [`Plan::event_ids`].
    pub found: HashMap<usize, Option<T>>,
    /// Why some could not be read, if any.
    pub problem: Option<anyhow::Error>,
}

impl<T> LookedUp<T> {
    /// Runs look-ups, several at once, and keeps what each gave: one that fails must not cost the others.
    async fn gather<F>(lookups: impl Iterator<Item = F>) -> Self
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

/// Reads the claims of events.
pub async fn claims(connected: &Connected, table: &str, plan: &Plan, events: &[usize]) -> LookedUp<Claim> {
    LookedUp::gather(events.chunks(KEYS_AT_ONCE).map(|chunk| read_chunk(connected, table, plan, chunk))).await
}

async fn read_chunk(
    connected: &Connected,
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
    let request = connected.dynamodb.batch_get_item().request_items(table, keys);
    let answer = request.send().await.with_context(|| format!("the table {table} cannot be read"))?;

    let event_of = |item: &HashMap<String, AttributeValue>| Some(*by_key.get(item.get("pk")?.as_s().ok()?)?);
    let mut found: HashMap<usize, Option<Claim>> = by_key.values().map(|&event| (event, None)).collect();
    // DynamoDB may leave keys unprocessed. Nothing is known of those.
    let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table)).map(|keys| keys.keys);
    for event in unprocessed.iter().flatten().filter_map(event_of) {
        found.remove(&event);
    }
    for item in answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default() {
        let event =
            event_of(&item).with_context(|| format!("the table {table} gave an item that was not asked for"))?;
        found.insert(event, Some(Claim::from_item(item).context("the table holds an item that is no claim")?));
    }
    Ok(found.into_iter().collect())
}

/// Looks up the objects of claims.
pub async fn objects(
    connected: &Connected,
    bucket: &str,
    prefix: &ObjectPrefix,
    plan: &Plan,
    sent: &Sent,
    claims: &[(usize, &Claim)],
) -> LookedUp<Object> {
    let lookups = claims.iter().map(|&(event, claim)| async move {
        let key = prefix.object_key(claim);
        let found = read_object(connected, bucket, &key).await?;
        let object = found.map(|(versions, content)| {
            let is_as_sent = is_as_sent(&content, claim, plan, event, sent);
            Object { key, versions, is_as_sent }
        });
        Ok(vec![(event, object)])
    });
    LookedUp::gather(lookups).await
}

/// How many versions a key has, and the content of the latest; `None` too if that is a delete marker.
pub(crate) async fn read_object(
    connected: &Connected,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
    let cannot = || format!("s3://{bucket}/{key} cannot be read");
    let listed = connected.s3.list_object_versions().bucket(bucket).prefix(key).send().await.with_context(cannot)?;
    let versions = listed.versions().iter().filter(|version| version.key() == Some(key)).count();
    let is_deleted = |marker: &DeleteMarkerEntry| marker.key() == Some(key) && marker.is_latest() == Some(true);
    if versions == 0 || listed.delete_markers().iter().any(is_deleted) {
        return Ok(None);
    }
    let object = connected.s3.get_object().bucket(bucket).key(key).send().await.with_context(cannot)?;
    let content = object.body.collect().await.with_context(cannot)?;
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

fn is_as_sent(content: &[u8], claim: &Claim, plan: &Plan, event_index: usize, sent: &Sent) -> bool {
    let Some(line) = std::str::from_utf8(content).ok().and_then(|text| text.strip_suffix('\n')) else { return false };
    let Ok(line) = serde_json::from_str::<Line<'_>>(line).map(|parsed| (parsed, line.contains('\n'))) else {
        return false;
    };
    let (Line { event_id, claim_id, claimed_at, message_id, event }, has_more_lines) = line;
    let names_the_claim = event_id == claim.event_id
        && claim_id == claim.claim_id.to_string()
        && claimed_at == claim.claimed_at_text()
        && message_id == claim.message_id;
    // If the winner is not of this run, or its send was not confirmed, its content is one of ours, or what the table holds.
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
    names_the_claim && !has_more_lines && same_json(event.get(), &expected)
}

/// Message ids in the dead-letter queue, as far as they are of this run. Those that were looked at are hidden for a moment, so
/// that each call sees others; what was seen before is in `seen`. `false` if there are too many to search.
///
/// # Errors
/// When the queue cannot be read.
pub async fn dead_letters(
    connected: &Connected,
    url: &str,
    sent: &Sent,
    seen: &mut HashSet<String>,
) -> anyhow::Result<bool> {
    let mut looked_at = 0;
    loop {
        let request = connected.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let answer = request.visibility_timeout(DEAD_LETTER_HIDDEN_SECONDS).wait_time_seconds(0).send().await;
        let messages = answer.with_context(|| format!("the dead-letter queue {url} cannot be read"))?.messages;
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

/// How many messages are in a queue: waiting, delayed or in flight.
///
/// # Errors
/// When the queue cannot be read.
pub async fn depth(connected: &Connected, url: &str) -> anyhow::Result<u64> {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
        Name::ApproximateNumberOfMessagesDelayed,
    ];
    let request = connected.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let answer = request.send().await.with_context(|| format!("the queue {url} cannot be read"))?;
    let attributes = answer.attributes.unwrap_or_default();
    let counts = names.iter().map(|name| attributes.get(name).and_then(|count| count.parse::<u64>().ok()));
    counts.sum::<Option<u64>>().with_context(|| format!("the queue {url} does not say how many messages it has"))
}
