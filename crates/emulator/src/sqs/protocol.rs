//! The SQS wire format: the AWS JSON protocol, for the operations that the pipeline and its tools use.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::checksum::md5_hex;
use crate::region::ACCOUNT;
use crate::sqs::attributes::{self, AttributeValue, MessageAttribute};
use crate::sqs::error::{SqsError, invalid};
use crate::sqs::names::{queue_arn, queue_url};
use crate::sqs::queue::{OutgoingMessage, Received};
use crate::sqs::{MAX_MESSAGE_BYTES, Sqs};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneQueue {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl {
    queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    message_body: String,
    message_attributes: Option<Value>,
    message_system_attributes: Option<Value>,
    delay_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    #[serde(default = "default_max_messages")]
    max_number_of_messages: usize,
    wait_time_seconds: Option<u64>,
    visibility_timeout: Option<u64>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    /// The former name of `MessageSystemAttributeNames`.
    #[serde(default)]
    attribute_names: Vec<String>,
}

fn default_max_messages() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handle {
    receipt_handle: String,
    visibility_timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entries {
    entries: Vec<Value>,
}

/// The only system attribute that a producer can send.
const TRACE_HEADER: &str = "AWSTraceHeader";

/// The supported operations on one queue.
const QUEUE_OPERATIONS: [&str; 7] = [
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
];

/// Answers one request. Returns the HTTP status and the body.
pub(crate) async fn answer(sqs: &Sqs, operation: &str, request: &Request<Bytes>) -> (u16, Vec<u8>) {
    // A client that connected over a socket gets queue URLs with the same host, so that its next requests come back to
    // this server.
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let answer = match serde_json::from_slice::<Value>(request.body()) {
        Ok(request) => dispatch(sqs, operation, &request, host).await,
        Err(error) => Err(invalid("SerializationException", &error.to_string())),
    };
    match answer {
        Ok(answer) => (200, answer.to_string().into_bytes()),
        Err(SqsError { code, message }) => {
            (400, json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }).to_string().into_bytes())
        }
    }
}

async fn dispatch(sqs: &Sqs, operation: &str, request: &Value, host: Option<&str>) -> Result<Value, SqsError> {
    let url = |name: &str| host.map_or_else(|| queue_url(name), |host| format!("http://{host}/{ACCOUNT}/{name}"));
    match operation {
        "GetQueueUrl" => {
            let GetQueueUrl { queue_name } = parse(request)?;
            sqs.settings(&queue_name)?;
            return Ok(json!({ "QueueUrl": url(&queue_name) }));
        }
        "ListQueues" => {
            let ListQueues { queue_name_prefix } = parse(request)?;
            let names = sqs.queue_names().into_iter().filter(|name| name.starts_with(&queue_name_prefix));
            return Ok(json!({ "QueueUrls": names.map(|name| url(&name)).collect::<Vec<_>>() }));
        }
        _ if !QUEUE_OPERATIONS.contains(&operation) => return Err(unsupported(operation)),
        _ => {}
    }
    let OneQueue { queue_url } = parse(request)?;
    let queue = queue_url.rsplit('/').next().unwrap_or_default();
    match operation {
        "SendMessage" => send(sqs, queue, request),
        "SendMessageBatch" => {
            let Entries { entries } = parse(request)?;
            if entries.iter().map(message_size).sum::<usize>() > MAX_MESSAGE_BYTES {
                let message = format!("Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes.");
                return Err(invalid("BatchRequestTooLong", &message));
            }
            apply_batch(&entries, |entry| send(sqs, queue, entry))
        }
        "ReceiveMessage" => {
            let request: Receive = parse(request)?;
            let wait = parse_seconds("WaitTimeSeconds", request.wait_time_seconds.unwrap_or(0), 20)?;
            let visibility_timeout = request.visibility_timeout.map(parse_visibility_timeout).transpose()?;
            let messages = sqs.receive(queue, request.max_number_of_messages, wait, visibility_timeout).await?;
            let system = [request.message_system_attribute_names, request.attribute_names].concat();
            let own = request.message_attribute_names;
            let messages: Vec<_> = messages.iter().map(|received| message_json(received, &system, &own)).collect();
            Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
        }
        "DeleteMessage" => delete(sqs, queue, request),
        "DeleteMessageBatch" => {
            let Entries { entries } = parse(request)?;
            apply_batch(&entries, |entry| delete(sqs, queue, entry))
        }
        "ChangeMessageVisibility" => {
            let Handle { receipt_handle, visibility_timeout } = parse(request)?;
            let missing = || invalid("MissingParameter", "The request must contain the parameter VisibilityTimeout.");
            let visibility_timeout = parse_visibility_timeout(visibility_timeout.ok_or_else(missing)?)?;
            sqs.change_visibility(queue, &receipt_handle, visibility_timeout)?;
            Ok(json!({}))
        }
        "GetQueueAttributes" => queue_attributes(sqs, queue),
        _ => Err(unsupported(operation)),
    }
}

fn unsupported(feature: &str) -> SqsError {
    invalid("UnsupportedOperation", &format!("the emulator does not support {feature}"))
}

fn parse<T: DeserializeOwned>(request: &Value) -> Result<T, SqsError> {
    T::deserialize(request).map_err(|error| invalid("MissingParameter", &error.to_string()))
}

fn parse_seconds(parameter: &str, seconds: u64, maximum: u64) -> Result<Duration, SqsError> {
    if seconds > maximum {
        let message =
            format!("Value {seconds} for parameter {parameter} is invalid. Reason: Must be from 0 to {maximum}.");
        return Err(invalid("InvalidParameterValue", &message));
    }
    Ok(Duration::from_secs(seconds))
}

/// Parses a visibility timeout, which is at most twelve hours.
fn parse_visibility_timeout(seconds: u64) -> Result<Duration, SqsError> {
    parse_seconds("VisibilityTimeout", seconds, 43_200)
}

fn send(sqs: &Sqs, queue: &str, request: &Value) -> Result<Value, SqsError> {
    let Send { message_body, message_attributes, message_system_attributes, delay_seconds } = parse(request)?;
    if delay_seconds.unwrap_or(0) > 0 {
        return Err(unsupported("DelaySeconds above 0"));
    }
    let attributes = attributes::parse(message_attributes.as_ref())?;
    let system_attributes = attributes::parse(message_system_attributes.as_ref())?;
    let mut answer = json!({ "MD5OfMessageBody": md5_hex(&message_body) });
    let digests = [
        ("MD5OfMessageAttributes", attributes::md5(&attributes)),
        ("MD5OfMessageSystemAttributes", attributes::md5(&system_attributes)),
    ];
    for (name, digest) in digests {
        if let Some(digest) = digest {
            answer[name] = digest.into();
        }
    }
    let mut trace_header = None;
    for (name, MessageAttribute { data_type, value }) in system_attributes {
        match (name.as_str(), data_type.as_str(), value) {
            (TRACE_HEADER, "String", AttributeValue::Text(text)) => trace_header = Some(text),
            _ => {
                let message = format!("The system attribute {name:?} must be {TRACE_HEADER} and a String.");
                return Err(invalid("InvalidParameterValue", &message));
            }
        }
    }
    let id = sqs.send_message(queue, OutgoingMessage { body: message_body, attributes, trace_header })?;
    answer["MessageId"] = id.into();
    Ok(answer)
}

/// Returns the size in bytes of the message in a request or batch entry, as SQS counts it for its limits: the body, and
/// the names, types and values of the attributes.
pub(crate) fn message_size(message: &Value) -> usize {
    let body = message["MessageBody"].as_str().map_or(0, str::len);
    // Attributes that cannot be parsed count as empty here. The send itself refuses their message later.
    body + attributes::parse(message.get("MessageAttributes")).map_or(0, |attributes| attributes::size(&attributes))
}

fn delete(sqs: &Sqs, queue: &str, request: &Value) -> Result<Value, SqsError> {
    let Handle { receipt_handle, .. } = parse(request)?;
    sqs.delete(queue, &receipt_handle).map(|()| json!({}))
}

/// Applies an operation to each entry of a batch. Each entry succeeds or fails on its own.
fn apply_batch(entries: &[Value], apply: impl Fn(&Value) -> Result<Value, SqsError>) -> Result<Value, SqsError> {
    if entries.is_empty() {
        return Err(invalid("EmptyBatchRequest", "There should be at least one entry in the request."));
    }
    if entries.len() > 10 {
        return Err(invalid("TooManyEntriesInBatchRequest", "The maximum number of entries per request is 10."));
    }
    for entry in entries {
        let missing = || invalid("MissingParameter", "Each batch entry must contain the parameter Id.");
        let id = entry["Id"].as_str().ok_or_else(missing)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=80).contains(&id.len()) || !id.bytes().all(is_allowed) {
            let message = "A batch entry id is 1 to 80 alphanumeric characters, hyphens and underscores.";
            return Err(invalid("InvalidBatchEntryId", message));
        }
    }
    let ids: std::collections::HashSet<_> = entries.iter().map(|entry| entry["Id"].as_str()).collect();
    if ids.len() != entries.len() {
        return Err(invalid("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id."));
    }
    let mut successful = Vec::new();
    let mut failed = Vec::new();
    for entry in entries {
        match apply(entry) {
            Ok(mut result) => {
                result["Id"] = entry["Id"].clone();
                successful.push(result);
            }
            Err(SqsError { code, message }) => {
                failed.push(json!({ "Id": entry["Id"], "SenderFault": true, "Code": code, "Message": message }));
            }
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

/// Returns a message's JSON, with the system attributes and the message attributes that the client requested.
fn message_json(received: &Received, requested_system: &[String], requested: &[String]) -> Value {
    let system_attributes = [
        (TRACE_HEADER, received.trace_header.clone()),
        ("ApproximateReceiveCount", Some(received.receive_count.to_string())),
        ("SentTimestamp", Some(received.sent_ms.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(received.first_received_ms.to_string())),
    ];
    let is_requested = |name: &str| requested_system.iter().any(|requested| requested == name || requested == "All");
    let system_attributes: serde_json::Map<_, _> = system_attributes
        .into_iter()
        .filter(|(name, _)| is_requested(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    let mut message = json!({
        "MessageId": received.message_id,
        "ReceiptHandle": received.receipt_handle,
        "Body": received.body,
        "MD5OfBody": received.body_md5,
    });
    if !system_attributes.is_empty() {
        message["Attributes"] = system_attributes.into();
    }
    let attributes = attributes::select(&received.attributes, requested);
    if let Some(digest) = attributes::md5(&attributes) {
        message["MessageAttributes"] = attributes::to_wire(&attributes);
        message["MD5OfMessageAttributes"] = digest.into();
    }
    message
}

fn queue_attributes(sqs: &Sqs, queue: &str) -> Result<Value, SqsError> {
    let counts = sqs.counts(queue)?;
    let settings = sqs.settings(queue)?;
    let mut attributes = json!({
        "QueueArn": queue_arn(queue),
        "ApproximateNumberOfMessages": counts.visible.to_string(),
        "ApproximateNumberOfMessagesNotVisible": counts.in_flight.to_string(),
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": settings.visibility_timeout.as_secs().to_string(),
        "MessageRetentionPeriod": settings.retention.as_secs().to_string(),
        "MaximumMessageSize": MAX_MESSAGE_BYTES.to_string(),
    });
    if let Some(redrive) = settings.redrive {
        let policy = json!({
            "deadLetterTargetArn": queue_arn(&redrive.dead_letter_queue),
            "maxReceiveCount": redrive.max_receive_count,
        });
        attributes["RedrivePolicy"] = policy.to_string().into();
    }
    Ok(json!({ "Attributes": attributes }))
}
