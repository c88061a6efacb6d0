//! The requests that this function makes: the conditional write of one claim, and, with `CLAIM_WRITES=batch`, the insertion
//! of many.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_execute_statement::BatchExecuteStatementError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
    ReturnValuesOnConditionCheckFailure,
};
use claim::{Claim, ClaimError, Digest, DigestError, EventError};

/// The table of claims.
pub struct ClaimTable {
    client: Client,
    name: String,
}

/// How the race for an event ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The claim is in the table.
    Won,
    /// Another claim is, and holds.
    Lost(HeldClaim),
}

/// The claim that holds an event, as the table told it.
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

/// Most statements that `BatchExecuteStatement` takes (its API reference: "Array Members: Maximum number of 25 items").
pub const MAX_STATEMENTS: usize = 25;

/// What a request to insert many claims came to.
#[derive(Debug)]
pub struct Inserts {
    /// For each claim, in order, whether this request put it into the table for certain.
    pub done: Vec<bool>,
    /// Of what was refused for another reason than that there is an item, the first.
    pub refused: Option<Refused>,
}

/// An insert that was refused by itself, inside a good answer.
#[derive(Debug, thiserror::Error)]
#[error("an insert was refused: {code}: {message}")]
pub struct Refused {
    /// DynamoDB's word for it.
    pub code: String,
    /// And what it says of it.
    pub message: String,
}

/// Of none of a request's claims it is known whether it is in the table. None may be taken for won or for a duplicate.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The request failed, was throttled, or its answer was lost: each of its inserts may have taken effect or not.
    #[error("inserting {claims} claims into table {table:?} failed")]
    Request {
        /// How many.
        claims: usize,
        /// The table.
        table: String,
        /// Boxed, because it is large.
        source: Box<SdkError<BatchExecuteStatementError>>,
    },
    /// Which answer is whose cannot be told.
    #[error("inserting {claims} claims was answered {answers} times")]
    Answers {
        /// How many.
        claims: usize,
        /// How many answers there were.
        answers: usize,
    },
}

impl ClaimTable {
    /// Of this name, in the client's region.
    #[must_use]
    pub fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    /// Tries to claim an event. The condition holds if nobody has claimed it, or the claim has run out: DynamoDB deletes
    /// expired items days late, so the window is kept by the condition and not by their deletion.
    ///
    /// # Errors
    /// When it is not known who holds the event.
    pub async fn claim(&self, claim: &Claim) -> Result<ClaimOutcome, ClaimTableError> {
        let now = claim.claimed_at.timestamp();
        let result = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(claim.to_item().into()))
            .condition_expression("attribute_not_exists(pk) OR #ttl < :now")
            // `ttl` is one of DynamoDB's reserved words.
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;

        let event_id = || claim.event_id.clone();
        let old_item = match result {
            Ok(_) => return Ok(ClaimOutcome::Won),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => refused.item().cloned(),
                _ => {
                    let (table, source) = (self.name.clone(), Box::new(error));
                    return Err(ClaimTableError::Request { event_id: event_id(), table, source });
                }
            },
        };
        let old_item = old_item.ok_or_else(|| ClaimTableError::NoOldItem { event_id: event_id() })?;
        let unreadable = |source| ClaimTableError::UnreadableOldItem { event_id: event_id(), source };
        let old = Claim::from_item(old_item).map_err(unreadable)?;
        if old.claim_id == claim.claim_id {
            // Our own write, whose answer was lost: the SDK's retry met it.
            return Ok(ClaimOutcome::Won);
        }
        let digest = old.comparable_digest().map_err(|error| match error {
            DigestError::Unreadable(source) => unreadable(source),
            DigestError::NotAnEvent(source) => ClaimTableError::IncomparableOldItem { event_id: event_id(), source },
        })?;
        Ok(ClaimOutcome::Lost(HeldClaim { claim_id: old.claim_id, digest, ttl: old.ttl }))
    }

    /// Tries to insert at most [`MAX_STATEMENTS`] claims of different events in one request. `PartiQL`'s INSERT fails by itself
    /// where there is an item, expired or not, without telling which. Of claims that are not done nothing is known, not even that they did not get there: a retry of
    /// the SDK's meets what its first attempt has inserted. So each of them must be [claimed](Self::claim), by the same claim.
    ///
    /// # Errors
    /// When that holds of all of them.
    pub async fn insert(&self, claims: &[Claim]) -> Result<Inserts, InsertError> {
        let statements = claims.iter().map(|claim| self.insertion(claim)).collect();
        let answer = self.client.batch_execute_statement().set_statements(Some(statements)).send().await;
        let responses = match answer {
            Ok(answer) => answer.responses.unwrap_or_default(),
            Err(error) => {
                let (table, source) = (self.name.clone(), Box::new(error));
                return Err(InsertError::Request { claims: claims.len(), table, source });
            }
        };
        if responses.len() != claims.len() {
            return Err(InsertError::Answers { claims: claims.len(), answers: responses.len() });
        }
        // "The values of the list are ordered according to the ordering of the request statements" (API reference).
        Ok(Inserts { done: responses.iter().map(is_inserted).collect(), refused: responses.iter().find_map(refused) })
    }

    fn insertion(&self, claim: &Claim) -> BatchStatementRequest {
        let item: HashMap<String, AttributeValue> = claim.to_item().into();
        let item = BTreeMap::from_iter(item);
        let (names, values): (Vec<_>, Vec<_>) =
            item.into_iter().map(|(name, value)| (format!("'{name}': ?"), value)).unzip();
        // A table's name has no quotation marks: see `Config`.
        let statement = format!("INSERT INTO \"{}\" VALUE {{{}}}", self.name, names.join(", "));
        let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(values));
        request.build().expect("the statement is set")
    }
}

fn is_inserted(response: &BatchStatementResponse) -> bool {
    // A throttle may be among the errors: the SDK does not retry what is inside an answer of 200.
    response.error.is_none()
}

fn refused(response: &BatchStatementResponse) -> Option<Refused> {
    let error = response.error.as_ref()?;
    if error.code == Some(BatchStatementErrorCodeEnum::DuplicateItem) {
        return None;
    }
    let code = error.code.as_ref().map_or("no code", BatchStatementErrorCodeEnum::as_str).to_owned();
    Some(Refused { code, message: error.message.clone().unwrap_or_default() })
}
