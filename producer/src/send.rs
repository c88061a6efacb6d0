//! Sends a plan's messages to the queue and records the outcome of each one.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::{StreamExt as _, stream};
use ops::command_line::error_line;
use tokio::time::Instant;

use crate::events::{Attribute, Plan};
use crate::message_id::MessageId;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;

/// If there is a rate, a request carries at most the messages of one second divided by this number. Without this limit,
/// ten messages per second would be sent as one batch of ten each second.
const BURSTS_PER_SECOND: u32 = 10;

/// Error codes of `SendMessage` that concern the message itself, for example its size or a character outside XML 1.0.
///
/// SQS refuses such a message on every attempt, so no earlier attempt of the SDK can have delivered it. After any other
/// error, an earlier attempt may have delivered the message. A batch needs no such list, because its response says
/// for each message whether the sender is at fault.
const REFUSALS: [&str; 3] = ["InvalidMessageContents", "InvalidParameterValue", "MissingParameter"];

/// Returns the first character that SQS does not accept in a message. SQS accepts only the characters of XML 1.0 (API
/// reference, `SendMessage`).
pub(crate) fn refused_character(text: &str) -> Option<char> {
    let is_accepted = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().find(|c| !is_accepted(*c))
}

/// Formats a character as its code point, for example `U+FFFF`.
pub(crate) fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// The outcomes of all sends of a run.
#[derive(Default)]
pub struct SendResults {
    /// Maps the id of each message that SQS confirmed to its index in [`Plan::messages`].
    pub confirmed: HashMap<MessageId, usize>,
    /// Maps each index in [`Plan::messages`] to the message id, if SQS confirmed the message.
    pub message_ids: Vec<Option<MessageId>>,
    /// Maps each index in [`Plan::messages`] to the time at which the message's request started, in milliseconds since
    /// 1970 by this machine's clock.
    pub sent_ms: Vec<Option<i64>>,
    /// The indices of messages that SQS neither confirmed nor refused, each with the error. Each of these messages may
    /// or may not be in the queue.
    pub unconfirmed: Vec<(usize, String)>,
    /// The indices of messages that SQS refused, each with the error. These messages are not in the queue.
    pub refused: Vec<(usize, String)>,
    /// Number of messages that were not sent before the timeout or Ctrl-C.
    pub unsent: usize,
}

/// Settings for [`send_all`].
#[derive(Clone, Copy, Debug)]
pub struct SendSettings {
    /// Maximum number of requests in flight.
    pub concurrency: usize,
    /// Maximum number of messages per request, from 1 to 10.
    pub batch_size: usize,
    /// Number of messages per second; `None` sends as fast as possible.
    pub rate: Option<u32>,
    /// Time that sending may take in addition to the time that the rate requires. No request starts after the sum of
    /// the two times.
    pub slack: Duration,
}

/// The outcome of sending one message.
enum Outcome {
    Confirmed(MessageId),
    Unconfirmed(String),
    Refused(String),
    Unsent,
}

/// Sends the messages of a plan until all are sent, the time is up, or `progress` is stopped.
pub async fn send_all(
    client: &PipelineClient,
    plan: &Plan,
    settings: SendSettings,
    progress: &Progress,
) -> SendResults {
    let started = Instant::now();
    // The time at which message `number` is due according to the rate.
    let due = |number: usize| {
        let number = u32::try_from(number).expect("a run has at most two million messages");
        started + settings.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * number / rate)
    };
    let deadline = due(plan.messages.len()) + settings.slack;
    let requests = split_into_requests(plan, settings, client.max_message_bytes);
    let mut sends = stream::iter(requests)
        .map(|messages| async move {
            if settings.rate.is_some() {
                // A request is sent when the last of its messages is due.
                tokio::select! {
                    () = tokio::time::sleep_until(due(messages.end)) => {}
                    () = progress.stopped() => {}
                }
            }
            if Instant::now() >= deadline || progress.is_stopped() {
                return messages.map(|index| (index, None, Outcome::Unsent)).collect::<Vec<_>>();
            }
            let sent_ms = now_ms();
            let outcomes = send(client, plan, messages.clone()).await;
            messages.zip(outcomes).map(|(index, outcome)| (index, Some(sent_ms), outcome)).collect()
        })
        .buffer_unordered(settings.concurrency);
    let count = plan.messages.len();
    let mut sent = SendResults { message_ids: vec![None; count], sent_ms: vec![None; count], ..SendResults::default() };
    while let Some(outcomes) = sends.next().await {
        for (index, sent_ms, outcome) in outcomes {
            sent.sent_ms[index] = sent_ms;
            match outcome {
                Outcome::Confirmed(message_id) => {
                    sent.message_ids[index] = Some(message_id.clone());
                    sent.confirmed.insert(message_id, index);
                }
                Outcome::Unconfirmed(problem) => sent.unconfirmed.push((index, problem)),
                Outcome::Refused(problem) => sent.refused.push((index, problem)),
                Outcome::Unsent => sent.unsent += 1,
            }
        }
        progress.counts.sent.set(sent.confirmed.len());
    }
    sent
}

/// Splits the messages into requests, in order. Each request has as many messages as the settings and `max_bytes`
/// allow. `max_bytes` limits the total size of a request's messages, because SQS applies the size limit of one message
/// to a whole batch.
fn split_into_requests(plan: &Plan, settings: SendSettings, max_bytes: usize) -> Vec<Range<usize>> {
    let in_burst = settings.rate.map_or(usize::MAX, |rate| rate.div_ceil(BURSTS_PER_SECOND) as usize);
    let most = settings.batch_size.min(in_burst);
    let mut requests: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, message) in plan.messages.iter().enumerate() {
        bytes += message.bytes();
        match requests.last_mut() {
            Some(last) if last.len() < most && bytes <= max_bytes => last.end = index + 1,
            _ => {
                requests.push(index..index + 1);
                bytes = message.bytes();
            }
        }
    }
    requests
}

/// Sends one request, and returns the outcome of each of its messages in order.
async fn send(client: &PipelineClient, plan: &Plan, messages: Range<usize>) -> Vec<Outcome> {
    let sqs = &client.sqs;
    let queue_url = &client.stack.queue_url;
    let body = |index: usize| plan.messages[index].body.to_string();
    let attributes = |index: usize| {
        let attributes = plan.messages[index].attributes.iter();
        let attributes: HashMap<String, MessageAttributeValue> = attributes
            .map(|Attribute { name, data_type, value }| {
                let value = MessageAttributeValue::builder().data_type(data_type).string_value(value);
                (name.clone(), value.build().expect("the attribute has a type"))
            })
            .collect();
        (!attributes.is_empty()).then_some(attributes)
    };
    if messages.len() == 1 {
        let request = sqs.send_message().queue_url(queue_url).message_body(body(messages.start));
        let request = request.set_message_attributes(attributes(messages.start));
        let outcome = match request.send().await {
            Ok(answer) => confirmed(answer.message_id),
            Err(error) => {
                let is_refused = error.code().is_some_and(|code| REFUSALS.contains(&code));
                let problem = error_line(&error);
                if is_refused { Outcome::Refused(problem) } else { Outcome::Unconfirmed(problem) }
            }
        };
        return vec![outcome];
    }
    let entry = |index: usize| {
        let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body(index));
        let entry = entry.set_message_attributes(attributes(index));
        entry.build().expect("the entry has an id and a body")
    };
    let request =
        sqs.send_message_batch().queue_url(queue_url).set_entries(Some(messages.clone().map(entry).collect()));
    let answer = match request.send().await {
        Ok(answer) => answer,
        // Without a response, the outcome of every message in the batch is unknown.
        Err(error) => {
            let problem = error_line(&error);
            return messages.map(|_| Outcome::Unconfirmed(problem.clone())).collect();
        }
    };
    let mut outcomes: HashMap<String, Outcome> = HashMap::new();
    for entry in answer.successful {
        outcomes.insert(entry.id, confirmed(Some(entry.message_id)));
    }
    for entry in answer.failed {
        let problem = format!("{}: {}", entry.code, entry.message.as_deref().unwrap_or("no error message"));
        // A sender fault recurs on every attempt. After any other failure, an earlier attempt of the SDK whose answer
        // was lost may have delivered the message.
        let outcome = if entry.sender_fault { Outcome::Refused(problem) } else { Outcome::Unconfirmed(problem) };
        outcomes.insert(entry.id, outcome);
    }
    let missing = || Outcome::Unconfirmed("the response has no result for this message".to_owned());
    messages.map(|index| outcomes.remove(&index.to_string()).unwrap_or_else(missing)).collect()
}

fn confirmed(message_id: Option<String>) -> Outcome {
    match message_id.filter(|id| !id.is_empty()) {
        Some(message_id) => Outcome::Confirmed(message_id.as_str().into()),
        None => Outcome::Unconfirmed("the response has no message id".to_owned()),
    }
}

/// Returns the current time in milliseconds since 1970.
fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
