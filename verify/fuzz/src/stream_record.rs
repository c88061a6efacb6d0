//! The properties of the code that decodes stream records.

use archive_fn::Record;
use claim::Pack;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::body::check_line;
use crate::json::Json;

/// Decodes the input as a stream record. A record with a new claim must be archived with the content of its new image,
/// or must be quarantined. Such a record must never be skipped. No other record may be archived.
pub fn stream_record(input: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Box<RawValue>>(input) else { return };
    let decoded = Record::decode(&record);
    // Skip the input if `serde_json::Value` cannot represent it, for example because it contains the number 1E400.
    let Ok(value) = serde_json::from_str::<Value>(record.get()) else { return };
    let image = |name: &str, kind: &str| value.pointer(&format!("/dynamodb/NewImage/{name}/{kind}"))?.as_str();
    let is_claim = image("sk", "S") == Some("CLAIM");
    let is_new = match value.get("eventName") {
        Some(Value::String(name)) => name == "INSERT" || name == "MODIFY",
        // `archive-fn` must quarantine a record without a valid event name, and must not skip it.
        _ => true,
    };
    match decoded {
        Ok(Record::Other) => {
            assert!(!(is_claim && is_new) || image("layout", "S") == Some("pack"), "a claim was skipped: {record}");
        }
        Ok(Record::Pack(pack)) => {
            assert!(image("sk", "S") == Some("PACK") && is_new, "archived but not a new pack: {record}");
            assert_eq!(image("pk", "S"), Some(Pack::partition_key(pack.pack_id).as_str()));
            let mut lines = pack.lines();
            while let Ok(Some(line)) = lines.next_line() {
                assert!(pack.claim_ids.contains(line.claim_id) && line.text.ends_with(b"\n"));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(Record::Claim { claim, line }) => {
            assert!(is_claim && is_new, "archived but not a new claim: {record}");
            assert_eq!(image("pk", "S"), Some(format!("EVENT#{}", claim.event_id).as_str()));
            assert_eq!(image("claim_id", "S"), Some(claim.claim_id.to_string().as_str()));
            assert_eq!(image("claimed_at", "S"), Some(claim.claimed_at_text().as_str()));
            assert_eq!(image("message_id", "S"), Some(claim.message_id.as_str()));
            assert_eq!(image("ttl", "N").and_then(|ttl| ttl.parse().ok()), Some(claim.ttl));
            let body = claim.body_text().expect("the body decompressed for the line");
            if let Some(plain) = image("body", "S") {
                assert_eq!(body, plain);
            }
            let line = String::from_utf8(line).expect("an object is UTF-8");
            check_line(&line, &claim, Json::read(&body, 128).as_ref());
        }
    }
}
