//! All buckets with all versions of their objects, under one lock.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::dto::{ETag, Metadata};
use s3s::{S3Result, s3_error};

use crate::checksum::hex;
use crate::clock::Clock;
use crate::s3::contents::Contents;

/// All buckets: the keys of each bucket and the versions of each key, the oldest version first.
#[derive(Clone)]
pub(crate) struct Buckets {
    pub(crate) clock: Clock,
    pub(crate) contents: Contents,
    state: Arc<Mutex<BTreeMap<String, Keys>>>,
}

pub(crate) type Keys = BTreeMap<Box<str>, Vec<Version>>;

/// A version of a key. A long run has millions, so the id is computed from the version's number.
#[derive(Clone)]
pub(crate) struct Version {
    /// The version's object, or `None` if the version is a delete marker.
    pub(crate) object: Option<StoredObject>,
    pub(crate) written_at: SystemTime,
}

#[derive(Clone)]
pub(crate) struct StoredObject {
    /// The place of the content in [`Buckets::contents`].
    pub(crate) place: Range<u64>,
    pub(crate) md5: [u8; 16],
    /// The user metadata, without the prefix `x-amz-meta-` in its names.
    pub(crate) metadata: Option<Box<Metadata>>,
}

impl StoredObject {
    pub(crate) fn bytes(&self) -> u64 {
        self.place.end - self.place.start
    }

    pub(crate) fn etag(&self) -> ETag {
        ETag::Strong(hex(&self.md5))
    }
}

impl Buckets {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, contents: Contents::new(), state: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Keys>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the id, the time and the object of a version of a key: the version with the given id, or the latest if
    /// `id` is `None`.
    pub(crate) fn version(
        &self,
        bucket: &str,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<(String, SystemTime, StoredObject)> {
        let buckets = self.lock();
        let versions = buckets.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?.get(key);
        let versions = versions.ok_or_else(|| s3_error!(NoSuchKey))?;
        let index = match id {
            None => versions.len().checked_sub(1),
            Some(id) => index_of(versions, id),
        };
        let index = index.ok_or_else(|| s3_error!(NoSuchVersion))?;
        let Version { object, written_at } = versions[index].clone();
        Ok((version_id(index), written_at, object.ok_or_else(|| s3_error!(NoSuchKey))?))
    }
}

/// Returns the latest version of a key and its object, or `None` if the key has no version or the latest is a delete
/// marker.
pub(crate) fn current(versions: &[Version]) -> Option<(&Version, &StoredObject)> {
    let latest = versions.last()?;
    Some((latest, latest.object.as_ref()?))
}

/// Adds a version to a key and returns the version's id.
pub(crate) fn add_version(
    keys: &mut Keys,
    key: String,
    object: Option<StoredObject>,
    written_at: SystemTime,
) -> String {
    // Nearly all keys have one version. An empty vector would allocate space for four.
    let versions = keys.entry(key.into()).or_insert_with(|| Vec::with_capacity(1));
    versions.push(Version { object, written_at });
    version_id(versions.len() - 1)
}

/// Returns the id of the version with the given index in its key's versions. No version is ever removed, so the id does
/// not change.
fn version_id(index: usize) -> String {
    format!("version-{}", index + 1)
}

fn index_of(versions: &[Version], id: &str) -> Option<usize> {
    let number: usize = id.strip_prefix("version-")?.parse().ok()?;
    (1..=versions.len()).contains(&number).then(|| number - 1)
}

pub(crate) fn keys_under<'a>(
    keys: &'a Keys,
    prefix: &str,
    after: Option<&str>,
) -> impl Iterator<Item = (&'a str, &'a [Version])> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let from_there = keys.range::<str, _>((from, Bound::Unbounded));
    from_there.map(|(key, versions)| (&**key, &**versions)).take_while(move |(key, _)| key.starts_with(prefix))
}

/// Returns the versions of the keys under a prefix, each with its key, its id and a flag that marks the key's latest version.
/// Keys are in ascending order, and each key's latest version comes first. Skips everything up to and including the
/// given key, or up to and including the given version of that key.
pub(crate) fn versions_under<'a>(
    keys: &'a Keys,
    prefix: &'a str,
    (after_key, after_version): (Option<&'a str>, Option<&'a str>),
) -> impl Iterator<Item = (&'a str, String, &'a Version, bool)> {
    let begun = after_key.and_then(|key| keys.get_key_value(key)).filter(|(key, _)| key.starts_with(prefix));
    let rest_of_key = begun.into_iter().flat_map(move |(key, versions)| {
        let listed_to = after_version.and_then(|id| index_of(versions, id)).unwrap_or(0);
        versions[..listed_to]
            .iter()
            .enumerate()
            .rev()
            .map(|(index, version)| (&**key, version_id(index), version, false))
    });
    let next_keys = keys_under(keys, prefix, after_key).flat_map(|(key, versions)| {
        let versions_of_key = versions.iter().enumerate().rev();
        versions_of_key.map(move |(index, version)| (key, version_id(index), version, index + 1 == versions.len()))
    });
    rest_of_key.chain(next_keys)
}
