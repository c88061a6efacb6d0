//! Records of the table's stream.

use archive_fn::Record;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::body::is_line;
use crate::json::Json;

/// A record that says it is a new claim is archived with what its image says, or kept as unusable; it is never skipped.
/// Nothing else is archived.
pub fn stream_record(input: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Box<RawValue>>(input) else { return };
    let read = Record::decode(&record);
    // A value that `Value` cannot hold, such as 1E400, says nothing here.
    let Ok(value) = serde_json::from_str::<Value>(record.get()) else { return };
    let image = |name: &str, kind: &str| value.pointer(&format!("/dynamodb/NewImage/{name}/{kind}"))?.as_str();
    let is_claim = image("sk", "S") == Some("CLAIM");
    let is_new = match value.get("eventName") {
        Some(Value::String(name)) => name == "INSERT" || name == "MODIFY",
        // A name that is missing or no text is what is wrong with it.
        _ => true,
    };
    match read {
        Ok(Record::Other) => assert!(!(is_claim && is_new), "a claim is skipped: {record}"),
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(Record::Claim { claim, line }) => {
            assert!(is_claim && is_new, "no claim, and archived: {record}");
            assert_eq!(image("pk", "S"), Some(format!("EVENT#{}", claim.event_id).as_str()));
            assert_eq!(image("claim_id", "S"), Some(claim.claim_id.to_string().as_str()));
            assert_eq!(image("claimed_at", "S"), Some(claim.claimed_at_text().as_str()));
            assert_eq!(image("message_id", "S"), Some(claim.message_id.as_str()));
            assert_eq!(image("ttl", "N").and_then(|ttl| ttl.parse().ok()), Some(claim.ttl));
            let body = claim.body_text().expect("it is in the line");
            if let Some(plain) = image("body", "S") {
                assert_eq!(body, plain);
            }
            let line = String::from_utf8(line).expect("an object is text");
            is_line(&line, &claim, Json::read(&body, 128).as_ref());
        }
    }
}
