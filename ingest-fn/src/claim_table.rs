//! The conditional write of a claim. With `CLAIM_WRITES=single` and without packs, the default, the function sends no other
//! requests.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use claim::{Body, Claim, ClaimError, Digest, DigestError, EventError, EventRules, Layout, PACK_LAYOUT};

/// Condition of the write: the event has no claim, or its claim has expired. DynamoDB may delete an expired item days
/// late, so this condition, and not the deletion, enforces the dedup window.
const CLAIM_CONDITION: &str = "attribute_not_exists(pk) OR #ttl < :now";

/// The table of claims.
pub struct ClaimTable {
    pub(crate) client: Client,
    pub(crate) name: String,
    rules: EventRules,
}

/// The outcome of an attempt to claim an event, with the claim that now holds the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The claim of this attempt is in the table.
    Won(HeldClaim),
    /// An earlier claim is in the table and has not expired.
    Lost {
        /// That claim.
        held: HeldClaim,
        /// The body in that claim; `None` if the claim comes from the cache, or if it must be settled first.
        body: Option<Body>,
    },
}

/// The table's answer to the put of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAnswer {
    /// The outcome, with the claim that now holds the event.
    pub outcome: ClaimOutcome,
    /// A packed claim that must be settled before a message of the event is acknowledged: the earlier claim that holds the
    /// event, or the expired claim that this put has replaced.
    pub unsettled: Option<Box<Claim>>,
}

/// The claim that holds an event, confirmed by the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    pub claim_id: uuid::Uuid,
    /// Digest of the claim's body under the current [`EventRules`].
    pub digest: Digest,
    /// Last second in which the claim is valid, in epoch seconds.
    pub ttl: u64,
}

/// A failed attempt to claim an event. It is unknown which claim holds the event, if any. So no message of the event
/// may be treated as a duplicate.
#[derive(Debug, thiserror::Error)]
pub enum ClaimTableError {
    /// The request failed or was throttled, or its answer was lost. The claim may or may not be in the table.
    #[error("failed to claim event {event_id:?} in table {table:?}")]
    Request {
        event_id: String,
        table: String,
        /// Boxed because it is large.
        source: Box<SdkError<PutItemError>>,
    },
    /// The condition failed, but DynamoDB did not return the item.
    #[error("event {event_id:?} is held by a claim that the table did not return")]
    NoOldItem { event_id: String },
    /// The condition failed because of an item that cannot be read as a claim.
    #[error("event {event_id:?} is held by an item that cannot be read as a claim")]
    UnreadableOldItem {
        event_id: String,
        /// Reason why the item cannot be read.
        source: ClaimError,
    },
    /// The put has replaced an expired packed claim that cannot be read, so that claim cannot be settled. The new claim is
    /// in the table.
    #[error("the claim of event {event_id:?} has replaced an expired packed claim that cannot be read")]
    UnreadableReplacedItem {
        /// Id of the event.
        event_id: String,
        /// Reason why the item cannot be read.
        source: ClaimError,
    },
    /// The digest in the claim that holds the event comes from another version or from other rules, and no new digest
    /// can be computed from the claim's body.
    #[error("event {event_id:?} is held by a claim whose content cannot be compared")]
    IncomparableOldItem {
        event_id: String,
        /// Reason why no digest can be computed.
        source: EventError,
    },
}

impl ClaimOutcome {
    /// Returns the claim that holds the event.
    #[must_use]
    pub fn held_claim(&self) -> HeldClaim {
        let (Self::Won(held) | Self::Lost { held, .. }) = self;
        *held
    }
}

impl HeldClaim {
    pub(crate) fn new(claim: &Claim, digest: Digest) -> Self {
        Self { claim_id: claim.claim_id, digest, ttl: claim.ttl }
    }
}

impl ClaimTable {
    /// Returns the claim table `name` in the region of `client`. If a claim in the table has a digest that was made
    /// with other rules than `rules`, [`put`](Self::put) computes the digest again from the claim's body.
    #[must_use]
    pub fn new(client: Client, name: &str, rules: EventRules) -> Self {
        Self { client, name: name.to_owned(), rules }
    }

    /// Tries to claim an event with a conditional put. Returns the outcome only if the table has stated which claim holds
    /// the event.
    ///
    /// # Errors
    /// Fails if it is unknown which claim holds the event.
    pub async fn put(&self, claim: &Claim) -> Result<PutAnswer, ClaimTableError> {
        let now = claim.claimed_at.timestamp();
        let result = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(claim.to_item().into()))
            .condition_expression(CLAIM_CONDITION)
            // `ttl` is a reserved word in DynamoDB.
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            // With any setting, the put can replace an expired packed claim, which this function must settle.
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(BodyCheck)
            .send()
            .await;

        let event_id = || claim.event_id.clone();
        let old_item = match result {
            Ok(answer) => {
                let outcome = ClaimOutcome::Won(self.held_claim(claim)?);
                let unsettled = answer.attributes.map_or(Ok(None), replaced_packed_claim);
                let unsettled = unsettled
                    .map_err(|source| ClaimTableError::UnreadableReplacedItem { event_id: event_id(), source })?;
                return Ok(PutAnswer { outcome, unsettled });
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => refused.item().cloned(),
                // After a throttle, a 5xx or a lost answer, the claim may or may not be in the table.
                _ => {
                    let table = self.name.clone();
                    return Err(ClaimTableError::Request { event_id: event_id(), table, source: Box::new(error) });
                }
            },
        };
        let old_item = old_item.ok_or_else(|| ClaimTableError::NoOldItem { event_id: event_id() })?;
        let old = Claim::from_item(old_item)
            .map_err(|source| ClaimTableError::UnreadableOldItem { event_id: event_id(), source })?;
        // The claim id alone is not enough: in theory, another message of the event can have got the same random bits.
        if old == *claim {
            // This is the item that we wrote ourselves: an answer was lost, and a later request found the item.
            return Ok(PutAnswer { outcome: ClaimOutcome::Won(self.held_claim(claim)?), unsettled: None });
        }
        let held = self.held_claim(&old)?;
        Ok(match old.layout {
            Layout::Object => PutAnswer { outcome: ClaimOutcome::Lost { held, body: Some(old.body) }, unsettled: None },
            Layout::Pack(_) => {
                PutAnswer { outcome: ClaimOutcome::Lost { held, body: None }, unsettled: Some(Box::new(old)) }
            }
        })
    }

    fn held_claim(&self, claim: &Claim) -> Result<HeldClaim, ClaimTableError> {
        match claim.comparable_digest(&self.rules) {
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
}

/// Returns the claim in a replaced item if it is packed. A claim with an object of its own needs no more work.
fn replaced_packed_claim(item: HashMap<String, AttributeValue>) -> Result<Option<Box<Claim>>, ClaimError> {
    let is_packed = matches!(item.get("layout"), Some(AttributeValue::S(layout)) if layout == PACK_LAYOUT);
    if is_packed { Claim::from_item(item).map(|claim| Some(Box::new(claim))) } else { Ok(None) }
}

/// Turns a successful answer without a body into an error. DynamoDB always sends a JSON object, but a proxy that answers in
/// its place may send an empty body. The SDK would report such an answer as a success.
#[derive(Debug)]
pub(crate) struct BodyCheck;

impl Intercept for BodyCheck {
    fn name(&self) -> &'static str {
        "BodyCheck"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_empty = context.response().body().bytes().is_none_or(<[u8]>::is_empty);
        // An error stays as it is. The SDK retries some errors, such as a connection that breaks in the middle of a body.
        if context.output_or_error().is_ok() && is_empty { Err("the answer has no body".into()) } else { Ok(()) }
    }
}
