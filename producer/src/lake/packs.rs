//! Reads the lines of packed claims from the data lake.
//!
//! A packed claim's line is in the object of its pack or in the object of a pack of its own, whose id is the claim id. It
//! must be in exactly one of them, and the claim must not have a single object beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;

use claim::PackRef;
use flate2::read::MultiGzDecoder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Expected, History, KEYS_AT_ONCE, LISTS_AT_ONCE, Object, READS_AT_ONCE, StoredObject, histories, hour, is_as_sent,
    read,
};
use crate::by_event::ByEvent;
use crate::observed_claim::ObservedClaim;
use crate::pipeline_client::PipelineClient;
use crate::place::Place;
use crate::read_back::LookupResults;

/// Number of claims after which a group of packs is full. Each claim has three keys, so a group needs about one list
/// request.
const CLAIMS_AT_ONCE: usize = KEYS_AT_ONCE / 3;

/// Maximum size of a pack's decompressed object in bytes. `archive-fn` writes at most 16 MiB.
const MAX_TEXT_BYTES: u64 = 64 * 1024 * 1024;

/// A claim that names a pack.
#[derive(Clone, Copy)]
pub(super) struct PackedClaim<'a> {
    pub(super) event: usize,
    pub(super) claim: &'a ObservedClaim,
    pub(super) pack: PackRef,
}

/// Looks up the lines of the given claims. Does not read a line in `known` again unless it may have changed.
pub(super) async fn packed_lines(
    client: &PipelineClient,
    bucket: &str,
    expected: Expected<'_>,
    mut claims: Vec<PackedClaim<'_>>,
    known: &ByEvent<Object>,
) -> LookupResults<Object> {
    claims.sort_unstable_by_key(|claim| (claim.pack.pack_id, claim.claim.claim_id));
    let mut groups: Vec<Vec<PackedClaim<'_>>> = Vec::new();
    for pack in claims.chunk_by(|a, b| a.pack.pack_id == b.pack.pack_id) {
        match groups.last_mut().filter(|group| group.len() < CLAIMS_AT_ONCE) {
            Some(group) => group.extend(pack),
            None => groups.push(pack.to_vec()),
        }
    }
    let lookups = groups.iter().map(|group| lines_of_group(client, bucket, expected, group, known));
    LookupResults::collect(lookups, LISTS_AT_ONCE).await
}

async fn lines_of_group(
    client: &PipelineClient,
    bucket: &str,
    expected: Expected<'_>,
    claims: &[PackedClaim<'_>],
    known: &ByEvent<Object>,
) -> anyhow::Result<Vec<(usize, Option<Object>)>> {
    let places_of: Vec<[Place; 3]> = claims.iter().map(places).collect();
    let by_key: BTreeMap<String, Place> =
        places_of.iter().flatten().map(|place| (place.key(expected.prefix), *place)).collect();
    let keys: Vec<&str> = by_key.keys().map(String::as_str).collect();
    let mut existing: HashMap<Place, History> = HashMap::new();
    for keys in keys.chunk_by(|a, b| hour(a) == hour(b)).flat_map(|keys| keys.chunks(KEYS_AT_ONCE)) {
        let histories = histories(client, bucket, keys).await?.into_iter().filter(|(_, history)| history.exists());
        existing.extend(histories.map(|(key, history)| (by_key[key], history)));
    }

    let unchanged = |(packed, places): (&PackedClaim<'_>, &[Place; 3])| {
        let mut found = places.iter().filter_map(|place| Some((place, existing.get(place)?)));
        let known = known.get(packed.event)?;
        let (place, history) = found.next()?;
        let is_same = *place == known.place && history.is_still(known);
        (found.next().is_none() && is_same).then(|| known.clone())
    };
    let unchanged: Vec<Option<Object>> = claims.iter().zip(&places_of).map(unchanged).collect();
    let changed = places_of.iter().zip(&unchanged).filter(|(_, known)| known.is_none());
    let changed: BTreeSet<Place> = changed.flat_map(|(places, _)| *places).collect();
    let reads = changed.into_iter().filter_map(|place| Some((place, existing.get(&place)?)));
    let reads = reads.map(|(place, history)| async move {
        let key = place.key(expected.prefix);
        let stored = read(client, bucket, &key, history).await?;
        anyhow::Ok(stored.map(|stored| (place, history, LinesByClaim::parse(&key, &stored.content), stored)))
    });
    let objects: Vec<_> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;

    let found = |(packed, known): (&PackedClaim<'_>, Option<Object>)| {
        let copies = objects.iter().flatten().flat_map(|(place, history, lines, stored)| {
            let lines = lines.0.get(&packed.claim.claim_id).into_iter().flatten();
            lines.map(move |line| (*place, *history, line, stored))
        });
        let object = known.or_else(|| {
            copies.fold(None, |object: Option<Object>, (place, history, line, StoredObject { versions, .. })| {
                let is_as_sent = is_as_sent(line, packed.claim, packed.event, expected);
                Some(match object {
                    Some(other) => Object {
                        versions: other.versions + versions,
                        is_as_sent: other.is_as_sent && is_as_sent,
                        ..other
                    },
                    None => Object {
                        place,
                        versions: *versions,
                        is_as_sent,
                        version_id: history.latest_id().map(Box::from),
                    },
                })
            })
        });
        (packed.event, object)
    };
    Ok(claims.iter().zip(unchanged).map(found).collect())
}

/// Returns the places to look at for the line of a packed claim: its pack, its own pack, and a single object, where the
/// line must not be.
fn places(PackedClaim { claim, pack, .. }: &PackedClaim<'_>) -> [Place; 3] {
    [Place::Pack(pack.pack_id), Place::Pack(claim.claim_id), Place::Single(claim.claim_id)]
}

/// The lines of an object, by the ids of their claims.
struct LinesByClaim(HashMap<Uuid, Vec<Vec<u8>>>);

impl LinesByClaim {
    fn parse(key: &str, content: &[u8]) -> Self {
        let mut by_claim: HashMap<Uuid, Vec<Vec<u8>>> = HashMap::new();
        for line in lines(key, content) {
            if let Some(claim_id) = claim_id(&line) {
                by_claim.entry(claim_id).or_default().push(line);
            }
        }
        Self(by_claim)
    }
}

/// Returns the lines of an object, each with its newline. An object that does not decompress has no lines, so its claims
/// count as not archived.
pub(crate) fn lines(key: &str, content: &[u8]) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    if !is_pack(key) {
        text.extend_from_slice(content);
    } else if MultiGzDecoder::new(content).take(MAX_TEXT_BYTES).read_to_end(&mut text).is_err() {
        text.clear();
    }
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Returns the claim id in a line; `None` if it has none.
pub(crate) fn claim_id(line: &[u8]) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct OnlyId {
        claim_id: Uuid,
    }
    serde_json::from_slice(line).ok().map(|OnlyId { claim_id }| claim_id)
}

/// Returns true if the key is that of a pack's object.
pub(crate) fn is_pack(key: &str) -> bool {
    key.ends_with(".json.gz")
}
