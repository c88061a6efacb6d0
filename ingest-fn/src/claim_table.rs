//! The one request of the default path: the conditional write of a claim.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use claim::{Claim, ClaimError, Digest, DigestError, EventError};

/// Makes the write of a claim conditional: it succeeds only if there is no claim of the event, or that claim has expired. DynamoDB
/// deletes expired items days late, so this condition keeps the dedup window, and their deletion does not.
const CLAIM_CONDITION: &str = "attribute_not_exists(pk) OR #ttl < :now";

/// The table of claims.
pub struct ClaimTable {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// The end of the race for an event, with the claim that holds the event now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Our own claim is in the table.
    Won(HeldClaim),
    /// An earlier claim is, and holds.
    Lost(HeldClaim),
}

/// A claim that holds an event, confirmed by the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// Of the message that won.
    pub claim_id: uuid::Uuid,
    /// Of the content that won.
    pub digest: Digest,
    /// Epoch seconds: it holds up to and including this one.
    pub ttl: u64,
}

/// It is not known whether the event is claimed, or by whom. Never to be taken for a duplicate.
#[derive(Debug, thiserror::Error)]
pub enum ClaimTableError {
    /// The request failed, was throttled, or its answer was lost: it may have taken effect or not.
    #[error("claiming event {event_id:?} in table {table:?} failed")]
    Request {
        /// The event.
        event_id: String,
        /// The table.
        table: String,
        /// Boxed, because it is large.
        source: Box<SdkError<PutItemError>>,
    },
    /// The condition failed, and the item that made it fail was not returned.
    #[error("event {event_id:?} is held by a claim that the table did not return")]
    NoOldItem {
        /// The event.
        event_id: String,
    },
    /// The item that made the condition fail cannot be read as a claim.
    #[error("event {event_id:?} is held by an item that is no readable claim")]
    UnreadableOldItem {
        /// The event.
        event_id: String,
        /// Why.
        source: ClaimError,
    },
    /// The claim that holds the event has a digest of another version, and a body that this version cannot digest.
    #[error("event {event_id:?} is held by a claim whose content cannot be compared")]
    IncomparableOldItem {
        /// The event.
        event_id: String,
        /// Why.
        source: EventError,
    },
}

impl ClaimOutcome {
    /// The claim that holds the event.
    #[must_use]
    pub fn held_claim(&self) -> HeldClaim {
        let (Self::Won(held) | Self::Lost(held)) = self;
        *held
    }
}

impl HeldClaim {
    pub(crate) fn new(claim: &Claim, digest: Digest) -> Self {
        Self { claim_id: claim.claim_id, digest, ttl: claim.ttl }
    }
}

impl ClaimTable {
    /// Of this name, in the client's region.
    #[must_use]
    pub fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    /// Tries to claim an event.
    ///
    /// # Errors
    /// When it is not known who holds the event.
    pub async fn put(&self, claim: &Claim) -> Result<ClaimOutcome, ClaimTableError> {
        let now = claim.claimed_at.timestamp();
        let result = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(claim.to_item().into()))
            .condition_expression(CLAIM_CONDITION)
            // `ttl` is one of DynamoDB's reserved words.
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;

        let event_id = || claim.event_id.clone();
        let old_item = match result {
            Ok(_) => return Ok(ClaimOutcome::Won(held_claim(claim)?)),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => refused.item().cloned(),
                // A throttle, a 5xx, a lost answer: the claim may be in the table or not.
                _ => {
                    let table = self.name.clone();
                    return Err(ClaimTableError::Request { event_id: event_id(), table, source: Box::new(error) });
                }
            },
        };
        let old_item = old_item.ok_or_else(|| ClaimTableError::NoOldItem { event_id: event_id() })?;
        let old = Claim::from_item(old_item)
            .map_err(|source| ClaimTableError::UnreadableOldItem { event_id: event_id(), source })?;
        if old.claim_id == claim.claim_id {
            // Our own write, whose answer was lost: the SDK's retry met it.
            return Ok(ClaimOutcome::Won(held_claim(claim)?));
        }
        Ok(ClaimOutcome::Lost(held_claim(&old)?))
    }
}

fn held_claim(claim: &Claim) -> Result<HeldClaim, ClaimTableError> {
    match claim.comparable_digest() {
        Ok(digest) => Ok(HeldClaim::new(claim, digest)),
        Err(error) => {
            let event_id = claim.event_id.clone();
            Err(match error {
                DigestError::Unreadable(source) => ClaimTableError::UnreadableOldItem { event_id, source },
                DigestError::NotAnEvent(source) => ClaimTableError::IncomparableOldItem { event_id, source },
            })
        }
    }
}
