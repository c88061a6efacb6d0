//! The table: the conditional write of a claim, and what it is read back with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use claim::key::SORT_KEY;
use claim::record::MAX_ITEM_BYTES;
use claim::{Body, Claim, Event, EventIdPointer};
use futures_util::future::join_all;
use ingest_fn::{ClaimOutcome, ClaimTable};

use crate::engine::Engine;
use crate::stage::{Stage, Table};
use crate::{Behaviour, Instead, Outcome, answer, at_once, behaviour, holds, same};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Nothing here expires while a test runs, by the engine's own clock: expiry is in the `:now` of a request.
pub(crate) const HOUR: u64 = 3_600;

/// Claimants of a herd, as many as the producer sends by default.
pub(crate) const HERD: usize = 50;

pub(crate) fn behaviours() -> Vec<Behaviour> {
    vec![
        behaviour!(DynamoDb, of_a_herd_claiming_an_event_one_wins_and_the_others_are_told_who),
        behaviour!(DynamoDb, of_a_herd_taking_an_expired_claim_over_one_wins),
        behaviour!(DynamoDb, a_failed_condition_tells_the_item_that_holds_if_all_old_is_asked),
        behaviour!(DynamoDb, a_failed_condition_tells_no_item_unless_it_is_asked),
        behaviour!(DynamoDb, a_put_sent_twice_fails_and_meets_its_own_claim_id),
        behaviour!(DynamoDb, a_claim_holds_through_the_second_of_its_ttl_and_not_longer),
        behaviour!(DynamoDb, a_ttl_is_compared_as_a_number_and_not_as_text),
        behaviour!(DynamoDb, an_item_of_another_event_is_left_alone_by_a_takeover),
        behaviour!(DynamoDb, a_failed_condition_changes_nothing),
        behaviour!(DynamoDb, ttl_must_be_written_with_a_placeholder),
        behaviour!(DynamoDb, a_claim_comes_back_as_it_was_written),
        behaviour!(DynamoDb, an_item_of_400_kib_is_stored_and_one_byte_more_is_refused),
        behaviour!(DynamoDb, a_compressed_item_of_400_kib_is_stored_and_one_byte_more_is_refused),
        behaviour!(DynamoDb, a_partition_key_of_2048_bytes_is_stored_and_one_byte_more_is_refused),
        behaviour!(DynamoDb, a_batch_get_finds_a_hundred_keys_and_leaves_out_those_that_are_not_there),
        behaviour!(DynamoDb, a_batch_get_of_more_than_a_hundred_keys_is_refused),
        behaviour!(DynamoDb, a_table_that_is_not_there_is_no_failed_condition),
    ]
}

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

/// The item that a failed condition told.
fn old_item(result: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<Option<Item>, Instead> {
    match result.map_err(SdkError::into_service_error) {
        Err(PutItemError::ConditionalCheckFailedException(failed)) => Ok(failed.item),
        Err(other) => Err(other.into()),
        Ok(_) => Err(Instead("the condition held".to_owned())),
    }
}

pub(crate) async fn get(stage: &Stage, table: &Table, event_id: &str) -> Result<Option<Item>, Instead> {
    let request = stage.operator.dynamodb.get_item().table_name(&table.name).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
    Ok(request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?.item)
}

/// Guarantee 1 begins here: the function's own request, from many sandboxes at once.
async fn of_a_herd_claiming_an_event_one_wins_and_the_others_are_told_who(stage: Arc<Stage>) -> Outcome {
    herds(&stage, false).await
}

/// The same for events whose claim has run out and that TTL has not deleted yet.
async fn of_a_herd_taking_an_expired_claim_over_one_wins(stage: Arc<Stage>) -> Outcome {
    herds(&stage, true).await
}

async fn herds(stage: &Stage, over_an_expired_claim: bool) -> Outcome {
    let table = stage.claims().await?;
    let claim_table = Arc::new(ClaimTable::new(stage.ingest.dynamodb.clone(), &table.name));
    for _ in 0..8 {
        let event_id = stage.unique("herd");
        let now = now_seconds();
        if over_an_expired_claim {
            put(stage, table, &claim(&event_id, now + HOUR), now).await?;
        }
        // As of two hours from now.
        let late = |claim: Claim| Claim { claimed_at: claim.claimed_at + Duration::from_secs(2 * HOUR), ..claim };
        let claims: Vec<_> = (0..HERD).map(|_| late(claim(&event_id, now + 3 * HOUR))).collect();
        let outcomes = at_once(claims.clone().into_iter().map(|claim| {
            let claim_table = Arc::clone(&claim_table);
            async move { claim_table.put(&claim).await }
        }))
        .await;
        let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> =
            claims.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, ClaimOutcome::Won(_))).collect();
        same("winners", winners.len(), 1)?;
        let winner = winners[0].0;
        let told = outcomes.iter().filter_map(|outcome| match outcome {
            ClaimOutcome::Won(_) => None,
            ClaimOutcome::Lost(held) => Some(held.claim_id),
        });
        same("claims that the losers were told", told.collect::<HashSet<_>>(), HashSet::from([winner.claim_id]))?;
        same("item in the table", get(stage, table, &event_id).await?, Some(item(winner)))?;
    }
    Ok(())
}

/// Duplicate and conflict are told apart by the digest in this item, and a lost answer by its claim id.
async fn a_failed_condition_tells_the_item_that_holds_if_all_old_is_asked(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let event_id = stage.unique("told");
    let (first, second) = (claim(&event_id, now + HOUR), claim(&event_id, now + 2 * HOUR));
    put(&stage, table, &first, now).await?;
    same("item that was told", old_item(put(&stage, table, &second, now).await)?, Some(item(&first)))
}

async fn a_failed_condition_tells_no_item_unless_it_is_asked(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let claim = claim(&stage.unique("untold"), now + HOUR);
    put(&stage, table, &claim, now).await?;
    let request = stage.ingest.dynamodb.put_item().table_name(&table.name).set_item(Some(item(&claim)));
    let result = request.condition_expression("attribute_not_exists(pk)").send().await;
    same("item that was told", old_item(result)?, None)
}

/// What the SDK's retry meets when the answer to a claim was lost.
async fn a_put_sent_twice_fails_and_meets_its_own_claim_id(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let claim = claim(&stage.unique("twice"), now + HOUR);
    put(&stage, table, &claim, now).await?;
    let told = old_item(put(&stage, table, &claim, now).await)?;
    same("claim id that was told", told.and_then(|mut old| old.remove("claim_id")), item(&claim).remove("claim_id"))
}

/// The dedup window is kept to the second, however late TTL deletes.
async fn a_claim_holds_through_the_second_of_its_ttl_and_not_longer(stage: Arc<Stage>) -> Outcome {
    let (table, ttl) = (stage.claims().await?, now_seconds() + HOUR);
    let event_id = stage.unique("boundary");
    let (first, second) = (claim(&event_id, ttl), claim(&event_id, ttl + HOUR));
    put(&stage, table, &first, ttl - HOUR).await?;
    for now in [ttl - 1, ttl] {
        let result = put(&stage, table, &second, now).await;
        same(
            format!("takeover {} s before the end", ttl - now),
            answer(&result).as_str(),
            "ConditionalCheckFailedException",
        )?;
    }
    same("takeover a second after the end", answer(&put(&stage, table, &second, ttl + 1).await).as_str(), "accepted")?;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&second)))
}

async fn a_ttl_is_compared_as_a_number_and_not_as_text(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    // As text, "9999999999" is more than "10000000000".
    let event_id = stage.unique("digits");
    put(&stage, table, &claim(&event_id, 9_999_999_999), 1).await?;
    let result = put(&stage, table, &claim(&event_id, 10_000_000_001), 10_000_000_000).await;
    same("takeover of a shorter number", answer(&result).as_str(), "accepted")
}

async fn an_item_of_another_event_is_left_alone_by_a_takeover(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let (ours, other) = (stage.unique("ours"), stage.unique("other"));
    let (expired, theirs) = (claim(&ours, now + HOUR), claim(&other, now + HOUR));
    put(&stage, table, &expired, now).await?;
    put(&stage, table, &theirs, now).await?;
    put(&stage, table, &claim(&ours, now + 3 * HOUR), now + 2 * HOUR).await?;
    same("item of the other event", get(&stage, table, &other).await?, Some(item(&theirs)))
}

async fn a_failed_condition_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let event_id = stage.unique("unchanged");
    let first = claim(&event_id, now + HOUR);
    put(&stage, table, &first, now).await?;
    let _failed = put(&stage, table, &claim(&event_id, now + 2 * HOUR), now).await;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&first)))
}

/// Why the condition says `#ttl`.
async fn ttl_must_be_written_with_a_placeholder(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let item = item(&claim(&stage.unique("reserved"), now + HOUR));
    let request = stage.ingest.dynamodb.put_item().table_name(&table.name).set_item(Some(item));
    let request = request.condition_expression("attribute_not_exists(pk) OR ttl < :now");
    let request = request.expression_attribute_values(":now", AttributeValue::N(now.to_string()));
    same("a condition on `ttl`", answer(&request.send().await).as_str(), "ValidationException")
}

/// Text, a number and bytes, also such as are not text.
async fn a_claim_comes_back_as_it_was_written(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let odd = format!("{}-ä\u{1F41F}\"\\\u{7f}/ ", stage.unique("round-trip"));
    let plain =
        Claim { body: Body::Plain(" {\"a\":\"\\u0000\u{2028}\u{10FFFF}\"}\n".to_owned()), ..claim(&odd, now + HOUR) };
    let zstd = Claim { body: Body::Zstd((0..=255).collect()), ..claim(&stage.unique("bytes"), now + HOUR) };
    for claim in [plain, zstd] {
        put(&stage, table, &claim, now).await?;
        let item = get(&stage, table, &claim.event_id).await?.unwrap_or_default();
        same("claim in the table", Claim::from_item(item)?, claim)?;
    }
    Ok(())
}

/// `claim::Claim::item_bytes` counts as the service does.
async fn an_item_of_400_kib_is_stored_and_one_byte_more_is_refused(stage: Arc<Stage>) -> Outcome {
    item_limit(&stage, |bytes| Body::Plain("x".repeat(bytes))).await
}

async fn a_compressed_item_of_400_kib_is_stored_and_one_byte_more_is_refused(stage: Arc<Stage>) -> Outcome {
    item_limit(&stage, |bytes| Body::Zstd(vec![0xA5; bytes])).await
}

async fn item_limit(stage: &Stage, body: impl Fn(usize) -> Body) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let of_size = |item_bytes: usize| {
        let empty = Claim { body: body(0), ..claim(&stage.unique("größe"), now + HOUR) };
        let claim = Claim { body: body(item_bytes - empty.item_bytes()), ..empty };
        assert_eq!(claim.item_bytes(), item_bytes);
        claim
    };
    for (item_bytes, must_be) in [(MAX_ITEM_BYTES, "accepted"), (MAX_ITEM_BYTES + 1, "ValidationException")] {
        let result = put(stage, table, &of_size(item_bytes), now).await;
        same(format!("an item of {item_bytes} bytes"), answer(&result).as_str(), must_be)?;
    }
    Ok(())
}

/// `claim::key::MAX_EVENT_ID_BYTES` stands on it.
async fn a_partition_key_of_2048_bytes_is_stored_and_one_byte_more_is_refused(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    for (bytes, must_be) in [(2_048, "accepted"), (2_049, "ValidationException")] {
        let event_id = stage.unique("key");
        let fill = bytes - Claim::partition_key(&event_id).len();
        let event_id = event_id + &"ä".repeat(fill / 2) + &"x".repeat(fill % 2);
        let claim = Claim { event_id, ..claim("other", now + HOUR) };
        same(format!("a key of {bytes} bytes"), answer(&put(&stage, table, &claim, now).await).as_str(), must_be)?;
    }
    Ok(())
}

/// How the producer reads claims back.
async fn a_batch_get_finds_a_hundred_keys_and_leaves_out_those_that_are_not_there(stage: Arc<Stage>) -> Outcome {
    let (table, now) = (stage.claims().await?, now_seconds());
    let event_ids: Vec<_> = (0..100).map(|_| stage.unique("many")).collect();
    let there = &event_ids[..60];
    let claims: Vec<_> = there.iter().map(|event_id| claim(event_id, now + HOUR)).collect();
    for result in join_all(claims.iter().map(|claim| put(&stage, table, claim, now))).await {
        result?;
    }
    let request = stage.operator.dynamodb.batch_get_item().request_items(&table.name, keys(&event_ids)?);
    let found = request.send().await?;
    let unprocessed: usize = found.unprocessed_keys().map_or(0, HashMap::len);
    let items = found.responses.and_then(|mut tables| tables.remove(&table.name)).unwrap_or_default();
    let found: HashSet<_> = items
        .into_iter()
        .map(Claim::from_item)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|claim| claim.event_id)
        .collect();
    same("tables with unprocessed keys", unprocessed, 0)?;
    same("claims that were found", found, there.iter().cloned().collect())
}

async fn a_batch_get_of_more_than_a_hundred_keys_is_refused(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_ids: Vec<_> = (0..101).map(|_| stage.unique("too-many")).collect();
    let request = stage.operator.dynamodb.batch_get_item().request_items(&table.name, keys(&event_ids)?);
    same("101 keys", answer(&request.send().await).as_str(), "ValidationException")
}

fn keys(event_ids: &[String]) -> Result<KeysAndAttributes, Instead> {
    let key = |event_id: &String| {
        let pk = AttributeValue::S(Claim::partition_key(event_id));
        HashMap::from([("pk".to_owned(), pk), ("sk".to_owned(), AttributeValue::S(SORT_KEY.to_owned()))])
    };
    let keys = event_ids.iter().map(key).collect();
    Ok(KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?)
}

/// A misconfigured function fails; it takes nothing for a duplicate.
async fn a_table_that_is_not_there_is_no_failed_condition(stage: Arc<Stage>) -> Outcome {
    let nowhere = Table { name: stage.unique("nowhere"), stream_arn: String::new() };
    let now = now_seconds();
    let seen = answer(&put(&stage, &nowhere, &claim("a", now + HOUR), now).await);
    // A role that may write to one table alone is not told which others there are.
    let hidden = stage.engine == Engine::Aws && seen == "AccessDeniedException";
    holds(hidden || seen == "ResourceNotFoundException", || seen)
}
