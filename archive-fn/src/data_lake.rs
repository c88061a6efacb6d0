//! The one request that this function makes: the conditional write of an object.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime::client::retries::classifiers::HttpStatusCodeClassifier;

/// `ConditionalRequestConflict`: another write or delete of the key was under way. Nothing says that it was written.
const CONFLICT: u16 = 409;

/// `PreconditionFailed`: the key has an object. This alone means "already there".
const PRECONDITION_FAILED: u16 = 412;

/// The bucket of the data lake.
pub struct DataLake {
    client: Client,
    bucket: String,
}

/// How a conditional write ended; in both cases the object is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// By this request.
    Written,
    /// By an earlier one.
    AlreadyThere,
}

/// It is not known whether the object is there.
#[derive(Debug, thiserror::Error)]
#[error("writing s3://{bucket}/{key} failed")]
pub struct DataLakeError {
    bucket: String,
    pub(crate) key: String,
    source: Box<SdkError<PutObjectError>>,
}

impl DataLake {
    /// Of this name. `config` is the client's, to which a retry of 409 is added: the SDK by itself gives up on it.
    #[must_use]
    pub fn new(config: Builder, bucket: &str) -> Self {
        let conflict = HttpStatusCodeClassifier::new_from_codes(&[CONFLICT]);
        Self { client: Client::from_conf(config.retry_classifier(conflict).build()), bucket: bucket.to_owned() }
    }

    /// Creates an object, unless the key has one.
    ///
    /// # Errors
    /// When it is not known whether the key has an object.
    pub async fn put(&self, key: &str, content: Vec<u8>) -> Result<PutOutcome, DataLakeError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            // Makes the write conditional: S3 answers 412 if the key has an object.
            .if_none_match("*")
            .content_type("application/json")
            .body(ByteStream::from(content));
        // Boxed: the SDK's future is 19 KB, and each caller's would be as large.
        let Err(error) = Box::pin(request.send()).await else { return Ok(PutOutcome::Written) };
        match error.raw_response().map(|response| response.status().as_u16()) {
            Some(PRECONDITION_FAILED) => Ok(PutOutcome::AlreadyThere),
            _ => Err(DataLakeError { bucket: self.bucket.clone(), key: key.to_owned(), source: Box::new(error) }),
        }
    }
}
