//! Claims, as the functions write and read them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use claim::key::SORT_KEY;
use claim::{Claim, Event, EventIdPointer};

use crate::outcome::Instead;
use crate::stage::{Stage, Table};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Nothing here expires while a test runs, by the engine's own clock: expiry is in the `:now` of a request.
pub(crate) const HOUR: u64 = 3_600;

/// Claimants of a herd, as many as the producer sends by default.
pub(crate) const HERD: usize = 50;

/// Seconds since 1970, with ten significant digits: a number's trailing zeros take no room in an item.
pub(crate) fn now_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    now - u64::from(now.is_multiple_of(10))
}

/// A new claim of an event, holding until `ttl`.
pub(crate) fn claim(event_id: &str, ttl: u64) -> Claim {
    let body = serde_json::json!({ "event_id": event_id, "voltage": 221.50 }).to_string();
    let event = Event::parse(&body, &EventIdPointer::parse("/event_id").unwrap()).unwrap();
    let random = std::array::from_fn(|_| fastrand::u8(..));
    let message_id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
    let claim = Claim::new(&event, &message_id, &body, SystemTime::now(), Duration::ZERO, &random).unwrap();
    Claim { ttl, ..claim }
}

/// The item of a claim, as `ingest-fn` sends it.
pub(crate) fn item(claim: &Claim) -> Item {
    claim.to_item().into()
}

/// `ingest-fn`'s request, as of a moment of one's choice.
pub(crate) async fn put(
    stage: &Stage,
    table: &Table,
    claim: &Claim,
    now: u64,
) -> Result<PutItemOutput, SdkError<PutItemError>> {
    let request = stage.ingest.dynamodb.put_item().table_name(&table.name).set_item(Some(item(claim)));
    let request = request.condition_expression("attribute_not_exists(pk) OR #ttl < :now");
    let request = request.expression_attribute_names("#ttl", "ttl");
    let request = request.expression_attribute_values(":now", AttributeValue::N(now.to_string()));
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    request.return_values_on_condition_check_failure(all_old).send().await
}

pub(crate) async fn get(stage: &Stage, table: &Table, event_id: &str) -> Result<Option<Item>, Instead> {
    let request = stage.operator.dynamodb.get_item().table_name(&table.name).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
    Ok(request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?.item)
}
