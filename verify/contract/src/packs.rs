//! Behaviors of DynamoDB that packs need: the put that closes a pack, the read of its claims, and the put that returns the
//! expired claim that it replaces.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, ClaimIds, EventRules, Pack, PackBuilder};
use ingest_fn::{ClaimTable, CloseOutcome};
use uuid::Uuid;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, HOUR, Item, claim, item, now_seconds, put};
use crate::outcome::{Mismatch, Outcome, ensure, expect_eq, run_concurrently};
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(
            DynamoDb,
            "A put returns the item that it replaces if `ReturnValues` is `ALL_OLD`, and no item if it replaces none",
            put_returns_replaced_item
        ),
        behavior!(
            DynamoDb,
            "Of 50 concurrent puts of a pack, one succeeds and the others receive its item",
            herd_of_closes_has_one_winner
        ),
        behavior!(
            DynamoDb,
            "A pack whose `ttl` has passed is still there for `attribute_not_exists(pk)`",
            expired_pack_is_not_replaced
        ),
        behavior!(
            DynamoDb,
            "A consistent `GetItem` returns only the requested attribute of a pack, and no item for another key",
            read_returns_only_the_requested_attribute
        ),
    ]
}

fn claim_table(stage: &Stage, table: &Table) -> ClaimTable {
    ClaimTable::new(stage.ingest.dynamodb.clone(), &table.name, EventRules::default())
}

/// Returns a pack of one claim.
fn pack(stage: &Stage, pack_id: Uuid, ttl: u64) -> Pack {
    let mut builder = PackBuilder::new();
    builder.push(&claim(&stage.unique("packed"), now_seconds() + HOUR)).unwrap();
    Pack { ttl, ..builder.finish(pack_id).unwrap() }
}

fn new_pack_id() -> Uuid {
    Claim::id_at(SystemTime::now(), &std::array::from_fn(|_| fastrand::u8(..)))
}

/// `ingest-fn` settles an expired packed claim that its put replaces. It learns of this claim only from the put's answer.
async fn put_returns_replaced_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("replaced");
    let first = claim(&event_id, now + HOUR);
    let second = claim(&event_id, now + 3 * HOUR);
    let nothing = put(&stage, table, &first, now).await?.attributes.unwrap_or_default();
    expect_eq("item returned by the first put", nothing, Item::new())?;
    // Two hours later, the first claim has expired.
    let replaced = put(&stage, table, &second, now + 2 * HOUR).await?.attributes;
    expect_eq("item returned by the second put", replaced, Some(item(&first)))
}

/// At most one of the closes of a pack may succeed, and each other one must learn which claims the pack lists. The test sends
/// the puts with `ingest-fn`'s own code, all at once.
async fn herd_of_closes_has_one_winner(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let claim_table = Arc::new(claim_table(&stage, table));
    for _ in 0..8 {
        let pack_id = new_pack_id();
        let packs: Vec<Pack> = (0..HERD).map(|_| pack(&stage, pack_id, now_seconds() + HOUR)).collect();
        let outcomes = run_concurrently(packs.clone().into_iter().map(|pack| {
            let claim_table = Arc::clone(&claim_table);
            async move { claim_table.close_pack(pack).await }
        }))
        .await;
        let outcomes: Vec<CloseOutcome> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let written: Vec<&Pack> = packs
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == CloseOutcome::Written)
            .map(|it| it.0)
            .collect();
        expect_eq("packs written", written.len(), 1)?;
        let returned: HashSet<Vec<Uuid>> = outcomes.iter().filter_map(listed).collect();
        expect_eq("claims returned to the others", returned, HashSet::from([ids(&written[0].claim_ids)]))?;
        let stored = claim_table.listed_claims(pack_id).await?;
        expect_eq("claims in the table", stored, Some(written[0].claim_ids.clone()))?;
    }
    Ok(())
}

fn ids(claim_ids: &ClaimIds) -> Vec<Uuid> {
    claim_ids.iter().collect()
}

fn listed(outcome: &CloseOutcome) -> Option<Vec<Uuid>> {
    match outcome {
        CloseOutcome::Written => None,
        CloseOutcome::Exists(claim_ids) => Some(ids(claim_ids)),
    }
}

/// An item whose `ttl` has passed stays until TTL deletes it, days later. Until then, no one may close the pack again.
async fn expired_pack_is_not_replaced(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let claim_table = claim_table(&stage, table);
    let pack_id = new_pack_id();
    // TTL will hardly delete an item that expired a minute ago.
    let expired = pack(&stage, pack_id, now_seconds() - 60);
    let first = expired.claim_ids.clone();
    expect_eq("first put", claim_table.close_pack(expired).await?, CloseOutcome::Written)?;
    let second = claim_table.close_pack(pack(&stage, pack_id, now_seconds() + HOUR)).await?;
    expect_eq("second put", second, CloseOutcome::Exists(first))
}

async fn read_returns_only_the_requested_attribute(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let claim_table = claim_table(&stage, table);
    let pack = pack(&stage, new_pack_id(), now_seconds() + HOUR);
    let (pack_id, claim_ids) = (pack.pack_id, pack.claim_ids.clone());
    claim_table.close_pack(pack).await?;
    expect_eq("claims of the pack", claim_table.listed_claims(pack_id).await?, Some(claim_ids))?;
    expect_eq("claims of another pack", claim_table.listed_claims(new_pack_id()).await?, None)?;
    let request = stage.ingest.dynamodb.get_item().table_name(&table.name).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(Pack::partition_key(pack_id)));
    let request = request.key("sk", AttributeValue::S(claim::pack::SORT_KEY.to_owned()));
    let answer = request.projection_expression("claim_ids").send().await?;
    let item = answer.item.ok_or_else(|| Mismatch("no item".to_owned()))?;
    ensure(item.len() == 1 && item.contains_key("claim_ids"), || format!("got {:?}", item.keys()))
}
