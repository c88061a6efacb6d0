//! Settings, messages, faults and expectations that the tests of the guarantees share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use claim::{Claim, Digest, PackBuilder};
use emulator::filter::FilterCriteria;
use emulator::function::Function;
use emulator::{Call, Fault};
use ingest_fn::{ClaimWrites, LakeLayout};
use pipeline::testkit::STARTS_AT_SECONDS;
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::Instant;

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

/// A choice of the settings that change how `ingest-fn` writes to the table.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    writes: ClaimWrites,
    layout: LakeLayout,
}

impl Setup {
    pub(crate) const SINGLE: Self = Self { writes: ClaimWrites::Single, layout: LakeLayout::Objects };
    pub(crate) const BATCHED: Self = Self { writes: ClaimWrites::Batch, layout: LakeLayout::Objects };
    pub(crate) const PACKS: Self = Self { writes: ClaimWrites::Single, layout: LakeLayout::Packs };

    pub(crate) fn is_batched(self) -> bool {
        self.writes == ClaimWrites::Batch
    }

    pub(crate) fn has_packs(self) -> bool {
        self.layout == LakeLayout::Packs
    }

    pub(crate) fn settings(self) -> PipelineSettings {
        let mut settings = PipelineSettings::default();
        settings.ingest.claim_writes = self.writes;
        settings.ingest.lake_layout = self.layout;
        if self.has_packs() {
            settings.stream_mapping.filter = PipelineSettings::pack_filter();
        }
        settings
    }

    /// Returns the settings for batches of at most `messages` messages if there are packs. A pack is one record, so
    /// `archive-fn` can only treat events differently if they are in different batches.
    pub(crate) fn settings_with_batches_of(self, messages: usize) -> PipelineSettings {
        let mut settings = self.settings();
        if self.has_packs() {
            settings.sqs_mapping.batch_size = messages;
            settings.sqs_mapping.batching_window = Duration::ZERO;
        }
        settings
    }
}

/// Returns a filter that passes packs and all claims, even packed ones. `archive-fn` itself must skip packed claims.
pub(crate) fn filter_without_layout() -> FilterCriteria {
    let record = |sort_key: Value| json!({ "dynamodb": { "NewImage": { "sk": { "S": [sort_key] } } } });
    FilterCriteria::new([record(json!({ "prefix": "CLAIM" })), record(json!("PACK"))]).unwrap()
}

pub(crate) fn counted(outcomes: &[(&str, usize)]) -> BTreeMap<String, usize> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

/// Returns how a sent message ended, or `None` if the message was lost. `claims` contains the claims that have a line.
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

/// Returns the stream record of a new claim, or of a pack that lists only this claim, as Lambda delivers it.
pub(crate) fn stream_record(number: usize, body: &str, setup: Setup) -> Value {
    let event = claim::EventRules::default().event(body, None).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(STARTS_AT_SECONDS);
    let random = [u8::try_from(number).unwrap(); 10];
    let claim = Claim::new(&event, &claim::SourceMessage::new("m", body), now, DAY, &random).unwrap();
    let image = if setup.has_packs() {
        let mut pack = PackBuilder::new();
        pack.push(&claim).unwrap();
        pack.finish(claim.claim_id).unwrap().into_item()
    } else {
        claim.to_item()
    };
    json!({
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": emulator::region::REGION, "eventSourceARN": "arn",
        "dynamodb": {
            "ApproximateCreationDateTime": STARTS_AT_SECONDS, "Keys": {}, "NewImage": image,
            "SequenceNumber": number.to_string(), "SizeBytes": 300, "StreamViewType": "NEW_IMAGE",
        },
    })
}

/// Invokes the function with a batch. Returns the ids of the failed items and the time that the invocation took.
pub(crate) async fn invoke(function: &Function, batch: &[Value]) -> (BTreeSet<String>, Duration) {
    let begun = Instant::now();
    let answer = function.invoke(json!({ "Records": batch }).to_string().into_bytes()).await.unwrap();
    let took = begun.elapsed();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let failed = answer["batchItemFailures"].as_array().unwrap().iter();
    (failed.map(|failed| failed["itemIdentifier"].as_str().unwrap().to_owned()).collect(), took)
}

/// Returns the operation of a request to the table, with the prefix of the key. Also returns true if the request can neither
/// replace an item without a condition nor miss an existing item.
pub(crate) fn table_request(call: &Call<'_>) -> (String, bool) {
    let request: Value = serde_json::from_slice(call.request.body()).unwrap();
    if let Some(statements) = request["Statements"].as_array() {
        let insert = format!("INSERT INTO \"{}\" VALUE {{", names::TABLE);
        let is_insert = |statement: &Value| statement["Statement"].as_str().unwrap().starts_with(&insert);
        return (call.operation.clone(), statements.iter().all(is_insert));
    }
    let key = if request["Item"].is_object() { &request["Item"] } else { &request["Key"] };
    let (prefix, _) = key["pk"]["S"].as_str().unwrap().split_once('#').unwrap();
    let condition = request["ConditionExpression"].as_str();
    let is_safe = match (&*call.operation, prefix) {
        ("GetItem", _) => request["ConsistentRead"] == true,
        (_, "PACK") => condition == Some("attribute_not_exists(pk)"),
        _ => condition.is_some(),
    };
    (format!("{} {prefix}", call.operation), is_safe && request["TableName"] == names::TABLE)
}
