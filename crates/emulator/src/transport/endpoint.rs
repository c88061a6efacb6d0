//! All emulated services behind one loopback address, for the AWS CLI, boto3 and every other client that supports
//! `AWS_ENDPOINT_URL`. The endpoint does not verify signatures.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::services::Services;
use crate::transport::response::json_response;
use crate::transport::server::serve;

/// Names of the emulated services in request signatures.
const EMULATED: [&str; 4] = ["sqs", "dynamodb", "s3", "logs"];

/// Serves the emulated services on a free port of 127.0.0.1 until the runtime ends. Returns the address for
/// `AWS_ENDPOINT_URL`.
///
/// # Errors
/// Fails if it cannot bind a port.
pub async fn serve_aws(services: Arc<Services>) -> std::io::Result<SocketAddr> {
    serve_aws_on(0, services).await
}

/// Serves the emulated services on a port of 127.0.0.1 until the runtime ends. Port 0 selects a free port. Returns the
/// address for `AWS_ENDPOINT_URL`.
///
/// # Errors
/// Fails if it cannot bind the port.
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
    // The signature's scope is the only place that names the service in all AWS protocols.
    match signed_service(&request) {
        Some(service) if !EMULATED.contains(&service) => unsupported_service(service, &request),
        _ => match decode_chunked(request) {
            // An injected broken connection becomes a 502, as a proxy would answer. In both cases, the client cannot
            // know whether the service executed the request.
            Some(request) => Arc::clone(services).faulty_answer(request).await.unwrap_or_else(|error| {
                let status = if error.is_io() { 502 } else { 400 };
                json_response(status, error.to_string())
            }),
            None => {
                json_response(400, "the body is not in the aws-chunked encoding that its headers announce".to_owned())
            }
        },
    }
}

/// Decodes a body in S3's `aws-chunked` encoding, which the CLI and boto3 use for files. Returns other requests
/// unchanged. Each chunk is a line `<hex size>[;signature]` and then the data. A chunk of size 0 ends the body, and a
/// checksum may follow. Returns `None` if the body is malformed. s3s does not do this here, because it decodes only
/// requests whose signature it verifies.
fn decode_chunked(request: Request<Bytes>) -> Option<Request<Bytes>> {
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

/// Returns the service in the signature's scope, `Credential=<key>/<day>/<region>/<service>/aws4_request`.
fn signed_service(request: &Request<Bytes>) -> Option<&str> {
    let header = request.headers().get(http::header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    header?.split_once("Credential=")?.1.split(['/', ',']).nth(3)
}

/// Returns the error for a service that the emulator does not support. The error uses the request's protocol, so that
/// the client shows its message.
fn unsupported_service(service: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let message = format!("the emulator does not support {service}, only SQS, DynamoDB, S3 and CloudWatch Logs");
    let content_type = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|content_type| content_type.starts_with("application/x-www-form-urlencoded")) {
        let error = format!("<Error><Code>NotImplemented</Code><Message>{message}</Message></Error>");
        return json_response(501, format!("<ErrorResponse>{error}</ErrorResponse>"));
    }
    json_response(501, json!({ "__type": "NotImplemented", "message": message }).to_string())
}
