//! S3: the `s3s` library implements the protocol, and a map holds the objects. One lock around the map makes
//! `If-None-Match` behave as on S3: exactly one of several concurrent writers wins. Every bucket is versioned. The
//! contents of many objects are in a temporary file, so a large lake needs little memory.

mod buckets;
mod contents;
mod operations;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::clock::Clock;
use crate::s3::buckets::{Buckets, Keys, StoredObject, Version};

/// All buckets of a region.
#[derive(Clone)]
pub struct DataLakes {
    buckets: Buckets,
    service: Arc<S3Service>,
}

impl DataLakes {
    /// Creates the service without buckets.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let buckets = Buckets::new(clock);
        let service = Arc::new(S3ServiceBuilder::new(buckets.clone()).build());
        Self { buckets, service }
    }

    /// Creates a bucket. Does nothing if it already exists.
    pub fn create_bucket(&self, name: &str) {
        self.buckets.lock().entry(name.to_owned()).or_default();
    }

    /// Returns the contents of all versions of each key in a bucket, the oldest version first. Delete markers are left
    /// out.
    ///
    /// # Panics
    /// Panics if the temporary file with the contents cannot be read.
    #[must_use]
    pub fn versions(&self, bucket: &str) -> BTreeMap<String, Vec<Bytes>> {
        let content = |version: &Version| {
            let place = &version.object.as_ref()?.place;
            Some(self.buckets.contents.read(place).expect("the contents can be read"))
        };
        let buckets = self.buckets.lock();
        let keys = buckets.get(bucket).into_iter().flatten();
        keys.map(|(key, versions)| (key.to_string(), versions.iter().filter_map(content).collect())).collect()
    }

    /// Returns the user metadata of a key's latest version, without the prefix `x-amz-meta-` in its names. Returns
    /// `None` if the key has no object.
    #[must_use]
    pub fn metadata(&self, bucket: &str, key: &str) -> Option<BTreeMap<String, String>> {
        let (_, _, object) = self.buckets.version(bucket, key, None).ok()?;
        Some(object.metadata.into_iter().flat_map(|metadata| *metadata).collect())
    }

    /// Returns the total size in bytes of all versions of all keys in all buckets.
    pub(crate) fn bytes(&self) -> u64 {
        let buckets = self.buckets.lock();
        let objects = buckets.values().flat_map(Keys::values).flatten().filter_map(|version| version.object.as_ref());
        objects.map(StoredObject::bytes).sum()
    }

    pub(crate) async fn answer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let mut request = request.map(s3s::Body::from);
        // s3s answers 501 to a signed request, because it has no credentials to verify the signature with.
        request.headers_mut().remove(http::header::AUTHORIZATION);
        let response = self.service.call(request).await.map_err(|error| format!("{error:?}"))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}
