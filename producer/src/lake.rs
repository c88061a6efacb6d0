//! Reads the objects of claims from the data lake.
//!
//! An object's key ends with the hour and the id of its claim, and the id begins with the claim's time. So the keys of
//! a run's objects are close together, and one page of S3's list of versions covers up to a thousand of them. The
//! producer lists only the hours of the claims, because a lake may hold years of data.

pub(crate) mod packs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{DeleteMarkerEntry, ObjectVersion};
use claim::{ConflictIgnore, ObjectPrefix};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::packs::{PackedClaim, packed_lines};
use crate::by_event::ByEvent;
use crate::events::Plan;
use crate::message_id::MessageId;
use crate::observed_claim::{ObservedClaim, Winner};
use crate::pipeline_client::PipelineClient;
use crate::place::Place;
use crate::read_back::LookupResults;
use crate::same_json::same_json;
use crate::send::SendResults;

/// Maximum number of keys in one list request. A page of S3 has room for 1,000 entries: one version of each of these
/// keys, and one entry more. If the last entry has a later key, the page contains all versions of these keys.
pub(crate) const KEYS_AT_ONCE: usize = 999;

/// Number of groups of keys that are listed and read at once.
const LISTS_AT_ONCE: usize = 4;

/// Number of objects that are read at once in each of these groups.
const READS_AT_ONCE: usize = 16;

/// Name of the object metadata in which `archive-fn` stores the claim's trace id.
const TRACE_ID_METADATA: &str = "trace-id";

/// The object that contains the line of one claim.
#[derive(Clone, Debug)]
pub struct Object {
    /// Place of the object. If a packed claim has lines in several objects, one of them.
    pub place: Place,
    /// Number of versions of the object. If someone deleted it and `replay` restored it, the identical versions count
    /// as one. If a packed claim has several lines, the total number of versions that contain them.
    pub versions: usize,
    /// True if the claim's line, or each of its lines, contains the event as it was sent. A single object must contain
    /// only this line.
    pub is_as_sent: bool,
    /// Id of the latest version, whose content was read; `None` if the bucket has no versioning.
    pub version_id: Option<Box<str>>,
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

/// Numbers of requests that were sent to the lake, not counting the SDK's retries.
#[derive(Debug, Default, Serialize)]
pub struct LakeRequests {
    /// Number of `ListObjectVersions` requests.
    pub lists: AtomicU64,
    /// Number of `GetObject` requests.
    pub reads: AtomicU64,
}

/// The data that the verdict compares an object with.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) prefix: &'a ObjectPrefix,
    pub(crate) plan: &'a Plan,
    pub(crate) sent: &'a SendResults,
}

/// Looks up the objects of the given claims. Does not read an object in `known` again unless it may have changed.
pub(crate) async fn objects(
    client: &PipelineClient,
    bucket: &str,
    expected: Expected<'_>,
    claims: &[(usize, &ObservedClaim)],
    known: &ByEvent<Object>,
) -> LookupResults<Object> {
    let mut single = Vec::new();
    let mut packed = Vec::new();
    for &(event, claim) in claims {
        match claim.layout.pack() {
            None => single.push((event, claim)),
            Some(pack) => packed.push(PackedClaim { event, claim, pack }),
        }
    }
    let mut found = single_objects(client, bucket, expected, &single, known).await;
    let packed = packed_lines(client, bucket, expected, packed, known).await;
    found.found.extend(packed.found);
    found.problem = found.problem.or(packed.problem);
    found
}

async fn single_objects(
    client: &PipelineClient,
    bucket: &str,
    expected: Expected<'_>,
    claims: &[(usize, &ObservedClaim)],
    known: &ByEvent<Object>,
) -> LookupResults<Object> {
    let mut wanted: Vec<(String, usize, &ObservedClaim)> =
        claims.iter().map(|&(event, claim)| (expected.prefix.object_key_of(claim.claim_id), event, claim)).collect();
    wanted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let is_same_hour = |a: &(String, _, _), b: &(String, _, _)| hour(&a.0) == hour(&b.0);
    let chunks = wanted.chunk_by(is_same_hour).flat_map(|hour| hour.chunks(KEYS_AT_ONCE));
    let lookups = chunks.map(|chunk| async move {
        let keys: Vec<&str> = chunk.iter().map(|(key, ..)| key.as_str()).collect();
        let mut histories = match histories(client, bucket, &keys).await {
            Ok(histories) => histories,
            Err(problem) => return Err(problem).into(),
        };
        let reads = chunk.iter().map(|(key, event, claim)| {
            let history = histories.remove(key.as_str()).unwrap_or_default();
            let known = known.get(*event).filter(|known| history.is_still(known)).cloned();
            async move {
                let object = match known {
                    Some(known) => Some(known),
                    None => read(client, bucket, key, &history).await?.map(|stored| Object {
                        place: Place::Single(claim.claim_id),
                        versions: stored.versions,
                        is_as_sent: is_as_sent(&stored.content, claim, *event, expected),
                        version_id: history.latest_id().map(Box::from),
                    }),
                };
                Ok(vec![(*event, object)])
            }
        });
        LookupResults::collect(reads, READS_AT_ONCE).await
    });
    LookupResults::collect(lookups, LISTS_AT_ONCE).await
}

/// Returns an object's key without its last part: the folder of the claim's hour.
fn hour(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(hour, _)| hour)
}

/// Reads the object under a key and counts its versions. Returns `None` if the object never existed or is deleted.
pub(crate) async fn read_object(
    client: &PipelineClient,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<StoredObject>> {
    let history = histories(client, bucket, &[key]).await?.remove(key).unwrap_or_default();
    read(client, bucket, key, &history).await
}

/// The versions and delete markers of one key, each in S3's order: the newest first.
#[derive(Default)]
struct History {
    versions: Vec<ObjectVersion>,
    markers: Vec<DeleteMarkerEntry>,
}

impl History {
    fn exists(&self) -> bool {
        !self.versions.is_empty() && !self.markers.iter().any(|marker| marker.is_latest() == Some(true))
    }

    /// Returns the id of the latest version. Returns `None` without versioning: every object then has the id `null`,
    /// even after its content has changed.
    fn latest_id(&self) -> Option<&str> {
        self.versions.first().and_then(ObjectVersion::version_id).filter(|id| *id != "null")
    }

    /// Returns true if certainly nothing has been written or deleted since `known` was read.
    fn is_still(&self, known: &Object) -> bool {
        let is_latest = known.version_id.as_deref().is_some_and(|id| self.latest_id() == Some(id));
        self.exists() && self.versions.len() == known.versions && is_latest
    }

    /// Returns true if each version except the latest was hidden by a delete marker before the next version was
    /// written.
    fn each_was_deleted(&self) -> bool {
        let is_hidden = |pair: &[ObjectVersion]| {
            // S3's times are in whole seconds, so a marker may have the same time as a version.
            let is_between = |at: &DateTime| pair[1].last_modified() <= Some(at) && Some(at) <= pair[0].last_modified();
            self.markers.iter().any(|marker| marker.last_modified().is_none_or(is_between))
        };
        self.markers.len() + 1 >= self.versions.len() && self.versions.windows(2).all(is_hidden)
    }
}

/// Lists the versions of the given keys, which must be sorted. Returns a history for each of them.
///
/// Each page begins at one of the keys and also covers the keys after it. So there are at most as many pages as keys,
/// unless a key has more versions and delete markers than fit on a page.
async fn histories<'a>(
    client: &PipelineClient,
    bucket: &str,
    keys: &[&'a str],
) -> anyhow::Result<HashMap<&'a str, History>> {
    let mut histories: HashMap<&str, History> = keys.iter().map(|key| (*key, History::default())).collect();
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(histories) };
    let prefix = common_prefix(first, last);
    let mut begin = (just_before(first).to_owned(), None);
    loop {
        let (key_marker, version_id_marker) = begin;
        let request = client.s3.list_object_versions().bucket(bucket).prefix(prefix).key_marker(key_marker);
        client.lake_requests.lists.fetch_add(1, Ordering::Relaxed);
        let page = request.set_version_id_marker(version_id_marker).send().await;
        let page = page.with_context(|| format!("failed to list s3://{bucket}/{prefix}"))?;
        for version in page.versions.into_iter().flatten() {
            if let Some(history) = version.key().and_then(|key| histories.get_mut(key)) {
                history.versions.push(version);
            }
        }
        for marker in page.delete_markers.into_iter().flatten() {
            if let Some(history) = marker.key().and_then(|key| histories.get_mut(key)) {
                history.markers.push(marker);
            }
        }
        if page.is_truncated != Some(true) {
            return Ok(histories);
        }
        let listed_to = page.next_key_marker.context("S3 returned a truncated page without a marker for the next")?;
        // The page may have ended between two versions of `next`.
        let Some(next) = keys.get(keys.partition_point(|key| **key < *listed_to)) else { return Ok(histories) };
        begin = if *next == listed_to {
            (listed_to, page.next_version_id_marker)
        } else {
            (just_before(next).to_owned(), None)
        };
    }
}

/// Returns a key marker that sorts before `key`. No object's key is between the two, because object keys end in
/// `.json` or `.json.gz`.
fn just_before(key: &str) -> &str {
    key.char_indices().next_back().map_or("", |(last, _)| &key[..last])
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    &a[..same]
}

/// Reads an object whose versions are known.
async fn read(
    client: &PipelineClient,
    bucket: &str,
    key: &str,
    history: &History,
) -> anyhow::Result<Option<StoredObject>> {
    if !history.exists() {
        return Ok(None);
    }
    let failed = || format!("failed to read s3://{bucket}/{key}");
    let (content, trace_id) = read_version(client, bucket, key, None).await.with_context(failed)?;
    let versions = history.versions.len();
    let mut object = StoredObject { content, trace_id, versions, deleted_versions: 0 };
    if history.each_was_deleted() {
        for older in &history.versions[1..] {
            let (content, _) = read_version(client, bucket, key, older.version_id()).await.with_context(failed)?;
            if content != object.content {
                return Ok(Some(object));
            }
        }
        object.deleted_versions = versions - 1;
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
    client.lake_requests.reads.fetch_add(1, Ordering::Relaxed);
    let mut answer = request.send().await?;
    let trace_id = answer.metadata.as_mut().and_then(|metadata| metadata.remove(TRACE_ID_METADATA));
    Ok((answer.body.collect().await?.to_vec(), trace_id))
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

/// Returns true if an object contains the given claim of an event, with the event as it was sent.
fn is_as_sent(
    content: &[u8],
    claim: &ObservedClaim,
    event_index: usize,
    Expected { plan, sent, .. }: Expected<'_>,
) -> bool {
    let Some(line) = std::str::from_utf8(content).ok().and_then(|text| text.strip_suffix('\n')) else { return false };
    let Ok(parsed) = serde_json::from_str::<Line<'_>>(line) else { return false };
    let Line { event_id, claim_id, claimed_at, message_id, event } = parsed;
    let has_more_lines = line.contains('\n');
    let matches_claim = event_id == plan.event_ids[event_index]
        && claim_id == claim.claim_id.to_string()
        && claimed_at == claim.claimed_at_text()
        && Some(&MessageId::from(message_id.as_str())) == claim.message_id(sent);
    // The winning message is unknown if another run sent it, or if its send was not confirmed. The object is then
    // compared with a message of this run whose digest is equal to the claim's. If there is no such message, the object
    // is compared with the body in the claim. If members are ignored, it may equal either, because messages with an
    // equal digest can have different bodies.
    let is_body_of = |&index: &usize| same_json(event.get(), &plan.messages[index].body);
    let is_as_sent = match &claim.winner {
        Winner::Confirmed(winner) => is_body_of(winner),
        Winner::Unknown(winner) => {
            let is_claimed_body = || winner.body.text().is_ok_and(|body| same_json(event.get(), &body));
            let is_equal = |index: &&usize| claim.digest.is_some() && plan.messages[**index].digest == claim.digest;
            let mut equal = plan.messages_of[event_index].iter().filter(is_equal).peekable();
            let ignores = *plan.rules.conflict_ignore() != ConflictIgnore::none();
            let is_unknown = equal.peek().is_none();
            equal.any(is_body_of) || ((is_unknown || ignores) && is_claimed_body())
        }
    };
    matches_claim && !has_more_lines && is_as_sent
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use emulator::{Service, Services};
    use pipeline::names;

    use super::*;
    use crate::target::Stack;

    const HOUR: &str = "events/dt=2026-11-28/hour=10";

    /// Returns the key of the object with the given number. Keys sort in the order of their numbers.
    fn key(number: usize) -> String {
        format!("{HOUR}/{number:08}.json")
    }

    struct Lake {
        client: PipelineClient,
        lists: Arc<AtomicUsize>,
    }

    impl Lake {
        fn new() -> Self {
            let services = Services::on_real_clock(1).unwrap();
            services.lakes.create_bucket(names::BUCKET);
            let lists = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&lists);
            services.faults.set(move |call| {
                let is_list =
                    call.service == Service::S3 && call.request.uri().query().is_some_and(|q| q.contains("versions"));
                counter.fetch_add(usize::from(is_list), Ordering::Relaxed);
                None
            });
            let client = PipelineClient::new(&services.sdk_config(), Stack::embedded(String::new()));
            Self { client, lists }
        }

        async fn put(&self, key: &str) {
            let body = Vec::from("{}\n").into();
            self.client.s3.put_object().bucket(names::BUCKET).key(key).body(body).send().await.unwrap();
        }

        async fn delete(&self, key: &str) {
            self.client.s3.delete_object().bucket(names::BUCKET).key(key).send().await.unwrap();
        }

        /// Returns the numbers of versions and delete markers of each key, and the number of list requests that were
        /// sent.
        async fn counts(&self, keys: &[&str]) -> (Vec<(usize, usize)>, usize) {
            let before = self.lists.load(Ordering::Relaxed);
            let histories = histories(&self.client, names::BUCKET, keys).await.unwrap();
            let counts = keys.iter().map(|key| (histories[key].versions.len(), histories[key].markers.len()));
            (counts.collect(), self.lists.load(Ordering::Relaxed) - before)
        }
    }

    /// An object is read again if it may have changed: if its latest version or its number of versions differs, if the
    /// bucket has no versioning, or if the object was deleted.
    #[test]
    fn changed_object_is_read_again() {
        let version = |id: &str| ObjectVersion::builder().version_id(id).build();
        let history = |ids: &[&str]| History { versions: ids.iter().map(|id| version(id)).collect(), markers: vec![] };
        let known = |history: &History| Object {
            place: Place::Single(uuid::Uuid::nil()),
            versions: history.versions.len(),
            is_as_sent: true,
            version_id: history.latest_id().map(Box::from),
        };
        let read = history(&["a"]);
        assert!(read.is_still(&known(&read)));
        assert!(!history(&["b", "a"]).is_still(&known(&read)));
        assert!(!history(&["b"]).is_still(&known(&read)));
        assert!(!history(&[]).is_still(&known(&read)));
        let deleted = DeleteMarkerEntry::builder().is_latest(true).build();
        assert!(!History { markers: vec![deleted], ..history(&["a"]) }.is_still(&known(&read)));
        let unversioned = history(&["null"]);
        assert!(!unversioned.is_still(&known(&unversioned)));
    }

    /// Keys that are neighbors share a page. Keys that are far apart need one page each, no matter how many other keys
    /// are between them.
    #[tokio::test]
    async fn pages_never_exceed_keys() {
        let lake = Lake::new();
        for number in 0..3_500 {
            lake.put(&key(number)).await;
        }
        let neighbors: Vec<String> = (1_000..1_000 + KEYS_AT_ONCE).map(key).collect();
        let neighbors: Vec<&str> = neighbors.iter().map(String::as_str).collect();
        assert_eq!(lake.counts(&neighbors).await, (vec![(1, 0); KEYS_AT_ONCE], 1));
        let apart = [key(3), key(1_500), key(3_499)];
        let apart: Vec<&str> = apart.iter().map(String::as_str).collect();
        assert_eq!(lake.counts(&apart).await, (vec![(1, 0); 3], 3));
        let missing = [key(5), key(9_999)];
        assert_eq!(lake.counts(&[missing[0].as_str(), missing[1].as_str()]).await, (vec![(1, 0), (0, 0)], 2));
    }

    /// A key's history is complete even if it spans several pages.
    #[tokio::test]
    async fn history_continues_on_the_next_page() {
        let lake = Lake::new();
        for _ in 0..700 {
            lake.put(&key(1)).await;
            lake.delete(&key(1)).await;
        }
        for number in [2, 3] {
            lake.put(&key(number)).await;
        }
        let keys = [key(1), key(2), key(3)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(lake.counts(&keys).await, (vec![(700, 700), (1, 0), (1, 0)], 2));
        let object = read_object(&lake.client, names::BUCKET, &key(1)).await.unwrap();
        assert!(object.is_none(), "the key is deleted");
    }
}
