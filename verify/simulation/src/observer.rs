//! Notes what the services did: their answers are the only source of what is in the table and in the lake.

use emulator::{Call, Service};
use serde_json::Value;

use crate::history::{Entry, StoredClaim, hash};
use crate::recorder::Recorder;
use crate::requests::{items, name_of_image, object_key, operation, subjects, text};

/// Notes a service's answer.
pub(crate) fn note_answer(recorder: &Recorder, call: &Call<'_>, status: u16, answer: &[u8]) {
    match (call.service, operation(call)) {
        (Service::DynamoDb, "PutItem") if status == 200 => note_put(recorder, call),
        (Service::DynamoDb, "BatchExecuteStatement") if status == 200 => note_inserts(recorder, call, answer),
        (Service::S3, "PUT") if status == 200 => note_object(recorder, call),
        (Service::Sqs, "SendMessageBatch") if status == 200 => note_messages(recorder, answer),
        (Service::DynamoDb | Service::S3, _) if status >= 400 => {
            for subject in subjects(call) {
                recorder.note(Entry::Declined { status, subject });
            }
        }
        _ => {}
    }
}

fn note_put(recorder: &Recorder, call: &Call<'_>) {
    let request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    // ingest-fn puts claims on a condition; what is put by hand has none.
    if request["ConditionExpression"].is_null() {
        recorder.note(Entry::PutByHand { pk: text(&request["Item"], "pk", "S") });
    } else {
        note_claim(recorder, &request["Item"]);
    }
}

fn note_inserts(recorder: &Recorder, call: &Call<'_>, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let answers = answer["Responses"].as_array().into_iter().flatten();
    for ((item, answer), subject) in items(call).iter().zip(answers).zip(subjects(call)) {
        if answer["Error"].is_null() {
            note_claim(recorder, item);
        } else {
            recorder.note(Entry::Declined { status: 400, subject });
        }
    }
}

fn note_claim(recorder: &Recorder, item: &Value) {
    let claim_id = text(item, "claim_id", "S");
    recorder.awaits_object(&claim_id);
    recorder.note(Entry::Claimed(StoredClaim {
        pk: text(item, "pk", "S"),
        claim_id,
        claimed_at: text(item, "claimed_at", "S"),
        ttl: text(item, "ttl", "N").parse().unwrap_or_default(),
        digest: text(item, "digest", "B"),
        message_id: text(item, "message_id", "S"),
    }));
}

fn note_object(recorder: &Recorder, call: &Call<'_>) {
    let content = call.request.body();
    let key = object_key(call);
    if key.contains("_unusable/") {
        let record: Value = serde_json::from_slice(content).unwrap_or_default();
        recorder.has_object(&name_of_image(&record["dynamodb"]["NewImage"]));
    } else {
        recorder.has_object(key.rsplit('/').next().unwrap_or_default().trim_end_matches(".json"));
    }
    recorder.note(Entry::Stored { hash: hash(content), key });
}

fn note_messages(recorder: &Recorder, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    for taken in answer["Successful"].as_array().into_iter().flatten() {
        let message = taken["Id"].as_str().and_then(|id| id.parse().ok());
        let id = taken["MessageId"].as_str().unwrap_or_default().to_owned();
        recorder.note(Entry::Accepted { message: message.expect("the producer numbers entries"), id });
    }
}
