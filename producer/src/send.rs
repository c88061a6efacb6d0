//! Sending.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::events::Plan;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;

/// With a rate, no request holds the messages of more than a tenth of a second: a steady rate is not one burst a second.
const BURSTS_A_SECOND: u32 = 10;

/// Codes by which SQS refuses a single message for what is in it: a character outside XML 1.0, a size. It does so at each try, so
/// that no earlier try of the SDK's can have been taken, as might be with any other error. (In a batch, it says whose fault it is.)
const REFUSALS: [&str; 3] = ["InvalidMessageContents", "InvalidParameterValue", "MissingParameter"];

/// What became of the sends.
#[derive(Default)]
pub struct SendResults {
    /// Message id → index into [`Plan::messages`]: SQS said that it has them.
    pub confirmed: HashMap<String, usize>,
    /// The same the other way round: by index, the message id.
    pub message_ids: Vec<Option<String>>,
    /// By index, when its request was begun, in milliseconds since 1970 by this machine's clock.
    pub sent_ms: Vec<Option<i64>>,
    /// Indices of messages that SQS did not confirm, and why. They may be in the queue or not.
    pub unconfirmed: Vec<(usize, String)>,
    /// Indices of messages that SQS said it does not take, and why.
    pub refused: Vec<(usize, String)>,
    /// How many were not sent at all, because the time was up or Ctrl-C came first.
    pub unsent: usize,
}

/// How messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct SendSettings {
    /// Requests at once.
    pub concurrency: usize,
    /// Messages in a request: 1 to 10.
    pub batch_size: usize,
    /// Messages a second; `None` is as fast as they go.
    pub rate: Option<u32>,
    /// Sending may take so much longer than the rate makes it. What has not begun by then is not sent.
    pub slack: Duration,
}

/// What became of one message.
enum Outcome {
    Confirmed(String),
    Unconfirmed(String),
    Refused(String),
    Unsent,
}

/// Sends all messages of a plan, until the time is up or `progress` is told to stop.
pub async fn send_all(client: &PipelineClient, plan: &Plan, how: SendSettings, progress: &Progress) -> SendResults {
    let begun = Instant::now();
    // By the rate, message `number` is due then.
    let due = |number: usize| {
        let number = u32::try_from(number).expect("a run has two million messages at the most");
        begun + how.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * number / rate)
    };
    let give_up = due(plan.messages.len()) + how.slack;
    let requests = requests(plan, how, client.max_message_bytes);
    let mut sends = stream::iter(requests)
        .map(|messages| async move {
            if how.rate.is_some() {
                // A request goes out when the last of its messages is due.
                tokio::select! {
                    () = tokio::time::sleep_until(due(messages.end)) => {}
                    () = progress.stopped() => {}
                }
            }
            if Instant::now() >= give_up || progress.is_stopped() {
                return messages.map(|index| (index, None, Outcome::Unsent)).collect::<Vec<_>>();
            }
            let sent_ms = now_ms();
            let outcomes = send(client, plan, messages.clone()).await;
            messages.zip(outcomes).map(|(index, outcome)| (index, Some(sent_ms), outcome)).collect()
        })
        .buffer_unordered(how.concurrency);
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

/// Which messages go together: as many as may be, in their order, and together no larger than one message may be, which is the
/// limit of a batch too.
fn requests(plan: &Plan, how: SendSettings, max_bytes: usize) -> Vec<Range<usize>> {
    let in_burst = how.rate.map_or(usize::MAX, |rate| rate.div_ceil(BURSTS_A_SECOND) as usize);
    let most = how.batch_size.min(in_burst);
    let mut requests: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, message) in plan.messages.iter().enumerate() {
        bytes += message.body.len();
        match requests.last_mut() {
            Some(last) if last.len() < most && bytes <= max_bytes => last.end = index + 1,
            _ => {
                requests.push(index..index + 1);
                bytes = message.body.len();
            }
        }
    }
    requests
}

/// One outcome for each of the messages.
async fn send(client: &PipelineClient, plan: &Plan, messages: Range<usize>) -> Vec<Outcome> {
    let sqs = &client.sqs;
    let queue_url = &client.stack.queue_url;
    let body = |index: usize| plan.messages[index].body.to_string();
    if messages.len() == 1 {
        let request = sqs.send_message().queue_url(queue_url).message_body(body(messages.start));
        let outcome = match request.send().await {
            Ok(answer) => confirmed(answer.message_id),
            Err(error) => {
                let is_refused = error.code().is_some_and(|code| REFUSALS.contains(&code));
                let problem = format!("{:#}", anyhow::Error::new(error));
                if is_refused { Outcome::Refused(problem) } else { Outcome::Unconfirmed(problem) }
            }
        };
        return vec![outcome];
    }
    let entry = |index: usize| {
        let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body(index));
        entry.build().expect("it has an id and a body")
    };
    let request =
        sqs.send_message_batch().queue_url(queue_url).set_entries(Some(messages.clone().map(entry).collect()));
    let answer = match request.send().await {
        Ok(answer) => answer,
        // An answer that was lost is one for each of the messages.
        Err(error) => {
            let problem = format!("{:#}", anyhow::Error::new(error));
            return messages.map(|_| Outcome::Unconfirmed(problem.clone())).collect();
        }
    };
    let mut outcomes: HashMap<String, Outcome> = HashMap::new();
    for entry in answer.successful {
        outcomes.insert(entry.id, confirmed(Some(entry.message_id)));
    }
    for entry in answer.failed {
        let problem = format!("{}: {}", entry.code, entry.message.as_deref().unwrap_or("no message"));
        // What is the sender's fault is so at each try. What is not may have been taken by an earlier try of the SDK's, whose
        // answer was lost.
        let outcome = if entry.sender_fault { Outcome::Refused(problem) } else { Outcome::Unconfirmed(problem) };
        outcomes.insert(entry.id, outcome);
    }
    let missing = || Outcome::Unconfirmed("the answer does not say what became of it".to_owned());
    messages.map(|index| outcomes.remove(&index.to_string()).unwrap_or_else(missing)).collect()
}

fn confirmed(message_id: Option<String>) -> Outcome {
    match message_id.filter(|id| !id.is_empty()) {
        Some(message_id) => Outcome::Confirmed(message_id),
        None => Outcome::Unconfirmed("the answer has no message id".to_owned()),
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
