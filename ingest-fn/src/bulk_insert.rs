//! `CLAIM_WRITES=batch`: inserts many claims with one request.
//!
//! If the answer to an insert request confirms the insert of a claim, the claim is won. Every other claim is
//! unconfirmed, and the function writes it with the conditional put that `single` uses. So only the put enforces the
//! dedup window, finds conflicts and recognizes our own writes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_execute_statement::BatchExecuteStatementError;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
};
use claim::Claim;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use lambda_support::{Deadline, logs};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::chunk::{Chunks, NewClaim};
use crate::claim_table::{ClaimOutcome, ClaimTable, HeldClaim};
use crate::claimer::{Claimed, Claimer, ClaimerError, MAX_IN_FLIGHT, OnClaimed};
use crate::plan::{Group, Leader};

/// Maximum number of statements in a `BatchExecuteStatement` (API reference: "Maximum number of 25 items").
pub const MAX_STATEMENTS: usize = 25;

/// Maximum number of insert requests in flight, in addition to the puts.
const MAX_INSERTS_IN_FLIGHT: usize = 4;

/// Maximum size of all bodies in one insert request, in bytes. All insert requests in flight together have at most 1
/// MiB of bodies, as much as the largest body of a single claim. If a body exceeds 256 KiB, the function puts its claim
/// without an insert request: the write itself is so expensive that sharing a request would save little.
const MAX_INSERT_BYTES: usize = 256 * 1_024;

/// Maximum duration of an insert request, including the SDK's retries. The SDK has the same limit for one attempt, so
/// an attempt that hangs is not retried. The rest of the function's time is for the puts of unconfirmed claims.
const MAX_INSERT_TIME: Duration = Duration::from_secs(4);

/// Claims the events of one batch with insert requests and puts.
pub(crate) struct BulkInserter<'a> {
    claimer: &'a Claimer,
    groups: &'a [Group],
    chunks: Option<&'a Chunks>,
    deadline: Deadline,
}

/// The insert requests and puts with which a batch starts. Unconfirmed claims add puts later. Each number is the index
/// of a group.
struct RequestPlan {
    /// One entry for each insert request: the groups whose claims it inserts.
    inserts: VecDeque<Vec<usize>>,
    puts: VecDeque<Put>,
}

/// A group whose claim the function puts, with or without an earlier insert request.
enum Put {
    /// A group for which no insert request was sent. It needs no put if the cache has its event's claim.
    New(usize),
    /// A group whose insert is unconfirmed. Its claim may already be in the table.
    Unconfirmed(usize, Box<NewClaim>),
}

/// The result of one insert request. Each `usize` is the index of a group.
#[derive(Default)]
struct InsertedBatch {
    outcomes: Vec<(usize, Result<Claimed, ClaimerError>)>,
    unconfirmed: Vec<Put>,
}

/// The answer to an insert request.
#[derive(Debug)]
pub struct InsertOutcome {
    /// One flag for each claim, in the order of the request: true if this request certainly inserted the claim.
    pub inserted: Vec<bool>,
    /// The first insert that DynamoDB refused for a reason other than an existing item.
    pub refusal: Option<InsertRefusal>,
}

/// An insert that DynamoDB refused, although the request as a whole succeeded.
#[derive(Debug, thiserror::Error)]
#[error("an insert was refused: {code}: {message}")]
pub struct InsertRefusal {
    pub code: String,
    pub message: String,
}

/// A failed insert request. The outcome of every claim in it is unknown, so none may be treated as won or as a duplicate.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The request failed or was throttled, or its answer was lost. Each of its inserts may or may not have taken effect.
    #[error("failed to insert {claims} claims into table {table:?}")]
    Request {
        /// Number of claims in the request.
        claims: usize,
        table: String,
        /// Boxed because it is large.
        source: Box<SdkError<BatchExecuteStatementError>>,
    },
    /// The number of answers differs from the number of claims, so no answer can be assigned to a claim.
    #[error("the insert of {claims} claims returned {answers} answers")]
    Answers {
        /// Number of claims in the request.
        claims: usize,
        answers: usize,
    },
}

/// The reason why claims of an insert request are unconfirmed.
#[derive(Debug, thiserror::Error)]
enum UnconfirmedError {
    #[error(transparent)]
    Refused(InsertRefusal),
    #[error(transparent)]
    Insert(InsertError),
    #[error(transparent)]
    Panicked(Panicked),
    #[error("the insert request timed out")]
    Late(#[source] Elapsed),
}

impl<'a> BulkInserter<'a> {
    pub(crate) fn new(
        claimer: &'a Claimer,
        groups: &'a [Group],
        chunks: Option<&'a Chunks>,
        deadline: Deadline,
    ) -> Self {
        Self { claimer, groups, chunks, deadline }
    }

    /// Claims the events of all groups. Calls `on_claimed` as [`Claimer::claim_groups`] does.
    pub(crate) async fn claim_groups(&self, on_claimed: &mut OnClaimed<'_>) {
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
                    batch.outcomes.into_iter().for_each(|(index, outcome)| on_claimed(index, outcome));
                    puts.extend(batch.unconfirmed);
                }
                Some((index, outcome)) = puts_in_flight.next() => on_claimed(index, outcome),
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
        // Events with a cached claim come first, because they need no request.
        let mut puts = cached;
        puts.append(&mut large);
        // An insert request for a single claim saves nothing, so the claim is put right away.
        if request.len() > 1 {
            inserts.push_back(request);
        } else {
            puts.extend(request.into_iter().map(Put::New));
        }
        RequestPlan { inserts, puts }
    }

    /// Tries to insert the claims of these groups with one request.
    async fn insert_batch(&self, request: Vec<usize>) -> InsertedBatch {
        let now = self.claimer.clock.now();
        let mut batch = InsertedBatch::default();
        let mut indices = Vec::new();
        let mut claims = Vec::new();
        for index in request {
            match catch_panic(|| self.claimer.new_claim(&self.groups[index].leader, self.chunks, now)) {
                Ok(Ok(claim)) => {
                    indices.push(index);
                    claims.push(claim);
                }
                Ok(Err(too_large)) => batch.outcomes.push((index, Err(too_large.into()))),
                Err(panicked) => batch.outcomes.push((index, Err(panicked.into()))),
            }
        }
        let inserted = self.insert(&claims).await;
        for ((index, new), inserted) in indices.into_iter().zip(claims).zip(inserted) {
            if inserted {
                let leader = &self.groups[index].leader;
                let outcome = ClaimOutcome::Won(HeldClaim::new(&new.claim, leader.event.digest));
                // An insert never replaces an item.
                batch.outcomes.push((index, Ok(self.claimer.claimed(leader, new, outcome, None))));
            } else {
                batch.unconfirmed.push(Put::Unconfirmed(index, Box::new(new)));
            }
        }
        batch
    }

    /// Sends an insert request. Returns, for each claim, whether this request certainly inserted it. Logs a warning if
    /// claims are unconfirmed for a reason other than an existing item. For example, a role without
    /// `dynamodb:PartiQLInsert` causes a warning in every batch.
    async fn insert(&self, claims: &[NewClaim]) -> Vec<bool> {
        let none = || vec![false; claims.len()];
        if claims.is_empty() || self.deadline.is_reached() {
            return none();
        }
        let claims: Vec<&Claim> = claims.iter().map(|new| &new.claim).collect();
        let request = catch_panic_async(self.claimer.table.insert(&claims));
        let (inserted, error) = match timeout(MAX_INSERT_TIME.min(self.deadline.left() / 2), request).await {
            Ok(Ok(Ok(InsertOutcome { inserted, refusal }))) => (inserted, refusal.map(UnconfirmedError::Refused)),
            Ok(Ok(Err(error))) => (none(), Some(UnconfirmedError::Insert(error))),
            Ok(Err(panicked)) => (none(), Some(UnconfirmedError::Panicked(panicked))),
            Err(elapsed) => (none(), Some(UnconfirmedError::Late(elapsed))),
        };
        if let Some(error) = error {
            let open = inserted.iter().filter(|inserted| !**inserted).count();
            let error = logs::error_text(&error);
            tracing::warn!(error, claims = claims.len(), open, "unconfirmed batched claims are put one by one");
        }
        inserted
    }

    async fn put(&self, put: Put) -> (usize, Result<Claimed, ClaimerError>) {
        match put {
            Put::New(index) => {
                (index, self.claimer.claim(&self.groups[index].leader, self.chunks, self.deadline).await)
            }
            Put::Unconfirmed(index, claim) => (index, self.put_unconfirmed(&self.groups[index].leader, *claim).await),
        }
    }

    /// Puts a claim that may already be in the table. The answer to the put says which claim holds the event.
    async fn put_unconfirmed(&self, leader: &Leader, claim: NewClaim) -> Result<Claimed, ClaimerError> {
        let _memory = self.claimer.acquire_memory(leader, self.deadline).await?;
        catch_panic_async(self.claimer.put(leader, claim)).await?
    }
}

impl ClaimTable {
    /// Tries to insert at most [`MAX_STATEMENTS`] claims of different events in one request. DynamoDB refuses a `PartiQL`
    /// INSERT if the event already has an item, expired or not, and does not return that item.
    ///
    /// A claim that is not reported as inserted may still be in the table. For example, if the answer to the SDK's
    /// first attempt is lost, DynamoDB refuses the inserts of the second attempt, because the first one inserted the
    /// items. So the caller must [put](Self::put) each claim that is not reported as inserted.
    ///
    /// # Errors
    /// Fails if the request fails, or if DynamoDB does not return one answer per claim. Then the outcome of every claim is
    /// unknown.
    pub async fn insert(&self, claims: &[&Claim]) -> Result<InsertOutcome, InsertError> {
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
        // `Config` ensures that the table's name contains no quotation mark, which would end the quoted name.
        let statement = format!("INSERT INTO \"{}\" VALUE {{{}}}", self.name, names.join(", "));
        let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(values));
        request.build().expect("the statement is set")
    }
}

fn is_inserted(response: &BatchStatementResponse) -> bool {
    // Any error means "not inserted", even a throttle: the SDK does not retry an error inside an answer with status 200.
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
