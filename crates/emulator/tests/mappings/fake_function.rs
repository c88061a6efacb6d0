//! A fake function that records its batches and returns the answers that a test chooses.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use emulator::function::{Function, Sandbox};
use emulator::{Clock, Services};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const FAR: Duration = Duration::from_secs(7 * 86_400);

/// A test's closure. It gets the ids of a batch and returns the fake function's answer.
pub(crate) type Answer = dyn Fn(&[String]) -> Result<Value, String> + Send + Sync;

/// The batches that a function received: the arrival time and the ids of each. The id is the attribute `n` of a record,
/// or the start of a message's body.
pub(crate) type Batches = Arc<Mutex<Vec<(Instant, Vec<String>)>>>;

pub(crate) fn services() -> Arc<Services> {
    Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)), 1)
}

/// Creates a function that takes `duration` for each batch. Returns the function, and the list to which it adds its
/// batches.
pub(crate) fn function(services: &Arc<Services>, duration: Duration, answer: Arc<Answer>) -> (Arc<Function>, Batches) {
    let batches = Batches::default();
    let seen = Arc::clone(&batches);
    let cold_start = move || -> Sandbox {
        let seen = Arc::clone(&seen);
        let answer = Arc::clone(&answer);
        Box::new(move |_, payload| {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let id = |record: &Value| match record.pointer("/dynamodb/NewImage/n/S") {
                Some(n) => n.as_str().unwrap().to_owned(),
                None => record["body"].as_str().unwrap().chars().take(8).collect(),
            };
            let ids: Vec<String> = event["Records"].as_array().unwrap().iter().map(id).collect();
            let identifiers: std::collections::HashMap<String, Value> = event["Records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| {
                    let identifier = record.pointer("/dynamodb/SequenceNumber").unwrap_or(&record["messageId"]);
                    (id(record), identifier.clone())
                })
                .collect();
            seen.lock().unwrap().push((Instant::now(), ids.clone()));
            let answer = answer(&ids).map(|answer| {
                // A test writes `{"fail": [ids]}` with its own ids. The mapping expects message ids or sequence
                // numbers.
                let failure = |id: &Value| json!({ "itemIdentifier": identifiers[id.as_str().unwrap()] });
                match answer["fail"].as_array() {
                    Some(ids) => json!({ "batchItemFailures": ids.iter().map(failure).collect::<Vec<_>>() }),
                    None => answer,
                }
            });
            Box::pin(async move {
                sleep(duration).await;
                answer.map(|answer| answer.to_string().into_bytes())
            })
        })
    };
    let log = services.logs.writer("fake");
    (Arc::new(Function::new("fake", TIMEOUT, services.clock, log, cold_start)), batches)
}

/// Waits, in virtual time, until `condition` holds.
pub(crate) async fn wait_until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(FAR, waiting).await.expect("the condition holds within a week");
}

pub(crate) fn ids(batches: &Batches) -> Vec<Vec<String>> {
    batches.lock().unwrap().iter().map(|(_, ids)| ids.clone()).collect()
}
