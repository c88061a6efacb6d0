//! `CLAIM_WRITES=batch`: one request inserts many claims, in front of the default path.
//!
//! The insert believes one answer alone: that this insert was done. The conditional put settles whatever the inserts have
//! left open, by the same claim. So window, conflict and the recognition of our own write are the put's, as in the default path.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_execute_statement::BatchExecuteStatementError;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
};
use claim::{BodyTooLarge, Claim};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use lambda_support::{Deadline, logs};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::claim_table::{ClaimOutcome, ClaimTable, HeldClaim};
use crate::claimer::{Claimer, ClaimerError, MAX_IN_FLIGHT};
use crate::plan::{Group, Leader};

/// Most statements that `BatchExecuteStatement` takes (its API reference: "Array Members: Maximum number of 25 items").
pub const MAX_STATEMENTS: usize = 25;

/// Requests of many claims in flight at once, beside those of one claim.
const MAX_INSERTS_IN_FLIGHT: usize = 4;

/// Bodies in one request of many claims, in bytes: all requests in flight have as much as one of the largest bodies.
/// A larger body costs so much by itself that a request of its own does not show.
const MAX_INSERT_BYTES: usize = 256 * 1_024;

/// Longest that a request of many claims may take, all its attempts together: as long as one attempt. What is open then has
/// the rest of the time for its put.
const MAX_INSERT_TIME: Duration = Duration::from_secs(4);

/// Claims the groups of one batch.
pub(crate) struct BulkInserter<'a> {
    claimer: &'a Claimer,
    groups: &'a [Group],
    deadline: Deadline,
}

/// The requests of a batch. Groups are given by their index.
struct RequestPlan {
    /// Groups whose claims one request inserts.
    inserts: VecDeque<Vec<usize>>,
    puts: VecDeque<Put>,
}

/// A group that gets a request of its own.
enum Put {
    /// The default path.
    New(usize),
    /// A claim that may be in the table already.
    Open(usize, Claim),
}

/// The groups of one insert request afterwards, by their index.
#[derive(Default)]
struct InsertedBatch {
    known: Vec<(usize, Result<ClaimOutcome, ClaimerError>)>,
    open: Vec<Put>,
}

/// The answer to a request that inserts many claims.
#[derive(Debug)]
pub struct InsertOutcome {
    /// One flag for each claim, in order: true if this request certainly inserted it.
    pub inserted: Vec<bool>,
    /// The first refusal for another reason than an existing item.
    pub refusal: Option<InsertRefusal>,
}

/// An insert that was refused by itself, inside a good answer.
#[derive(Debug, thiserror::Error)]
#[error("an insert was refused: {code}: {message}")]
pub struct InsertRefusal {
    /// DynamoDB's error code.
    pub code: String,
    /// DynamoDB's message.
    pub message: String,
}

/// The outcome of every claim in the request is unknown. None may be treated as won or as a duplicate.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The request failed, was throttled, or its answer was lost: each of its inserts may have taken effect or not.
    #[error("inserting {claims} claims into table {table:?} failed")]
    Request {
        /// Number of claims in the request.
        claims: usize,
        /// The table.
        table: String,
        /// Boxed, because it is large.
        source: Box<SdkError<BatchExecuteStatementError>>,
    },
    /// The answers cannot be assigned to the claims.
    #[error("inserting {claims} claims was answered {answers} times")]
    Answers {
        /// Number of claims in the request.
        claims: usize,
        /// Number of answers.
        answers: usize,
    },
}

/// Why claims are left open.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Refused(InsertRefusal),
    #[error(transparent)]
    Insert(InsertError),
    #[error(transparent)]
    Panicked(Panicked),
    #[error("there was no answer in time")]
    Late(#[source] Elapsed),
}

impl<'a> BulkInserter<'a> {
    pub(crate) fn new(claimer: &'a Claimer, groups: &'a [Group], deadline: Deadline) -> Self {
        Self { claimer, groups, deadline }
    }

    /// Hands over each group's index, and the outcome of its leader's claim as soon as it is known. What is still under way at
    /// the deadline is for the caller to drop.
    pub(crate) async fn claim_groups(&self, mut on_outcome: impl FnMut(usize, Result<ClaimOutcome, ClaimerError>)) {
        let RequestPlan { mut inserts, mut puts } = self.plan_requests();
        let mut inserts_in_flight = FuturesUnordered::new();
        let mut puts_in_flight = FuturesUnordered::new();
        loop {
            while inserts_in_flight.len() < MAX_INSERTS_IN_FLIGHT
                && let Some(request) = inserts.pop_front()
            {
                inserts_in_flight.push(self.insert_batch(request));
            }
            while puts_in_flight.len() < MAX_IN_FLIGHT
                && let Some(put) = puts.pop_front()
            {
                puts_in_flight.push(self.put(put));
            }
            tokio::select! {
                biased;
                Some(batch) = inserts_in_flight.next() => {
                    batch.known.into_iter().for_each(|(index, outcome)| on_outcome(index, outcome));
                    puts.extend(batch.open);
                }
                Some((index, outcome)) = puts_in_flight.next() => on_outcome(index, outcome),
                else => return,
            }
        }
    }

    fn plan_requests(&self) -> RequestPlan {
        let now = self.claimer.clock.now();
        let mut inserts = VecDeque::new();
        let mut cached = VecDeque::new();
        let mut large = VecDeque::new();
        let mut request = Vec::new();
        let mut bytes = 0;
        for (index, Group { leader, .. }) in self.groups.iter().enumerate() {
            let body_bytes = leader.body.len();
            if self.claimer.cache.get(&leader.event.id, now).is_some() {
                cached.push_back(Put::New(index));
                continue;
            }
            if body_bytes > MAX_INSERT_BYTES {
                large.push_back(Put::New(index));
                continue;
            }
            if request.len() == MAX_STATEMENTS || bytes + body_bytes > MAX_INSERT_BYTES {
                inserts.push_back(std::mem::take(&mut request));
                bytes = 0;
            }
            request.push(index);
            bytes += body_bytes;
        }
        // What the cache knows takes no time.
        let mut puts = cached;
        puts.append(&mut large);
        // One by itself is better put at once.
        if request.len() > 1 {
            inserts.push_back(request);
        } else {
            puts.extend(request.into_iter().map(Put::New));
        }
        RequestPlan { inserts, puts }
    }

    /// Tries to insert a claim for each group of a request.
    async fn insert_batch(&self, request: Vec<usize>) -> InsertedBatch {
        let now = self.claimer.clock.now();
        let mut batch = InsertedBatch::default();
        let mut indices = Vec::new();
        let mut claims = Vec::new();
        for index in request {
            match catch_panic(|| self.new_claim(&self.groups[index].leader, now)) {
                Ok(Ok(claim)) => {
                    indices.push(index);
                    claims.push(claim);
                }
                Ok(Err(too_large)) => batch.known.push((index, Err(too_large.into()))),
                Err(panicked) => batch.known.push((index, Err(panicked.into()))),
            }
        }
        let inserted = self.insert(&claims).await;
        for ((index, claim), inserted) in indices.into_iter().zip(claims).zip(inserted) {
            if inserted {
                let event = &self.groups[index].leader.event;
                let held = HeldClaim::new(&claim, event.digest);
                self.claimer.cache.remember(&event.id, held);
                batch.known.push((index, Ok(ClaimOutcome::Won(held))));
            } else {
                batch.open.push(Put::Open(index, claim));
            }
        }
        batch
    }

    fn new_claim(&self, leader: &Leader, now: SystemTime) -> Result<Claim, BodyTooLarge> {
        let Leader { message, event, body } = leader;
        let Claimer { window, random, .. } = self.claimer;
        Claim::new(event, &message.id, body, now, *window, &random())
    }

    /// Returns, for each claim, whether this request certainly inserted it. A warning says why others are open, unless the only
    /// reason is an existing item: a role without `dynamodb:PartiQLInsert` shows here in every batch.
    async fn insert(&self, claims: &[Claim]) -> Vec<bool> {
        let none = || vec![false; claims.len()];
        if claims.is_empty() || self.deadline.is_reached() {
            return none();
        }
        let request = catch_panic_async(self.claimer.table.insert(claims));
        let (inserted, error) = match timeout(MAX_INSERT_TIME.min(self.deadline.left() / 2), request).await {
            Ok(Ok(Ok(InsertOutcome { inserted, refusal }))) => (inserted, refusal.map(OpenError::Refused)),
            Ok(Ok(Err(error))) => (none(), Some(OpenError::Insert(error))),
            Ok(Err(panicked)) => (none(), Some(OpenError::Panicked(panicked))),
            Err(elapsed) => (none(), Some(OpenError::Late(elapsed))),
        };
        if let Some(error) = error {
            let open = inserted.iter().filter(|inserted| !**inserted).count();
            let error = logs::error_text(&error);
            tracing::warn!(error, claims = claims.len(), open, "batched claims are left open");
        }
        inserted
    }

    async fn put(&self, put: Put) -> (usize, Result<ClaimOutcome, ClaimerError>) {
        match put {
            Put::New(index) => (index, self.claimer.claim(&self.groups[index].leader, self.deadline).await),
            Put::Open(index, claim) => (index, self.put_open(&self.groups[index].leader, &claim).await),
        }
    }

    /// Settles an event for good, by a claim that may be in the table already.
    async fn put_open(&self, leader: &Leader, claim: &Claim) -> Result<ClaimOutcome, ClaimerError> {
        let _memory = self.claimer.acquire_memory(leader, self.deadline).await?;
        catch_panic_async(async {
            let outcome = self.claimer.table.put(claim).await?;
            self.claimer.cache.remember(&leader.event.id, outcome.held_claim());
            Ok(outcome)
        })
        .await?
    }
}

impl ClaimTable {
    /// Tries to insert at most [`MAX_STATEMENTS`] claims of different events in one request. `PartiQL`'s INSERT fails by itself
    /// where there is an item, expired or not, and does not say which. A claim that is not reported as inserted may be in the table
    /// all the same, because a retry of the SDK meets what its first attempt inserted. So the caller must [put](Self::put) the same
    /// claim.
    ///
    /// # Errors
    /// Fails if that is true of every claim.
    pub async fn insert(&self, claims: &[Claim]) -> Result<InsertOutcome, InsertError> {
        let statements = claims.iter().map(|claim| self.insertion(claim)).collect();
        let answer = self.client.batch_execute_statement().set_statements(Some(statements)).send().await;
        let responses = match answer {
            Ok(answer) => answer.responses.unwrap_or_default(),
            Err(error) => {
                let table = self.name.clone();
                return Err(InsertError::Request { claims: claims.len(), table, source: Box::new(error) });
            }
        };
        if responses.len() != claims.len() {
            return Err(InsertError::Answers { claims: claims.len(), answers: responses.len() });
        }
        // "The values of the list are ordered according to the ordering of the request statements" (API reference).
        let inserted = responses.iter().map(is_inserted).collect();
        Ok(InsertOutcome { inserted, refusal: responses.iter().find_map(refusal) })
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

fn refusal(response: &BatchStatementResponse) -> Option<InsertRefusal> {
    let error = response.error.as_ref()?;
    if error.code == Some(BatchStatementErrorCodeEnum::DuplicateItem) {
        return None;
    }
    let code = error.code.as_ref().map_or("no code", BatchStatementErrorCodeEnum::as_str).to_owned();
    Some(InsertRefusal { code, message: error.message.clone().unwrap_or_default() })
}
