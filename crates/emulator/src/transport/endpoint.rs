//! All embedded services behind one address of loopback, for the AWS CLI, boto3 and anything else that obeys
//! `AWS_ENDPOINT_URL`. Signatures are not checked.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::services::Services;
use crate::transport::response::json_response;
use crate::transport::server::serve;

/// As they are called in a signature's scope.
const EMBEDDED: [&str; 4] = ["sqs", "dynamodb", "s3", "logs"];

/// Serves embedded services on a free port of loopback, for `AWS_ENDPOINT_URL`. Signatures are not checked.
///
/// # Errors
/// When no port can be had.
pub async fn serve_aws(services: Arc<Services>) -> std::io::Result<SocketAddr> {
    serve_aws_on(0, services).await
}

/// Serves on a port of 127.0.0.1, or on a free one if it is 0, until the runtime ends.
///
/// # Errors
/// When the port cannot be had.
pub async fn serve_aws_on(port: u16, services: Arc<Services>) -> std::io::Result<SocketAddr> {
    let meter = services.meter.clone();
    serve(
        port,
        move || meter.connection(),
        move |request| {
            let services = Arc::clone(&services);
            async move { answer(&services, request).await }
        },
    )
    .await
}

async fn answer(services: &Arc<Services>, request: Request<Bytes>) -> Response<Bytes> {
    // A signature says which service it is for: the one thing that all of AWS's protocols have in common.
    match signed_for(&request) {
        Some(service) if !EMBEDDED.contains(&service) => not_embedded(service, &request),
        _ => match unchunked(request) {
            // What the in-process client sees as a broken connection is a 502 here, as from a proxy: not known either.
            Some(request) => Arc::clone(services).faulty_answer(request).await.unwrap_or_else(|error| {
                let status = if error.is_io() { 502 } else { 400 };
                json_response(status, error.to_string())
            }),
            None => json_response(400, "the body is not aws-chunked, as its headers say".to_owned()),
        },
    }
}

/// A body in S3's `aws-chunked` coding, which the CLI and boto3 use for files, without it: `<hex size>[;signature]`, line by line,
/// then the data; a size of 0 ends it, and a checksum may follow. s3s would decode it only where it checks signatures.
fn unchunked(request: Request<Bytes>) -> Option<Request<Bytes>> {
    let content_hash = request.headers().get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    if !content_hash.is_some_and(|hash| hash.starts_with("STREAMING-")) {
        return Some(request);
    }
    let (mut head, body) = request.into_parts();
    let mut rest = &body[..];
    let mut content = Vec::with_capacity(body.len());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            break;
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    for name in ["x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer", "content-encoding"] {
        head.headers.remove(name);
    }
    head.headers.insert(http::header::CONTENT_LENGTH, content.len().into());
    Some(Request::from_parts(head, content.into()))
}

/// `Credential=<key>/<day>/<region>/<service>/aws4_request`.
fn signed_for(request: &Request<Bytes>) -> Option<&str> {
    let header = request.headers().get(http::header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    header?.split_once("Credential=")?.1.split(['/', ',']).nth(3)
}

/// In the form of the protocol that was spoken, so that a client shows the text.
fn not_embedded(service: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let message = format!("{service} is not embedded: only SQS, DynamoDB, S3 and CloudWatch Logs are");
    let content_type = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|content_type| content_type.starts_with("application/x-www-form-urlencoded")) {
        let error = format!("<Error><Code>NotImplemented</Code><Message>{message}</Message></Error>");
        return json_response(501, format!("<ErrorResponse>{error}</ErrorResponse>"));
    }
    json_response(501, json!({ "__type": "NotImplemented", "message": message }).to_string())
}
