//! The operations of the S3 API that the pipeline and its tools use.

use futures_util::TryStreamExt as _;
use s3s::dto::{
    Bucket, CommonPrefix, DeleteMarkerEntry, DeleteObjectInput, DeleteObjectOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsV2Input, ListObjectsV2Output, Object, ObjectVersion, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::checksum::md5;
use crate::region::REGION;
use crate::s3::buckets::{Buckets, StoredObject, add_version, current, keys_under, versions_under};

/// The maximum number of keys or versions in one page of a listing, from the API reference.
const MAX_KEYS: usize = 1_000;

/// The largest size of an object's user metadata in bytes, names and values together ("Working with object metadata" in
/// the user guide).
const MAX_METADATA_BYTES: usize = 2 * 1024;

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let metadata_bytes: usize = input.metadata.iter().flatten().map(|(name, value)| name.len() + value.len()).sum();
        if metadata_bytes > MAX_METADATA_BYTES {
            return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
        }
        let mut content = Vec::new();
        if let Some(mut body) = input.body {
            while let Some(chunk) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
                content.extend_from_slice(&chunk);
            }
        }
        let mut buckets = self.lock();
        let keys = buckets.get_mut(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let exists = keys.get(input.key.as_str()).is_some_and(|versions| current(versions).is_some());
        if input.if_none_match.is_some_and(|condition| condition.is_any()) && exists {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let place = self.contents.add(&content).map_err(S3Error::internal_error)?;
        let object = StoredObject { place, md5: md5(&content), metadata: input.metadata.map(Box::new) };
        let etag = Some(object.etag());
        let id = add_version(keys, input.key, Some(object), self.clock.now());
        let output = PutObjectOutput { e_tag: etag, version_id: Some(id), ..PutObjectOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, version_id, range, .. } = request.input;
        let (id, written_at, object) = self.version(&bucket, &key, version_id.as_deref())?;
        let bytes = self.contents.read(&object.place).map_err(S3Error::internal_error)?;
        let whole = bytes.len() as u64;
        let (bytes, content_range) = match range {
            None => (bytes, None),
            Some(range) => {
                let part = range.check(whole).map_err(|_| s3_error!(InvalidRange))?;
                let text = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
                let as_index = |position: u64| usize::try_from(position).map_err(|_| s3_error!(InvalidRange));
                (bytes.slice(as_index(part.start)?..as_index(part.end)?), Some(text))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            content_range,
            body: Some(StreamingBlob::from(s3s::Body::from(bytes))),
            e_tag: Some(object.etag()),
            metadata: object.metadata.map(|metadata| *metadata),
            version_id: Some(id),
            last_modified: Some(written_at.into()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, version_id, .. } = request.input;
        let (id, written_at, object) = self.version(&bucket, &key, version_id.as_deref())?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(object.bytes()).ok(),
            e_tag: Some(object.etag()),
            metadata: object.metadata.map(|metadata| *metadata),
            version_id: Some(id),
            last_modified: Some(written_at.into()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.lock().get(&request.input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..HeadBucketOutput::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.lock().get(&request.input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let location_constraint = Some(REGION.to_owned().into());
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let created = self.clock.started_at();
        let bucket = |name: &String| Bucket {
            name: Some(name.clone()),
            creation_date: Some(created.into()),
            ..Bucket::default()
        };
        let buckets = Some(self.lock().keys().map(bucket).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..ListBucketsOutput::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        if input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "The emulator does not support deleting a single version"));
        }
        let mut buckets = self.lock();
        let bucket = buckets.get_mut(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let id = add_version(bucket, input.key, None, self.clock.now());
        let output =
            DeleteObjectOutput { delete_marker: Some(true), version_id: Some(id), ..DeleteObjectOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let buckets = self.lock();
        let bucket = buckets.get(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let max = page_size(input.max_keys);
        let mut contents = Vec::new();
        let mut folders = Vec::new();
        // The last key or folder on the page. The next page begins after this key, or after all keys in this folder.
        let mut after = input.continuation_token.or(input.start_after);
        let mut more = false;
        loop {
            let in_folder = |key: &str| match (&after, delimiter) {
                (Some(after), Some(delimiter)) => after.ends_with(delimiter) && key.starts_with(after.as_str()),
                _ => false,
            };
            let mut keys = keys_under(bucket, &prefix, after.as_deref())
                .filter_map(|(key, versions)| Some((key, versions.last()?.written_at, current(versions)?.1)));
            let Some((key, written_at, object)) = keys.find(|(key, ..)| !in_folder(key)) else { break };
            drop(keys);
            if contents.len() + folders.len() == max {
                more = true;
                break;
            }
            let folder_ends = delimiter.and_then(|d| Some(prefix.len() + key[prefix.len()..].find(d)? + d.len()));
            if let Some(ends) = folder_ends {
                after = Some(key[..ends].to_owned());
                folders.push(CommonPrefix { prefix: after.clone() });
            } else {
                after = Some(key.to_owned());
                contents.push(Object {
                    key: after.clone(),
                    size: i64::try_from(object.bytes()).ok(),
                    e_tag: Some(object.etag()),
                    last_modified: Some(written_at.into()),
                    ..Object::default()
                });
            }
        }
        let output = ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + folders.len()).ok(),
            is_truncated: Some(more),
            next_continuation_token: after.filter(|_| more),
            contents: Some(contents),
            common_prefixes: Some(folders),
            delimiter: input.delimiter,
            max_keys: i32::try_from(max).ok(),
            name: Some(input.bucket),
            prefix: input.prefix,
            ..ListObjectsV2Output::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        let buckets = self.lock();
        let bucket = buckets.get(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = (input.key_marker.as_deref(), input.version_id_marker.as_deref());
        let max = page_size(input.max_keys);
        let mut entries = versions_under(bucket, &prefix, after);
        let mut listed = Vec::new();
        let mut markers = Vec::new();
        let mut last = None;
        for (key, id, version, is_latest) in entries.by_ref().take(max) {
            last = Some((key.to_owned(), id.clone()));
            let key = Some(key.to_owned());
            let version_id = Some(id);
            let is_latest = Some(is_latest);
            let last_modified = Some(version.written_at.into());
            match &version.object {
                Some(object) => listed.push(ObjectVersion {
                    key,
                    version_id,
                    is_latest,
                    last_modified,
                    size: i64::try_from(object.bytes()).ok(),
                    e_tag: Some(object.etag()),
                    ..ObjectVersion::default()
                }),
                None => markers.push(DeleteMarkerEntry {
                    key,
                    version_id,
                    is_latest,
                    last_modified,
                    ..DeleteMarkerEntry::default()
                }),
            }
        }
        let more = entries.next().is_some();
        let (next_key_marker, next_version_id_marker) = last.filter(|_| more).unzip();
        let output = ListObjectVersionsOutput {
            versions: Some(listed),
            delete_markers: Some(markers),
            is_truncated: Some(more),
            next_key_marker,
            next_version_id_marker,
            name: Some(input.bucket),
            prefix: input.prefix,
            ..ListObjectVersionsOutput::default()
        };
        Ok(S3Response::new(output))
    }
}

fn page_size(requested: Option<i32>) -> usize {
    requested.and_then(|keys| usize::try_from(keys).ok()).unwrap_or(MAX_KEYS).min(MAX_KEYS)
}
