//! A request on its way to a service.

use bytes::Bytes;
use http::Request;

/// An embedded service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Queues.
    Sqs,
    /// The table.
    DynamoDb,
    /// The data lake.
    S3,
    /// The functions' logs.
    Logs,
}

/// A request on its way to a service.
pub struct Call<'a> {
    /// Where it goes.
    pub service: Service,
    /// `PutItem`; for S3 the method and path.
    pub operation: String,
    /// As the SDK made it.
    pub request: &'a Request<Bytes>,
}

impl<'a> Call<'a> {
    /// Reads a request's service and operation by the AWS protocols: JSON services name both in a header, and what is left is
    /// S3.
    pub(crate) fn new(request: &'a Request<Bytes>) -> Self {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let (service, operation) = match target.and_then(|target| target.rsplit_once('.')) {
            Some(("AmazonSQS", operation)) => (Service::Sqs, operation.to_owned()),
            Some(("Logs_20140328", operation)) => (Service::Logs, operation.to_owned()),
            Some((_, operation)) => (Service::DynamoDb, operation.to_owned()),
            None => (Service::S3, format!("{} {}", request.method(), request.uri().path())),
        };
        Self { service, operation, request }
    }
}
