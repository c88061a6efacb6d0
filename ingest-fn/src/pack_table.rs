//! The requests about packs: the put that closes a pack, and the read of the claims that a pack lists.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use claim::pack::SORT_KEY;
use claim::{ClaimIds, Pack, PackError};
use uuid::Uuid;

use crate::claim_table::{BodyCheck, ClaimTable};

/// Condition of the put: the pack is not closed yet. It also fails if the item exists but has expired. Otherwise, a
/// claim could be archived in two packs.
const CLOSE_CONDITION: &str = "attribute_not_exists(pk)";

/// The outcome of an attempt to close a pack. In both cases the pack exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseOutcome {
    /// This request has written the pack.
    Written,
    /// An earlier request has written the pack, and it lists these claims. Only they are archived in it.
    Exists(ClaimIds),
}

/// A failed request about a pack. It is unknown which claims the pack lists, if it exists.
#[derive(Debug, thiserror::Error)]
pub enum PackTableError {
    /// The put failed or was throttled, or its answer was lost. The pack may or may not be in the table.
    #[error("failed to close pack {pack_id} in table {table:?}")]
    Put {
        /// Id of the pack.
        pack_id: Uuid,
        /// Name of the table.
        table: String,
        /// Boxed because it is large.
        source: Box<SdkError<PutItemError>>,
    },
    /// The read failed or was throttled, or its answer was lost.
    #[error("failed to read pack {pack_id} in table {table:?}")]
    Read {
        /// Id of the pack.
        pack_id: Uuid,
        /// Name of the table.
        table: String,
        /// Boxed because it is large.
        source: Box<SdkError<GetItemError>>,
    },
    /// The condition failed, but DynamoDB did not return the item.
    #[error("pack {pack_id} exists, but the table did not return it")]
    NoOldItem {
        /// Id of the pack.
        pack_id: Uuid,
    },
    /// The item cannot be read as a pack.
    #[error("pack {pack_id} cannot be read")]
    Unreadable {
        /// Id of the pack.
        pack_id: Uuid,
        /// Reason why the item cannot be read.
        source: PackError,
    },
}

impl ClaimTable {
    /// Tries to close a pack. Returns the outcome only if the table has stated which claims the pack lists.
    ///
    /// # Errors
    /// Fails if it is unknown which claims the pack lists.
    pub async fn close_pack(&self, pack: Pack) -> Result<CloseOutcome, PackTableError> {
        let pack_id = pack.pack_id;
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(pack.into_item().into()))
            .condition_expression(CLOSE_CONDITION)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(BodyCheck);
        let error = match request.send().await {
            Ok(_) => return Ok(CloseOutcome::Written),
            Err(error) => error,
        };
        let Some(PutItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(PackTableError::Put { pack_id, table: self.name.clone(), source: Box::new(error) });
        };
        let item = refused.item().cloned().ok_or(PackTableError::NoOldItem { pack_id })?;
        let claim_ids = ClaimIds::from_item(item);
        claim_ids.map(CloseOutcome::Exists).map_err(|source| PackTableError::Unreadable { pack_id, source })
    }

    /// Reads the claims that a pack lists; `None` if the pack does not exist.
    ///
    /// # Errors
    /// Fails if it is unknown which claims the pack lists.
    pub async fn listed_claims(&self, pack_id: Uuid) -> Result<Option<ClaimIds>, PackTableError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", AttributeValue::S(Pack::partition_key(pack_id)))
            .key("sk", AttributeValue::S(SORT_KEY.to_owned()))
            // The lines can be much longer than the ids.
            .projection_expression("claim_ids")
            .consistent_read(true)
            .customize()
            .interceptor(BodyCheck);
        let answer = request.send().await.map_err(|error| PackTableError::Read {
            pack_id,
            table: self.name.clone(),
            source: Box::new(error),
        })?;
        let claim_ids = answer.item.map(ClaimIds::from_item).transpose();
        claim_ids.map_err(|source| PackTableError::Unreadable { pack_id, source })
    }
}
