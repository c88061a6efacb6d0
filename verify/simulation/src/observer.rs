//! Records in the history what the services did with each request. From these entries, the reference model learns which
//! messages the queue accepted and which claims the table stored.

use claim::Pack;
use claim::pack::SORT_KEY;
use emulator::{Call, Service};
use serde_json::Value;

use crate::history::{Entry, StoredClaim, StoredPack, hash};
use crate::recorder::Recorder;
use crate::requests::{items, name_of_image, name_of_key, object_key, operation, subjects, text};

/// Records what a service did with a request, according to the service's answer.
pub(crate) fn record_answer(recorder: &Recorder, call: &Call<'_>, status: u16, answer: &[u8]) {
    match (call.service, operation(call)) {
        (Service::DynamoDb, "PutItem") if status == 200 => record_put(recorder, call),
        (Service::DynamoDb, "BatchExecuteStatement") if status == 200 => record_inserts(recorder, call, answer),
        (Service::S3, "PUT") if status == 200 => record_object(recorder, call),
        (Service::Sqs, "SendMessageBatch") if status == 200 => record_messages(recorder, answer),
        (Service::DynamoDb | Service::S3, _) if status >= 400 => {
            for subject in subjects(call) {
                recorder.record(Entry::ServiceError { status, subject });
            }
        }
        _ => {}
    }
}

fn record_put(recorder: &Recorder, call: &Call<'_>) {
    let request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    // Only a put by hand has no condition. `ingest-fn` always sends one.
    if request["ConditionExpression"].is_null() {
        recorder.record(Entry::PutByHand { pk: text(&request["Item"], "pk", "S") });
    } else if text(&request["Item"], "sk", "S") == SORT_KEY {
        record_pack(recorder, &request["Item"]);
    } else {
        record_claim(recorder, &request["Item"]);
    }
}

fn record_pack(recorder: &Recorder, item: &Value) {
    let item: serde_dynamo::Item = serde_json::from_value(item.clone()).expect("a stored item is well formed");
    let Pack { pack_id, claim_ids, ttl, .. } = Pack::from_item(item).expect("ingest-fn writes readable packs");
    let pack_id = pack_id.to_string();
    recorder.expect_object(&pack_id);
    let claim_ids = claim_ids.iter().map(|id| id.to_string()).collect();
    recorder.record(Entry::PackStored(StoredPack { pack_id, claim_ids, ttl }));
}

fn record_inserts(recorder: &Recorder, call: &Call<'_>, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let answers = answer["Responses"].as_array().into_iter().flatten();
    for ((item, answer), subject) in items(call).iter().zip(answers).zip(subjects(call)) {
        if answer["Error"].is_null() {
            record_claim(recorder, item);
        } else {
            recorder.record(Entry::ServiceError { status: 400, subject });
        }
    }
}

fn record_claim(recorder: &Recorder, item: &Value) {
    let claim_id = text(item, "claim_id", "S");
    let pack_id = text(item, "pack_id", "S");
    if pack_id.is_empty() {
        recorder.expect_object(&claim_id);
    }
    recorder.record(Entry::Claimed(StoredClaim {
        pk: text(item, "pk", "S"),
        sk: text(item, "sk", "S"),
        claim_id,
        claimed_at: text(item, "claimed_at", "S"),
        ttl: text(item, "ttl", "N").parse().unwrap_or_default(),
        digest: text(item, "digest", "B"),
        message_id: text(item, "message_id", "S"),
        trace_id: text(item, "trace_id", "S"),
        pack_id,
    }));
}

fn record_object(recorder: &Recorder, call: &Call<'_>) {
    let content = call.request.body();
    let key = object_key(call);
    if key.contains("_unusable/") {
        let record: Value = serde_json::from_slice(content).unwrap_or_default();
        recorder.object_written(&name_of_image(&record["dynamodb"]["NewImage"]));
    } else {
        recorder.object_written(name_of_key(&key));
    }
    recorder.record(Entry::ObjectStored { hash: hash(content), key });
}

fn record_messages(recorder: &Recorder, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    for accepted in answer["Successful"].as_array().into_iter().flatten() {
        let message = accepted["Id"].as_str().and_then(|id| id.parse().ok());
        let id = accepted["MessageId"].as_str().unwrap_or_default().to_owned();
        recorder.record(Entry::Accepted { message: message.expect("the entry id is the message's position"), id });
    }
}
