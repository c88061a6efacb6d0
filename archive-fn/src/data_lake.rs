//! The conditional write of an object, which is the only request that this function sends.

use std::collections::HashMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime::client::retries::classifiers::HttpStatusCodeClassifier;
use claim::TraceId;

/// `ConditionalRequestConflict`: another write or delete of the key was in progress. The object may or may not exist.
const CONFLICT: u16 = 409;

/// `PreconditionFailed`: the key already has an object. Only this status means "already there".
const PRECONDITION_FAILED: u16 = 412;

/// The bucket of the data lake.
pub struct DataLake {
    client: Client,
    bucket: String,
}

/// The outcome of a conditional write. In both cases the object exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// This request created the object.
    Written,
    /// An earlier request created the object.
    AlreadyThere,
}

/// A failed write of an object. It is unknown whether the object exists.
#[derive(Debug, thiserror::Error)]
pub enum DataLakeError {
    /// The request failed or was throttled, or its answer was lost.
    #[error("failed to write s3://{bucket}/{key}")]
    Request {
        /// Name of the bucket.
        bucket: String,
        /// Key of the object.
        key: String,
        /// The SDK's error, boxed because it is large.
        source: Box<SdkError<PutObjectError>>,
    },
    /// The answer reports success, but lacks the `ETag` header, which S3 always sends. A proxy may have answered
    /// instead of S3.
    #[error("failed to write s3://{bucket}/{key}: the answer has no ETag")]
    NoETag {
        /// Name of the bucket.
        bucket: String,
        /// Key of the object.
        key: String,
    },
}

impl DataLakeError {
    /// Returns the key of the object.
    pub(crate) fn key(&self) -> &str {
        let (Self::Request { key, .. } | Self::NoETag { key, .. }) = self;
        key
    }
}

impl DataLake {
    /// Returns the lake in `bucket`. Its client is built from `config`. Unlike the SDK by default, the client retries a
    /// write that S3 answers with 409.
    #[must_use]
    pub fn new(config: Builder, bucket: &str) -> Self {
        let conflict = HttpStatusCodeClassifier::new_from_codes(&[CONFLICT]);
        Self { client: Client::from_conf(config.retry_classifier(conflict).build()), bucket: bucket.to_owned() }
    }

    /// Creates an object, unless the key already has one. The trace id becomes the object's metadata `trace-id`.
    ///
    /// # Errors
    /// Fails if it is unknown whether the key has an object.
    pub async fn put(
        &self,
        key: &str,
        content: Vec<u8>,
        trace_id: Option<&TraceId>,
    ) -> Result<PutOutcome, DataLakeError> {
        let metadata = trace_id.map(|id| HashMap::from([("trace-id".to_owned(), id.to_string())]));
        self.put_object(key, content, "application/json", metadata).await
    }

    /// Creates the object of a pack, unless the key already has one. The number of lines becomes the object's metadata
    /// `count`. The object has no `Content-Encoding`, so that clients return it as it is stored.
    ///
    /// # Errors
    /// Fails if it is unknown whether the key has an object.
    pub async fn put_pack(&self, key: &str, gzip: Vec<u8>, count: usize) -> Result<PutOutcome, DataLakeError> {
        let metadata = HashMap::from([("count".to_owned(), count.to_string())]);
        self.put_object(key, gzip, "application/gzip", Some(metadata)).await
    }

    async fn put_object(
        &self,
        key: &str,
        content: Vec<u8>,
        content_type: &str,
        metadata: Option<HashMap<String, String>>,
    ) -> Result<PutOutcome, DataLakeError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            // With this header, S3 answers 412 if the key already has an object.
            .if_none_match("*")
            .content_type(content_type)
            .set_metadata(metadata)
            .body(ByteStream::from(content));
        // Boxed because the SDK's future has 19 KB, which would be part of each caller's future.
        let answer = Box::pin(request.send()).await;
        let bucket = self.bucket.clone();
        let key = key.to_owned();
        match answer {
            Ok(answer) if answer.e_tag().is_some() => Ok(PutOutcome::Written),
            Ok(_) => Err(DataLakeError::NoETag { bucket, key }),
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(PRECONDITION_FAILED) => Ok(PutOutcome::AlreadyThere),
                _ => Err(DataLakeError::Request { bucket, key, source: Box::new(error) }),
            },
        }
    }
}
