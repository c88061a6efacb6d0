//! One claim, from the table to the lake: the whole item is read, and goes the way of a stream record from there.

use std::collections::BTreeMap;

use archive_fn::{DataLake, DataLakeError, PutOutcome};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, ObjectPrefix, object};
use lambda_support::error_chain;
use lambda_support::panic_guard::Panicked;

use super::claim_table::{ClaimTable, Item};
use super::worklist::ClaimRef;

/// It is not known whether the object is there.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    #[error("the item {0:?} cannot be read")]
    Get(String, #[source] Box<SdkError<GetItemError>>),
    #[error(transparent)]
    Put(#[from] DataLakeError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// What became of a claim that had no object.
pub(super) enum RewriteOutcome {
    Written,
    AlreadyThere,
    /// The table does not hold this claim any more.
    Gone,
    /// It can never be archived, and is kept whole.
    Unusable {
        reason: String,
    },
}

pub(super) async fn rewrite(
    table: &ClaimTable,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    claim_ref: &ClaimRef,
) -> Result<RewriteOutcome, RewriteError> {
    let Some(item) = get(table, &Claim::partition_key(&claim_ref.event_id)).await? else {
        return Ok(RewriteOutcome::Gone);
    };
    let claim_id = claim_ref.claim_id.to_string();
    if !matches!(item.get("claim_id"), Some(AttributeValue::S(now)) if *now == claim_id) {
        // The event was claimed anew, and that claim's object is the stream's business.
        return Ok(RewriteOutcome::Gone);
    }
    let line = Claim::from_item(item.clone()).and_then(|claim| object::object_line(&claim).map(|line| (claim, line)));
    match line {
        Ok((claim, line)) => Ok(match lake.put(&prefix.object_key(&claim), line).await? {
            PutOutcome::Written => RewriteOutcome::Written,
            PutOutcome::AlreadyThere => RewriteOutcome::AlreadyThere,
        }),
        Err(error) => {
            keep(lake, prefix, item).await?;
            Ok(RewriteOutcome::Unusable { reason: error_chain(&error) })
        }
    }
}

/// Keeps an unusable item whole, if it is still there.
pub(super) async fn quarantine(
    table: &ClaimTable,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    partition_key: &str,
) -> Result<(), RewriteError> {
    match get(table, partition_key).await? {
        Some(item) => keep(lake, prefix, item).await,
        None => Ok(()),
    }
}

async fn get(table: &ClaimTable, partition_key: &str) -> Result<Option<Item>, RewriteError> {
    table.get(partition_key).await.map_err(|error| RewriteError::Get(partition_key.to_owned(), error))
}

/// Where and in the form in which the archive keeps a stream record: the item is its new image. There is no sequence number to
/// name it by, so its hash does, and the same item is kept once however often it is replayed.
async fn keep(lake: &DataLake, prefix: &ObjectPrefix, item: Item) -> Result<(), RewriteError> {
    let image: BTreeMap<String, serde_dynamo::AttributeValue> =
        item.into_iter().map(|(name, value)| (name, value.into())).collect();
    let record = serde_json::json!({ "dynamodb": { "NewImage": image } }).to_string();
    let key = prefix.quarantine_key(None, &record);
    lake.put(&key, record.into_bytes()).await?;
    Ok(())
}
