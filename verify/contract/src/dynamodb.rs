//! Behaviors of DynamoDB: the conditional write of a claim, and the requests that read claims back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use claim::key::SORT_KEY;
use claim::record::MAX_ITEM_BYTES;
use claim::{Body, Claim, EventRules};
use futures_util::future::join_all;
use ingest_fn::{ClaimOutcome, ClaimTable};

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, HOUR, Item, claim, get, item, now_seconds, put};
use crate::engine::Engine;
use crate::outcome::{Mismatch, Outcome, ensure, expect_eq, response_code, run_concurrently};
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(
            DynamoDb,
            "Of 50 concurrent claims of one event, one wins and the others receive the winner's item",
            herd_claim_has_one_winner
        ),
        behavior!(DynamoDb, "Of 50 concurrent takeovers of an expired claim, one wins", herd_takeover_has_one_winner),
        behavior!(
            DynamoDb,
            "A failed condition returns the current item if `ALL_OLD` was requested",
            failed_condition_returns_item
        ),
        behavior!(
            DynamoDb,
            "A failed condition returns no item unless `ALL_OLD` was requested",
            failed_condition_omits_item_by_default
        ),
        behavior!(
            DynamoDb,
            "If a claim is put twice, the second put fails and returns the claim id of the first",
            repeated_put_returns_its_own_claim_id
        ),
        behavior!(
            DynamoDb,
            "A claim holds until its `ttl`, including that second, and can be taken over one second later",
            claim_holds_through_its_ttl_second
        ),
        behavior!(DynamoDb, "A condition compares `ttl` as a number, not as text", ttl_is_compared_as_number),
        behavior!(DynamoDb, "A takeover does not touch the items of other events", takeover_leaves_other_events_alone),
        behavior!(DynamoDb, "A failed condition changes nothing", failed_condition_changes_nothing),
        behavior!(DynamoDb, "A condition that names `ttl` without a placeholder is rejected", ttl_needs_placeholder),
        behavior!(DynamoDb, "A claim is read back as it was written", claim_is_read_back_unchanged),
        behavior!(DynamoDb, "An item of 400 KiB is stored; one byte more is rejected", item_limit_is_400_kib),
        behavior!(
            DynamoDb,
            "An item of 400 KiB with a compressed body is stored; one byte more is rejected",
            compressed_item_limit_is_400_kib
        ),
        behavior!(
            DynamoDb,
            "A partition key of 2,048 bytes is stored; one byte more is rejected",
            partition_key_limit_is_2048_bytes
        ),
        behavior!(
            DynamoDb,
            "`Query` with `begins_with` returns the claims of one event under every dedup key, and nothing else",
            query_finds_claims_of_every_key
        ),
        behavior!(
            DynamoDb,
            "`BatchGetItem` accepts 100 keys and omits those that do not exist",
            batch_get_omits_missing_keys
        ),
        behavior!(DynamoDb, "`BatchGetItem` with more than 100 keys is rejected", batch_get_limit_is_100_keys),
        behavior!(
            DynamoDb,
            "Writing to a missing table is an error, not a failed condition",
            missing_table_is_not_a_failed_condition
        ),
    ]
}

/// Returns the item that the put's `ConditionalCheckFailedException` contains, if any. Fails on any other result.
fn old_item(result: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<Option<Item>, Mismatch> {
    match result.map_err(SdkError::into_service_error) {
        Err(PutItemError::ConditionalCheckFailedException(failed)) => Ok(failed.item),
        Err(other) => Err(other.into()),
        Ok(_) => Err(Mismatch("the condition held".to_owned())),
    }
}

/// Guarantee 1 depends on this behavior: an event has only one claim at a time. The test sends the claims with
/// `ingest-fn`'s own code, all at once.
async fn herd_claim_has_one_winner(stage: Arc<Stage>) -> Outcome {
    send_herds(&stage, false).await
}

/// An expired claim stays in the table until TTL deletes it. In this test, 50 puts compete to replace such a claim.
async fn herd_takeover_has_one_winner(stage: Arc<Stage>) -> Outcome {
    send_herds(&stage, true).await
}

async fn send_herds(stage: &Stage, over_expired_claim: bool) -> Outcome {
    let table = stage.claims().await?;
    let claim_table = Arc::new(ClaimTable::new(stage.ingest.dynamodb.clone(), &table.name, EventRules::default()));
    for _ in 0..8 {
        let event_id = stage.unique("herd");
        let now = now_seconds();
        if over_expired_claim {
            put(stage, table, &claim(&event_id, now + HOUR), now).await?;
        }
        // Two hours later, the first claim has expired.
        let late = |claim: Claim| Claim { claimed_at: claim.claimed_at + Duration::from_secs(2 * HOUR), ..claim };
        let claims: Vec<_> = (0..HERD).map(|_| late(claim(&event_id, now + 3 * HOUR))).collect();
        let outcomes = run_concurrently(claims.clone().into_iter().map(|claim| {
            let claim_table = Arc::clone(&claim_table);
            async move { claim_table.put(&claim).await.map(|answer| answer.outcome) }
        }))
        .await;
        let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> =
            claims.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, ClaimOutcome::Won(_))).collect();
        expect_eq("winners", winners.len(), 1)?;
        let winner = winners[0].0;
        let returned = outcomes.iter().filter_map(|outcome| match outcome {
            ClaimOutcome::Won(_) => None,
            ClaimOutcome::Lost { held, .. } => Some(held.claim_id),
        });
        expect_eq("claims returned to the losers", returned.collect::<HashSet<_>>(), HashSet::from([winner.claim_id]))?;
        expect_eq("item in the table", get(stage, table, &event_id).await?, Some(item(winner)))?;
    }
    Ok(())
}

/// `ingest-fn` compares the returned item with the claim that it tried to put. If the digests differ, the message is a
/// conflict. If the claim ids are equal, an earlier attempt of the same put succeeded, but its response was lost.
async fn failed_condition_returns_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("held");
    let first = claim(&event_id, now + HOUR);
    let second = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &first, now).await?;
    expect_eq("returned item", old_item(put(&stage, table, &second, now).await)?, Some(item(&first)))
}

async fn failed_condition_omits_item_by_default(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let claim = claim(&stage.unique("no-item"), now + HOUR);
    put(&stage, table, &claim, now).await?;
    let request = stage.ingest.dynamodb.put_item().table_name(&table.name).set_item(Some(item(&claim)));
    let result = request.condition_expression("attribute_not_exists(pk)").send().await;
    expect_eq("returned item", old_item(result)?, None)
}

/// The SDK retries a put whose response was lost.
async fn repeated_put_returns_its_own_claim_id(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let claim = claim(&stage.unique("twice"), now + HOUR);
    put(&stage, table, &claim, now).await?;
    let returned = old_item(put(&stage, table, &claim, now).await)?;
    expect_eq("returned claim id", returned.and_then(|mut old| old.remove("claim_id")), item(&claim).remove("claim_id"))
}

/// The dedup window is exact to the second, no matter how late TTL deletes the item.
async fn claim_holds_through_its_ttl_second(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let ttl = now_seconds() + HOUR;
    let event_id = stage.unique("boundary");
    let first = claim(&event_id, ttl);
    let second = claim(&event_id, ttl + HOUR);
    put(&stage, table, &first, ttl - HOUR).await?;
    for now in [ttl - 1, ttl] {
        let result = put(&stage, table, &second, now).await;
        expect_eq(
            format!("takeover {} s before `ttl`", ttl - now),
            response_code(&result).as_str(),
            "ConditionalCheckFailedException",
        )?;
    }
    expect_eq(
        "takeover 1 s after `ttl`",
        response_code(&put(&stage, table, &second, ttl + 1).await).as_str(),
        "accepted",
    )?;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&second)))
}

async fn ttl_is_compared_as_number(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    // As text, "9999999999" sorts after "10000000000".
    let event_id = stage.unique("digits");
    put(&stage, table, &claim(&event_id, 9_999_999_999), 1).await?;
    let result = put(&stage, table, &claim(&event_id, 10_000_000_001), 10_000_000_000).await;
    expect_eq("takeover of a `ttl` with fewer digits", response_code(&result).as_str(), "accepted")
}

async fn takeover_leaves_other_events_alone(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let ours = stage.unique("ours");
    let other = stage.unique("other");
    let expired = claim(&ours, now + HOUR);
    let theirs = claim(&other, now + HOUR);
    put(&stage, table, &expired, now).await?;
    put(&stage, table, &theirs, now).await?;
    put(&stage, table, &claim(&ours, now + 3 * HOUR), now + 2 * HOUR).await?;
    expect_eq("item of the other event", get(&stage, table, &other).await?, Some(item(&theirs)))
}

async fn failed_condition_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("unchanged");
    let first = claim(&event_id, now + HOUR);
    put(&stage, table, &first, now).await?;
    let _failed = put(&stage, table, &claim(&event_id, now + 2 * HOUR), now).await;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&first)))
}

/// `ttl` is a reserved word in DynamoDB, so `ingest-fn` uses the placeholder `#ttl`.
async fn ttl_needs_placeholder(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let item = item(&claim(&stage.unique("reserved"), now + HOUR));
    let request = stage.ingest.dynamodb.put_item().table_name(&table.name).set_item(Some(item));
    let request = request.condition_expression("attribute_not_exists(pk) OR ttl < :now");
    let request = request.expression_attribute_values(":now", AttributeValue::N(now.to_string()));
    expect_eq("a condition on `ttl`", response_code(&request.send().await).as_str(), "ValidationException")
}

/// The claims in this test contain text, a number, and bytes that are not valid UTF-8.
async fn claim_is_read_back_unchanged(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let odd = format!("{}-ä\u{1F41F}\"\\\u{7f}/ ", stage.unique("round-trip"));
    let plain =
        Claim { body: Body::Plain(" {\"a\":\"\\u0000\u{2028}\u{10FFFF}\"}\n".to_owned()), ..claim(&odd, now + HOUR) };
    let zstd = Claim { body: Body::Zstd((0..=255).collect()), ..claim(&stage.unique("bytes"), now + HOUR) };
    for claim in [plain, zstd] {
        put(&stage, table, &claim, now).await?;
        let item = get(&stage, table, &claim.event_id).await?.unwrap_or_default();
        expect_eq("claim in the table", Claim::from_item(item)?, claim)?;
    }
    Ok(())
}

/// Checks that `claim::Claim::item_bytes` counts the bytes of an item as DynamoDB does.
async fn item_limit_is_400_kib(stage: Arc<Stage>) -> Outcome {
    check_item_limit(&stage, |bytes| Body::Plain("x".repeat(bytes))).await
}

async fn compressed_item_limit_is_400_kib(stage: Arc<Stage>) -> Outcome {
    check_item_limit(&stage, |bytes| Body::Zstd(vec![0xA5; bytes])).await
}

async fn check_item_limit(stage: &Stage, body: impl Fn(usize) -> Body) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let claim_of_size = |item_bytes: usize| {
        let empty = Claim { body: body(0), ..claim(&stage.unique("größe"), now + HOUR) };
        let claim = Claim { body: body(item_bytes - empty.item_bytes()), ..empty };
        assert_eq!(claim.item_bytes(), item_bytes);
        claim
    };
    for (item_bytes, expected) in [(MAX_ITEM_BYTES, "accepted"), (MAX_ITEM_BYTES + 1, "ValidationException")] {
        let result = put(stage, table, &claim_of_size(item_bytes), now).await;
        expect_eq(format!("an item of {item_bytes} bytes"), response_code(&result).as_str(), expected)?;
    }
    Ok(())
}

/// `claim::key::MAX_EVENT_ID_BYTES` depends on this limit.
async fn partition_key_limit_is_2048_bytes(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    for (bytes, expected) in [(2_048, "accepted"), (2_049, "ValidationException")] {
        let event_id = stage.unique("key");
        let fill = bytes - Claim::partition_key(&event_id).len();
        let event_id = event_id + &"ä".repeat(fill / 2) + &"x".repeat(fill % 2);
        let claim = Claim { event_id, ..claim("other", now + HOUR) };
        expect_eq(
            format!("a key of {bytes} bytes"),
            response_code(&put(&stage, table, &claim, now).await).as_str(),
            expected,
        )?;
    }
    Ok(())
}

/// `producer trace` uses this request to find the claims of an event under every dedup key.
async fn query_finds_claims_of_every_key(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("every-key");
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let stored = item(&claim(&event_id, now + HOUR));
    for sort_key in ["CLAIM", "CLAIM#0123456789abcdef", "PACK"] {
        let item = stored.clone().into_iter().chain([("sk".to_owned(), text(sort_key))]).collect();
        stage.operator.dynamodb.put_item().table_name(&table.name).set_item(Some(item)).send().await?;
    }
    put(&stage, table, &claim(&format!("{event_id}-longer"), now + HOUR), now).await?;
    let request = stage.operator.dynamodb.query().table_name(&table.name).consistent_read(true);
    let request = request.key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
    let request = request.expression_attribute_values(":pk", text(&Claim::partition_key(&event_id)));
    let found = request.expression_attribute_values(":sk", text(SORT_KEY)).send().await?;
    let sort_keys = found.items().iter().map(|item| item.get("sk").cloned());
    let expected = ["CLAIM", "CLAIM#0123456789abcdef"].map(|sort_key| Some(text(sort_key)));
    expect_eq("sort keys found, in order", sort_keys.collect::<Vec<_>>(), expected.to_vec())
}

/// The producer uses this request to read claims.
async fn batch_get_omits_missing_keys(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
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
    expect_eq("tables with unprocessed keys", unprocessed, 0)?;
    expect_eq("claims found", found, there.iter().cloned().collect())
}

async fn batch_get_limit_is_100_keys(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_ids: Vec<_> = (0..101).map(|_| stage.unique("too-many")).collect();
    let request = stage.operator.dynamodb.batch_get_item().request_items(&table.name, keys(&event_ids)?);
    expect_eq("101 keys", response_code(&request.send().await).as_str(), "ValidationException")
}

fn keys(event_ids: &[String]) -> Result<KeysAndAttributes, Mismatch> {
    let key = |event_id: &String| {
        let pk = AttributeValue::S(Claim::partition_key(event_id));
        HashMap::from([("pk".to_owned(), pk), ("sk".to_owned(), AttributeValue::S(SORT_KEY.to_owned()))])
    };
    let keys = event_ids.iter().map(key).collect();
    Ok(KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?)
}

/// A function with a wrong table name must fail. It must not treat the missing table as a duplicate.
async fn missing_table_is_not_a_failed_condition(stage: Arc<Stage>) -> Outcome {
    let nowhere = Table { name: stage.unique("nowhere"), stream_arn: String::new() };
    let now = now_seconds();
    let seen = response_code(&put(&stage, &nowhere, &claim("a", now + HOUR), now).await);
    // On AWS, a role that may access only one table gets this error for every other table name.
    let hidden = stage.engine == Engine::Aws && seen == "AccessDeniedException";
    ensure(hidden || seen == "ResourceNotFoundException", || seen)
}
