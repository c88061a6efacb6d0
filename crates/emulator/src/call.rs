//! Finds out which service and operation a request is for.

use bytes::Bytes;
use http::Request;

/// An emulated service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// SQS: the queues.
    Sqs,
    /// DynamoDB: the table of claims and its stream.
    DynamoDb,
    /// S3: the data lake.
    S3,
    /// CloudWatch Logs: the functions' logs.
    Logs,
}

/// A client's request to a service.
pub struct Call<'a> {
    /// The service that the request is for.
    pub service: Service,
    /// The operation's name, such as `PutItem`; for S3, the HTTP method and path.
    pub operation: String,
    /// The HTTP request that the client sent.
    pub request: &'a Request<Bytes>,
}

impl<'a> Call<'a> {
    /// Determines a request's service and operation. In the JSON protocols, the header `x-amz-target` names both. A
    /// request without this header is for S3.
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
