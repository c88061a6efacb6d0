//! All buckets with all versions of their objects, under one lock.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use s3s::dto::{ETag, Metadata};
use s3s::{S3Result, s3_error};

use crate::clock::Clock;

/// All buckets: the keys of each bucket and the versions of each key, the oldest version first.
#[derive(Clone)]
pub(crate) struct Buckets {
    pub(crate) clock: Clock,
    state: Arc<Mutex<BTreeMap<String, Keys>>>,
}

pub(crate) type Keys = BTreeMap<String, Vec<Version>>;

#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// The version's content, or `None` if the version is a delete marker.
    pub(crate) object: Option<Content>,
    pub(crate) written_at: SystemTime,
}

#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(crate) etag: ETag,
    /// The user metadata, without the prefix `x-amz-meta-` in its names.
    pub(crate) metadata: Option<Metadata>,
}

impl Buckets {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Keys>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a version of a key and its content: the version with the given id, or the latest if `id` is `None`.
    pub(crate) fn version(&self, bucket: &str, key: &str, id: Option<&str>) -> S3Result<(Version, Content)> {
        let buckets = self.lock();
        let versions = buckets.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?.get(key);
        let versions = versions.ok_or_else(|| s3_error!(NoSuchKey))?;
        let version = match id {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        };
        let version = version.ok_or_else(|| s3_error!(NoSuchVersion))?.clone();
        let content = version.object.clone().ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok((version, content))
    }
}

/// Returns a key's latest version and its content, or `None` if the key has no version or the latest is a delete
/// marker.
pub(crate) fn current(versions: &[Version]) -> Option<(&Version, &Content)> {
    let latest = versions.last()?;
    Some((latest, latest.object.as_ref()?))
}

/// Adds a version to a key and returns the version's id.
pub(crate) fn add_version(versions: &mut Vec<Version>, object: Option<Content>, written_at: SystemTime) -> String {
    let id = format!("version-{}", versions.len() + 1);
    versions.push(Version { id: id.clone(), object, written_at });
    id
}

pub(crate) fn keys_under<'a>(
    keys: &'a Keys,
    prefix: &str,
    after: Option<&str>,
) -> impl Iterator<Item = (&'a String, &'a Vec<Version>)> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    keys.range::<str, _>((from, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
}

/// Returns the versions of the keys under a prefix, each with its key and a flag that marks the key's latest version.
/// Keys are in ascending order, and each key's latest version comes first. Skips everything up to and including the
/// given key, or up to and including the given version of that key.
pub(crate) fn versions_under<'a>(
    keys: &'a Keys,
    prefix: &'a str,
    (after_key, after_version): (Option<&'a str>, Option<&'a str>),
) -> impl Iterator<Item = (&'a String, &'a Version, bool)> {
    let begun = after_key.and_then(|key| keys.get_key_value(key)).filter(|(key, _)| key.starts_with(prefix));
    let rest_of_key = begun.into_iter().flat_map(move |(key, versions)| {
        let listed_to = versions.iter().position(|version| Some(version.id.as_str()) == after_version);
        versions[..listed_to.unwrap_or(0)].iter().rev().map(move |version| (key, version, false))
    });
    let next_keys = keys_under(keys, prefix, after_key).flat_map(|(key, versions)| {
        versions.iter().rev().enumerate().map(move |(age, version)| (key, version, age == 0))
    });
    rest_of_key.chain(next_keys)
}
