//! Compares the objects of the lake with claims and packs, one partition at a time.

use std::error::Error;
use std::iter::Peekable;
use std::vec;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use uuid::Uuid;

use super::outcome::ReplayError;
use super::settings::ReplaySettings;
use super::worklist::{ClaimRef, PackItem};

/// Folder under the prefix for markers of layouts that this version does not know. Single objects and packs have no
/// marker. A later version that moves lines to other objects must put a marker first. Otherwise, this version would write
/// the missing objects again. Lake engines ignore folders that begin with `_`.
const LAYOUTS: &str = "_layout/";

/// A failed read of an object. It is unknown whether the object exists.
#[derive(Debug, thiserror::Error)]
#[error("failed to read s3://{bucket}/{key}")]
pub(super) struct ReadObjectError {
    bucket: String,
    key: String,
    source: Box<dyn Error + Send + Sync>,
}

/// Lists and reads the objects of the lake.
pub(super) struct LakeListing {
    client: Client,
    bucket: String,
    prefix: String,
}

impl LakeListing {
    pub(super) fn new(sdk: &SdkConfig, settings: &ReplaySettings) -> Self {
        Self { client: Client::new(sdk), bucket: settings.bucket.clone(), prefix: settings.object_prefix.to_string() }
    }

    /// Returns true if the prefix has no archived objects. Quarantined records do not count.
    pub(super) async fn is_new(&self) -> Result<bool, ReplayError> {
        Ok(self.first_key(format!("{}dt=", self.prefix)).await?.is_none())
    }

    /// Returns the key of a marker for a layout of the lake, if there is one. A version that lays out the lake in a way that
    /// this version does not know puts such a marker, see [`LAYOUTS`].
    pub(super) async fn layout_marker(&self) -> Result<Option<String>, ReplayError> {
        self.first_key(format!("{}{LAYOUTS}", self.prefix)).await
    }

    /// Returns true if the lake has an object with this key.
    pub(super) async fn has(&self, key: &str) -> Result<bool, ReplayError> {
        Ok(self.first_key(key.to_owned()).await?.as_deref() == Some(key))
    }

    async fn first_key(&self, prefix: String) -> Result<Option<String>, ReplayError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let answer = Box::pin(request.max_keys(1).send()).await.map_err(|error| self.list_error(error))?;
        Ok(answer.contents().first().and_then(|object| object.key()).map(str::to_owned))
    }

    /// Returns the content of an object; `None` if the lake has no object with this key.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ReadObjectError> {
        let failed = |source| ReadObjectError { bucket: self.bucket.clone(), key: key.to_owned(), source };
        match Box::pin(self.client.get_object().bucket(&self.bucket).key(key).send()).await {
            Ok(answer) => Ok(Some(answer.body.collect().await.map_err(|error| failed(Box::new(error)))?.to_vec())),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
            Err(error) => Err(failed(Box::new(error))),
        }
    }

    /// Returns the claims and packs of a partition that have no object. Both lists and the results are sorted by id. S3 lists
    /// keys in UTF-8 order. For lower-case UUIDs, this is the order of the ids, so one pass over the listing and the
    /// lists is enough.
    pub(super) async fn without_object(
        &self,
        partition: &str,
        claims: Vec<ClaimRef>,
        packs: Vec<PackItem>,
    ) -> Result<(Vec<ClaimRef>, Vec<PackItem>), ReplayError> {
        let folder = format!("{}{partition}/", self.prefix);
        let mut claims = Comparison::new(claims, |claim| claim.claim_id);
        let mut packs = Comparison::new(packs, |pack| pack.pack_id);
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&folder);
        let mut pages = request.into_paginator().send();
        while !(claims.is_complete() && packs.is_complete())
            && let Some(page) = pages.next().await
        {
            let page = page.map_err(|error| self.list_error(error))?;
            for name in page.contents().iter().filter_map(|object| object.key()?.strip_prefix(&folder)) {
                if let Some(claim_id) = parse_name(name, ".json") {
                    claims.add_object(claim_id);
                } else if let Some(pack_id) = parse_name(name, ".json.gz") {
                    packs.add_object(pack_id);
                }
            }
        }
        Ok((claims.finish(), packs.finish()))
    }

    fn list_error(&self, error: impl Error + Send + Sync + 'static) -> ReplayError {
        ReplayError::Bucket { bucket: self.bucket.clone(), source: Box::new(error) }
    }
}

/// Parses the id from the name of an object. Returns `None` for a name that `archive-fn` never writes.
fn parse_name(name: &str, suffix: &str) -> Option<Uuid> {
    let name = name.strip_suffix(suffix)?;
    Uuid::try_parse(name).ok().filter(|id| id.to_string() == name)
}

/// Compares a sorted list with the ids of objects in the same order.
struct Comparison<T> {
    waiting: Peekable<vec::IntoIter<T>>,
    id: fn(&T) -> Uuid,
    without_object: Vec<T>,
}

impl<T> Comparison<T> {
    fn new(sorted: Vec<T>, id: fn(&T) -> Uuid) -> Self {
        Self { waiting: sorted.into_iter().peekable(), id, without_object: Vec::new() }
    }

    fn is_complete(&mut self) -> bool {
        self.waiting.peek().is_none()
    }

    fn add_object(&mut self, id: Uuid) {
        while let Some(missing) = self.waiting.next_if(|waiting| (self.id)(waiting) < id) {
            self.without_object.push(missing);
        }
        while self.waiting.next_if(|waiting| (self.id)(waiting) == id).is_some() {}
    }

    fn finish(mut self) -> Vec<T> {
        self.without_object.extend(self.waiting);
        self.without_object
    }
}
