//! Writes the object of one claim. Reads the claim's whole item, then treats it as `archive-fn` treats a stream record.

use std::collections::BTreeMap;

use archive_fn::{DataLake, DataLakeError, PutOutcome};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, ObjectPrefix, PACK_LAYOUT, object};
use lambda_support::error_chain;
use lambda_support::panic_guard::Panicked;

use super::claim_table::{ClaimTable, Item, ItemKey};
use super::worklist::ClaimRef;

/// A failure after which it is unknown whether the object exists.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    #[error("failed to read the item {0:?}")]
    Get(String, #[source] Box<SdkError<GetItemError>>),
    #[error(transparent)]
    Put(#[from] DataLakeError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// The outcome for a claim without an object, or for an item that the scan could not read as a claim.
pub(super) enum RewriteOutcome {
    Written,
    AlreadyThere,
    /// The table no longer holds this claim.
    Gone,
    /// The item cannot be archived as it is. It was copied to the quarantine.
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
    let Some(item) = get(table, &claim_ref.item).await? else {
        return Ok(RewriteOutcome::Gone);
    };
    let claim_id = claim_ref.claim_id.to_string();
    if !matches!(item.get("claim_id"), Some(AttributeValue::S(now)) if *now == claim_id) {
        // The event has been claimed again since the scan. The stream delivers the new claim to archive-fn.
        return Ok(RewriteOutcome::Gone);
    }
    archive(lake, prefix, item).await
}

/// Rereads an item that the scan could not read as a claim. If somebody has repaired the item since the scan, writes
/// its object. If the item is still unusable, copies it to the quarantine.
pub(super) async fn rewrite_unusable(
    table: &ClaimTable,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    item: &ItemKey,
) -> Result<RewriteOutcome, RewriteError> {
    match get(table, item).await? {
        Some(item) => archive(lake, prefix, item).await,
        None => Ok(RewriteOutcome::Gone),
    }
}

async fn archive(lake: &DataLake, prefix: &ObjectPrefix, item: Item) -> Result<RewriteOutcome, RewriteError> {
    if matches!(item.get("layout"), Some(AttributeValue::S(layout)) if layout == PACK_LAYOUT) {
        // The event has been claimed again since the scan, and the line of the new claim is in a pack.
        return Ok(RewriteOutcome::Gone);
    }
    let line = Claim::from_item(item.clone()).and_then(|claim| object::object_line(&claim).map(|line| (claim, line)));
    match line {
        Ok((claim, line)) => Ok(match lake.put(&prefix.object_key(&claim), line, claim.trace_id.as_ref()).await? {
            PutOutcome::Written => RewriteOutcome::Written,
            PutOutcome::AlreadyThere => RewriteOutcome::AlreadyThere,
        }),
        Err(error) => {
            put_quarantined(lake, prefix, item).await?;
            Ok(RewriteOutcome::Unusable { reason: error_chain(&error) })
        }
    }
}

async fn get(table: &ClaimTable, item: &ItemKey) -> Result<Option<Item>, RewriteError> {
    table.get(item).await.map_err(|error| RewriteError::Get(item.to_string(), error))
}

/// Quarantines an item in the format that `archive-fn` uses for stream records, with the item as the record's new
/// image. The object is named after the record's hash, because an item has no sequence number. So quarantining the same
/// item again creates no second object.
async fn put_quarantined(lake: &DataLake, prefix: &ObjectPrefix, item: Item) -> Result<(), RewriteError> {
    let image: BTreeMap<String, serde_dynamo::AttributeValue> =
        item.into_iter().map(|(name, value)| (name, value.into())).collect();
    let record = serde_json::json!({ "dynamodb": { "NewImage": image } }).to_string();
    let key = prefix.quarantine_key(None, &record);
    lake.put(&key, record.into_bytes(), None).await?;
    Ok(())
}
