//! Builds and rewrites answers in the formats of the services.

use bytes::Bytes;
use http::Response;
use serde_json::json;

use crate::call::Service;

pub(crate) fn json_response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(body.into()).expect("the status is a valid HTTP status")
}

pub(crate) fn without_item(response: &Response<Bytes>) -> Response<Bytes> {
    let mut body: serde_json::Value = serde_json::from_slice(response.body()).expect("the table answers with JSON");
    body.as_object_mut().map(|answer| answer.remove("Item"));
    json_response(response.status().as_u16(), body.to_string())
}

/// Removes the error code from an error response, in JSON or in the XML of S3. Returns other responses unchanged.
pub(crate) fn without_code(response: Response<Bytes>) -> Response<Bytes> {
    if response.status().is_success() {
        return response;
    }
    response.map(|body| match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(mut error) => {
            error.as_object_mut().map(|error| error.remove("__type"));
            error.to_string().into()
        }
        Err(_) => Bytes::from_static(b"<Error><Message>injected</Message></Error>"),
    })
}

pub(crate) fn throttled(service: Service) -> Response<Bytes> {
    let code = match service {
        Service::S3 => return s3_error(503, "SlowDown"),
        Service::Sqs => "com.amazonaws.sqs#RequestThrottled",
        Service::DynamoDb => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        Service::Logs => "ThrottlingException",
    };
    json_response(400, json!({ "__type": code, "message": "slow down" }).to_string())
}

pub(crate) fn refused(service: Service, status: u16) -> Response<Bytes> {
    match (service, status) {
        (Service::S3, 403) => s3_error(403, "AccessDenied"),
        (Service::S3, 409) => s3_error(409, "ConditionalRequestConflict"),
        (Service::S3, 503) => s3_error(503, "ServiceUnavailable"),
        (Service::S3, _) => s3_error(status, "InternalError"),
        (_, 400..500) => {
            json_response(status, json!({ "__type": "AccessDeniedException", "message": "access denied" }).to_string())
        }
        _ => json_response(status, json!({ "__type": "InternalServerError", "message": "try again" }).to_string()),
    }
}

fn s3_error(status: u16, code: &str) -> Response<Bytes> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    Response::builder().status(status).body(body.into()).expect("the status is a valid HTTP status")
}

pub(crate) fn empty_response(status: u16) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::new()).expect("the status is a valid HTTP status")
}
