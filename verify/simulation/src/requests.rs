//! Parses the requests that the services receive from the functions, the producer and the world itself.

use claim::pack::KEY_PREFIX;
use emulator::{Call, Service};
use serde_json::Value;

use crate::poison_record::BY_HAND;

/// Returns the operation of a request, such as `PutItem`. For S3, this is the HTTP method without the path.
pub(crate) fn operation<'a>(call: &'a Call<'_>) -> &'a str {
    call.operation.split(' ').next().unwrap_or_default()
}

pub(crate) fn object_key(call: &Call<'_>) -> String {
    let path = call.request.uri().path();
    path.trim_start_matches('/').split_once('/').map(|(_bucket, key)| key).unwrap_or_default().to_owned()
}

/// Returns the subjects of a request: for S3, the object key; for DynamoDB, one text for each claim, with its id and
/// its partition key; for the other services, one empty text.
pub(crate) fn subjects(call: &Call<'_>) -> Vec<String> {
    match call.service {
        Service::S3 => vec![object_key(call)],
        Service::DynamoDb => {
            let claim = |item: &Value| format!("{} {}", text(item, "claim_id", "S"), text(item, "pk", "S"));
            items(call).iter().map(claim).collect()
        }
        Service::Sqs | Service::Logs => vec![String::new()],
    }
}

/// Returns the items that a DynamoDB request writes.
pub(crate) fn items(call: &Call<'_>) -> Vec<Value> {
    let mut request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    let Some(statements) = request["Statements"].as_array() else { return vec![request["Item"].take()] };
    // `ingest-fn` sends statements of this form: INSERT INTO "table" VALUE {'name': ?, 'name': ?}
    let item = |statement: &Value| {
        let names = statement["Statement"].as_str().unwrap_or_default().split('\'').skip(1).step_by(2);
        let values = statement["Parameters"].as_array().into_iter().flatten().cloned();
        names.map(ToOwned::to_owned).zip(values).collect::<serde_json::Map<_, _>>().into()
    };
    statements.iter().map(item).collect()
}

/// Returns the recorder's name of the item that becomes the object with this key: the claim id or the pack id.
pub(crate) fn name_of_key(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default().trim_end_matches(".gz").trim_end_matches(".json")
}

/// Returns the recorder's name of an item: the claim id, the pack id or, if the item was put by hand, the partition key.
/// `image` is the new image of the item's stream record.
pub(crate) fn name_of_image(image: &Value) -> String {
    if let Some(pack_id) = text(image, "pk", "S").strip_prefix(KEY_PREFIX) {
        return pack_id.to_owned();
    }
    text(image, if text(image, "message_id", "S") == BY_HAND { "pk" } else { "claim_id" }, "S")
}

pub(crate) fn text(item: &Value, name: &str, kind: &str) -> String {
    item[name][kind].as_str().unwrap_or_default().to_owned()
}
