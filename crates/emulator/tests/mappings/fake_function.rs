//! A function that notes its batches and answers as a test says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use emulator::function::{Function, Sandbox};
use emulator::{Clock, Services};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const FAR: Duration = Duration::from_secs(7 * 86_400);

/// What a fake function answers to the ids of a batch.
pub(crate) type Answer = dyn Fn(&[String]) -> Result<Value, String> + Send + Sync;

/// The batches that a function got, by ids, with the moment of each.
pub(crate) type Batches = Arc<Mutex<Vec<(Instant, Vec<String>)>>>;

pub(crate) fn services() -> Arc<Services> {
    Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)), 1)
}

/// A function that notes its batches and takes `works` for each.
pub(crate) fn function(services: &Arc<Services>, works: Duration, answer: Arc<Answer>) -> (Arc<Function>, Batches) {
    let batches = Batches::default();
    let seen = Arc::clone(&batches);
    let cold_start = move || -> Sandbox {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        Box::new(move |_, payload| {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let id = |record: &Value| match record.pointer("/dynamodb/NewImage/n/S") {
                Some(n) => n.as_str().unwrap().to_owned(),
                None => record["body"].as_str().unwrap().chars().take(8).collect(),
            };
            let ids: Vec<String> = event["Records"].as_array().unwrap().iter().map(id).collect();
            let of_id: std::collections::HashMap<String, Value> = event["Records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| {
                    let name = record.pointer("/dynamodb/SequenceNumber").unwrap_or(&record["messageId"]);
                    (id(record), name.clone())
                })
                .collect();
            seen.lock().unwrap().push((Instant::now(), ids.clone()));
            let answer = answer(&ids).map(|answer| {
                // `{"fail": [..]}` is short for the failures' identifiers.
                let named = |failed: &Value| json!({ "itemIdentifier": of_id[failed.as_str().unwrap()] });
                match answer["fail"].as_array() {
                    Some(failed) => json!({ "batchItemFailures": failed.iter().map(named).collect::<Vec<_>>() }),
                    None => answer,
                }
            });
            Box::pin(async move {
                sleep(works).await;
                answer.map(|answer| answer.to_string().into_bytes())
            })
        })
    };
    let log = services.logs.writer("fake");
    (Arc::new(Function::new("fake", TIMEOUT, services.clock, log, cold_start)), batches)
}

/// Waits, in virtual time, until `done`.
pub(crate) async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(FAR, waiting).await.expect("the condition comes true");
}

pub(crate) fn ids(batches: &Batches) -> Vec<Vec<String>> {
    batches.lock().unwrap().iter().map(|(_, ids)| ids.clone()).collect()
}
