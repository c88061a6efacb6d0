//! Messages, faults and expectations that the tests of the guarantees share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use claim::{Claim, Digest};
use emulator::Fault;
use ingest_fn::ClaimWrites;
use pipeline::PipelineSettings;
use pipeline::testkit::STARTS_AT_SECONDS;
use serde_json::{Value, json};

/// The queue's visibility timeout: the batching window plus six times the function's timeout.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(6 * 30 + 5);

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Faults that a function must not mistake for a duplicate. The two delays are longer than the SDK's timeout for one
/// attempt.
pub(crate) const FAULTS: [Fault; 8] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Throttled,
    Fault::Refused(500),
    Fault::Refused(503),
    Fault::RequestDelayed(Duration::from_secs(10)),
    Fault::AnswerDelayed(Duration::from_secs(10)),
    Fault::EmptyAnswer,
];

pub(crate) fn settings(writes: ClaimWrites) -> PipelineSettings {
    let mut settings = PipelineSettings::default();
    settings.ingest.claim_writes = writes;
    settings
}

pub(crate) fn counted(outcomes: &[(&str, usize)]) -> BTreeMap<String, usize> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

/// Returns how a sent message ended, or `None` if the message was lost.
pub(crate) fn fate(
    message_id: &str,
    body: &str,
    claims: &BTreeMap<String, Claim>,
    dead: &BTreeSet<String>,
) -> Option<&'static str> {
    if dead.contains(message_id) {
        return Some("dead letter");
    }
    let event: Value = serde_json::from_str(body).ok()?;
    let claim = claims.get(event["event_id"].as_str()?)?;
    if claim.message_id == message_id {
        Some("object")
    } else if Digest::of(body).unwrap().to_bytes() == claim.digest {
        Some("duplicate")
    } else {
        Some("conflict")
    }
}

/// Returns the stream record of a new claim, as Lambda delivers it.
pub(crate) fn stream_record(number: usize, body: &str) -> Value {
    let event = claim::EventRules::default().event(body, None).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(STARTS_AT_SECONDS);
    let random = [u8::try_from(number).unwrap(); 10];
    let claim = Claim::new(&event, &claim::SourceMessage::new("m", body), now, DAY, &random).unwrap();
    json!({
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": emulator::region::REGION, "eventSourceARN": "arn",
        "dynamodb": {
            "ApproximateCreationDateTime": STARTS_AT_SECONDS, "Keys": {}, "NewImage": claim.to_item(),
            "SequenceNumber": number.to_string(), "SizeBytes": 300, "StreamViewType": "NEW_IMAGE",
        },
    })
}
