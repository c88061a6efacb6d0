//! Reads the requests that the functions and the producer send.

use emulator::{Call, Service};
use serde_json::Value;

use crate::poison_record::BY_HAND;

/// Without the path of an S3 request.
pub(crate) fn operation<'a>(call: &'a Call<'_>) -> &'a str {
    call.operation.split(' ').next().unwrap_or_default()
}

pub(crate) fn object_key(call: &Call<'_>) -> String {
    let path = call.request.uri().path();
    path.trim_start_matches('/').split_once('/').map(|(_bucket, key)| key).unwrap_or_default().to_owned()
}

/// What a request is about.
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

/// The items that a request is to write.
pub(crate) fn items(call: &Call<'_>) -> Vec<Value> {
    let mut request: Value = serde_json::from_slice(call.request.body()).unwrap_or_default();
    let Some(statements) = request["Statements"].as_array() else { return vec![request["Item"].take()] };
    // INSERT INTO "table" VALUE {'name': ?, 'name': ?}
    let item = |statement: &Value| {
        let names = statement["Statement"].as_str().unwrap_or_default().split('\'').skip(1).step_by(2);
        let values = statement["Parameters"].as_array().into_iter().flatten().cloned();
        names.map(ToOwned::to_owned).zip(values).collect::<serde_json::Map<_, _>>().into()
    };
    statements.iter().map(item).collect()
}

/// What a stream record's new image is awaited as: a claim by its id, what was put by hand by its partition key.
pub(crate) fn name_of_image(image: &Value) -> String {
    text(image, if text(image, "message_id", "S") == BY_HAND { "pk" } else { "claim_id" }, "S")
}

pub(crate) fn text(item: &Value, name: &str, kind: &str) -> String {
    item[name][kind].as_str().unwrap_or_default().to_owned()
}
