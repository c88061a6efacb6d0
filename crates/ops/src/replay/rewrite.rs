//! One claim, from the table to the lake: the whole item is read, and goes the way of a stream record from there.

use std::collections::{BTreeMap, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use claim::key::SORT_KEY;
use claim::{Claim, ObjectPrefix, object};
use lambda_support::error_chain;
use lambda_support::panic_guard::Panicked;

use super::scan::key;
use super::{Claimed, Settings};
use archive_fn::{DataLake, DataLakeError, PutOutcome};

/// As the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The table of claims.
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Table {
    pub(super) fn new(sdk: &SdkConfig, settings: &Settings) -> Self {
        Self { client: Client::new(sdk), name: settings.table.clone() }
    }

    async fn get(&self, partition_key: &str) -> Result<Option<Item>, RewriteError> {
        let key = key(partition_key.to_owned(), SORT_KEY.to_owned());
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let answer = Box::pin(request.send()).await;
        answer.map(|answer| answer.item).map_err(|error| RewriteError::Get(partition_key.to_owned(), Box::new(error)))
    }
}

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
pub(super) enum Rewritten {
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
    table: &Table,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    claimed: &Claimed,
) -> Result<Rewritten, RewriteError> {
    let Some(item) = table.get(&Claim::partition_key(&claimed.event_id)).await? else { return Ok(Rewritten::Gone) };
    let claim_id = claimed.claim_id.to_string();
    if !matches!(item.get("claim_id"), Some(AttributeValue::S(now)) if *now == claim_id) {
        // The event was claimed anew, and that claim's object is the stream's business.
        return Ok(Rewritten::Gone);
    }
    let line = Claim::from_item(item.clone()).and_then(|claim| object::object_line(&claim).map(|line| (claim, line)));
    match line {
        Ok((claim, line)) => Ok(match lake.put(&prefix.object_key(&claim), line).await? {
            PutOutcome::Written => Rewritten::Written,
            PutOutcome::AlreadyThere => Rewritten::AlreadyThere,
        }),
        Err(error) => {
            keep(lake, prefix, item).await?;
            Ok(Rewritten::Unusable { reason: error_chain(&error) })
        }
    }
}

/// Keeps an unusable item whole, if it is still there.
pub(super) async fn quarantine(
    table: &Table,
    lake: &DataLake,
    prefix: &ObjectPrefix,
    partition_key: &str,
) -> Result<(), RewriteError> {
    match table.get(partition_key).await? {
        Some(item) => keep(lake, prefix, item).await,
        None => Ok(()),
    }
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
