//! Claims, and the requests that write and read them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use claim::key::SORT_KEY;
use claim::{Claim, EventRules, SourceMessage, TraceId};

use crate::outcome::Mismatch;
use crate::stage::{Stage, Table};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// One hour in seconds. Claims that live this long do not expire while a test runs. A test that needs an expired claim
/// passes a later `now` to its next request.
pub(crate) const HOUR: u64 = 3_600;

/// Number of concurrent requests in a herd. It equals the number of messages in the producer's scenario `herd`.
pub(crate) const HERD: usize = 50;

/// Returns the current time in seconds since 1970, minus one second if the number ends in 0. DynamoDB does not count a
/// number's trailing zeros in an item's size, so a time that ends in 0 would make the item smaller.
pub(crate) fn now_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    now - u64::from(now.is_multiple_of(10))
}

/// Returns a random trace id in the format of X-Ray.
pub(crate) fn trace_id() -> TraceId {
    TraceId::parse(&format!("1-65a5b2c3-{:024x}", fastrand::u64(..))).unwrap()
}

/// Returns a new claim of the event, with the given `ttl` and a random trace id.
pub(crate) fn claim(event_id: &str, ttl: u64) -> Claim {
    let body = serde_json::json!({ "event_id": event_id, "voltage": 221.50 }).to_string();
    let event = EventRules::default().event(&body, None).unwrap();
    let random = std::array::from_fn(|_| fastrand::u8(..));
    let message_id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
    let message = SourceMessage { id: &message_id, trace_id: Some(&trace_id()), body: &body };
    let claim = Claim::new(&event, &message, SystemTime::now(), Duration::ZERO, &random).unwrap();
    Claim { ttl, ..claim }
}

/// Returns the item that `ingest-fn` writes for a claim.
pub(crate) fn item(claim: &Claim) -> Item {
    claim.to_item().into()
}

/// Sends the conditional put of `ingest-fn`, with `now` as the current time in seconds since 1970.
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
    request.return_values(ReturnValue::AllOld).return_values_on_condition_check_failure(all_old).send().await
}

pub(crate) async fn get(stage: &Stage, table: &Table, event_id: &str) -> Result<Option<Item>, Mismatch> {
    let request = stage.operator.dynamodb.get_item().table_name(&table.name).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
    Ok(request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?.item)
}
