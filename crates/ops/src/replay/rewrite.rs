//! Writes the object of one claim or pack. Reads the whole item, then treats it as `archive-fn` treats a stream record.

use std::collections::BTreeMap;

use archive_fn::{DataLake, DataLakeError, PackObject, PutOutcome};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use claim::{Claim, ClaimError, ObjectPrefix, Pack, object, pack};
use lambda_support::error_chain;
use lambda_support::panic_guard::Panicked;
use uuid::Uuid;

use super::claim_table::{ClaimTable, Item, ItemKey};

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

/// The outcome for a claim or a pack without an object, or for an item that the scan could not read.
pub(super) enum RewriteOutcome {
    Written,
    AlreadyThere,
    /// The table no longer holds this claim or pack.
    Gone,
    /// The item is a packed claim, so it has no object of its own.
    Packed(Box<Claim>),
    /// The item cannot be archived as it is. It was copied to the quarantine.
    Unusable {
        reason: String,
    },
}

/// Writes the object of a claim.
pub(super) async fn rewrite_claim(
    table: &ClaimTable,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    claim_id: Uuid,
    item: &ItemKey,
) -> Result<RewriteOutcome, RewriteError> {
    let Some(item) = get_claim(table, claim_id, item).await? else { return Ok(RewriteOutcome::Gone) };
    archive(lake, prefix, item).await
}

/// Writes the object of a pack.
pub(super) async fn rewrite_pack(
    table: &ClaimTable,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    pack_id: Uuid,
) -> Result<RewriteOutcome, RewriteError> {
    rewrite_item(table, lake, prefix, &ItemKey::of_pack(pack_id)).await
}

/// Writes the object of an item. If the scan could not read the item, somebody may have repaired it since. If it is still
/// unusable, copies it to the quarantine.
pub(super) async fn rewrite_item(
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
    let is_pack = matches!(item.get("sk"), Some(AttributeValue::S(sk)) if sk == pack::SORT_KEY);
    let put = if is_pack {
        let pack = Pack::from_item(item.clone());
        match pack.and_then(|pack| PackObject::build(&pack).map(|object| (pack.pack_id, object))) {
            Ok((pack_id, PackObject { gzip, lines })) => {
                lake.put_pack(&prefix.pack_key(pack_id), gzip, lines.len()).await?
            }
            Err(error) => return quarantine(lake, prefix, item, error_chain(&error)).await,
        }
    } else {
        match read_claim(item.clone()) {
            Ok((claim, _)) if claim.layout.pack().is_some() => return Ok(RewriteOutcome::Packed(Box::new(claim))),
            Ok((claim, line)) => lake.put(&prefix.object_key(&claim), line, claim.trace_id.as_ref()).await?,
            Err(error) => return quarantine(lake, prefix, item, error_chain(&error)).await,
        }
    };
    Ok(match put {
        PutOutcome::Written => RewriteOutcome::Written,
        PutOutcome::AlreadyThere => RewriteOutcome::AlreadyThere,
    })
}

/// Decodes a claim and its line.
pub(super) fn read_claim(item: Item) -> Result<(Claim, Vec<u8>), ClaimError> {
    let claim = Claim::from_item(item)?;
    let line = object::object_line(&claim)?;
    Ok((claim, line))
}

/// Returns the item of a claim; `None` if it was deleted, or if the event has been claimed again since the scan. The stream
/// delivers a new claim to `archive-fn`.
pub(super) async fn get_claim(
    table: &ClaimTable,
    claim_id: Uuid,
    item: &ItemKey,
) -> Result<Option<Item>, RewriteError> {
    let claim_id = claim_id.to_string();
    let is_this_claim = |item: &Item| matches!(item.get("claim_id"), Some(AttributeValue::S(now)) if *now == claim_id);
    Ok(get(table, item).await?.filter(is_this_claim))
}

async fn get(table: &ClaimTable, item: &ItemKey) -> Result<Option<Item>, RewriteError> {
    table.get(item).await.map_err(|error| RewriteError::Get(item.to_string(), error))
}

/// Quarantines an unusable item in the format that `archive-fn` uses for stream records, with the item as the record's new
/// image. The object is named after the record's hash, because an item has no sequence number. So quarantining the same
/// item again creates no second object.
pub(super) async fn quarantine(
    lake: &DataLake,
    prefix: &ObjectPrefix,
    item: Item,
    reason: String,
) -> Result<RewriteOutcome, RewriteError> {
    let image: BTreeMap<String, serde_dynamo::AttributeValue> =
        item.into_iter().map(|(name, value)| (name, value.into())).collect();
    let record = serde_json::json!({ "dynamodb": { "NewImage": image } }).to_string();
    let key = prefix.quarantine_key(None, &record);
    lake.put(&key, record.into_bytes(), None).await?;
    Ok(RewriteOutcome::Unusable { reason })
}
