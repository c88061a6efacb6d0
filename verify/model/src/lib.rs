//! The protocol by itself, small enough to look at every state that it can get into.
//!
//! A few messages of one event, two sandboxes of `ingest-fn` whose clocks differ, the table with one item, its stream,
//! `archive-fn`, and the lake. Whatever can happen is an [`Action`], one step at a time and in any order: requests that are
//! lost, that arrive late, or whose answers are lost; sandboxes killed between any two steps; messages and records
//! delivered again; the clock moving on, and the table's TTL deleting whenever it likes afterwards. What must always hold
//! is in `properties`. Each [`Mutant`] is a way to get the protocol wrong, which the same properties must find.
//!
//! Left out: message bodies that are no events, panics and sizes, none of which is part of the protocol, and the mapping's record age, after which a claim without an object is named in the on-failure queue instead.
//!
//! The checker is `stateright`, the one explicit-state checker for Rust that takes the model as Rust and has releases. Its
//! `eventually` misses counterexamples where paths join ("fixme" in its tests), so it is not used: every action uses up
//! something that is bounded, so every run ends, and what must come true in the end is asked of the states in which
//! nothing is left to do.

mod properties;
mod step;

use stateright::{Model, Property};

/// What there is, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What each message says. Those of one letter are duplicates, others conflict; all are of one event.
    pub messages: &'static [char],
    /// The dedup window, in seconds.
    pub window: u8,
    /// The clock stops at this second.
    pub last_second: u8,
    /// How far the second sandbox's clock is ahead of the first one's, in seconds.
    pub skew: u8,
    /// Receives that a message gets before it is a dead letter.
    pub max_receives: u8,
    /// How many things go wrong at the most.
    pub faults: u8,
    /// Messages in a batch, and records in one, at the most.
    pub batch: usize,
    /// Claims are inserted first, as with `CLAIM_WRITES=batch`, and put where that leaves them open.
    pub batched: bool,
    /// What is wrong with the protocol, if anything.
    pub mutant: Option<Mutant>,
}

/// A way to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The claim is put whatever the table holds.
    NoCondition,
    /// The condition is `attribute_not_exists(pk)` alone, and the window ends when TTL deletes.
    NoExpiryInCondition,
    /// The response goes out while the write is under way.
    AcknowledgedBeforeTheWrite,
    /// No answer, or a throttle, counts as "somebody has it".
    UnknownIsDuplicate,
    /// The cache takes a claim in when its request is sent.
    CachedBeforeConfirmation,
    /// The cache's entries do not end with the claim's ttl, as when a frozen sandbox's timer stands still.
    CachedBeyondTtl,
    /// A retry makes a claim of its own.
    FreshClaimIdOnRetry,
    /// `DuplicateItem` counts as "that is our own insert".
    DuplicateItemIsOwn,
    /// What an insert leaves open is put as a claim of its own.
    FreshClaimIdAfterInsert,
    /// Only the leader is reported when its write fails.
    FollowersOfAFailedLeaderAcknowledged,
    /// A follower is compared with its leader and not with the claim that holds.
    FollowersJudgedByTheirLeader,
    /// The stream's MODIFY records are passed over.
    InsertOnly,
    /// Objects are put whatever the lake holds.
    NoIfNoneMatch,
    /// S3's 409 counts as "already there".
    ConflictIsAlreadyThere,
    /// The shard goes on after the highest failed record, not from the lowest.
    CheckpointAtTheHighestFailure,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NoCondition,
        Self::NoExpiryInCondition,
        Self::AcknowledgedBeforeTheWrite,
        Self::UnknownIsDuplicate,
        Self::CachedBeforeConfirmation,
        Self::CachedBeyondTtl,
        Self::FreshClaimIdOnRetry,
        Self::DuplicateItemIsOwn,
        Self::FreshClaimIdAfterInsert,
        Self::FollowersOfAFailedLeaderAcknowledged,
        Self::FollowersJudgedByTheirLeader,
        Self::InsertOnly,
        Self::NoIfNoneMatch,
        Self::ConflictIsAlreadyThere,
        Self::CheckpointAtTheHighestFailure,
    ];
}

/// The claim that one receive of a message writes. It has a `claim_id` of its own, and an object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Index of the message that leads.
    pub message: u8,
    /// Which receive of it.
    pub receive: u8,
    /// Zero, unless a retry makes a claim of its own.
    pub retry: u8,
    /// `claimed_at`, by the sandbox's clock.
    pub at: u8,
}

/// A request to write a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimRequest {
    /// Which.
    pub claim: Claim,
    /// Done only if there is no item, and says nothing of one that there is. Else it is the conditional put.
    pub is_insert: bool,
}

/// All that can be told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The true time.
    pub second: u8,
    /// Things that may still go wrong.
    pub faults_left: u8,
    /// The queue.
    pub messages: Vec<Message>,
    /// Of `ingest-fn`.
    pub sandboxes: [Sandbox; 2],
    /// Requests to write a claim that are on their way, in order. Any of them may arrive next.
    pub claim_requests: Vec<ClaimRequest>,
    /// The event's item.
    pub table: Option<Claim>,
    /// Every write to the table, in order.
    pub stream: Vec<Record>,
    /// Records that the stream's mapping is done with.
    pub checkpoint: usize,
    /// What `archive-fn` is working on: records from the checkpoint on.
    pub archiving: Option<Vec<Archived>>,
    /// `PutObject` requests whose sender has given up, still on their way.
    pub late_object_requests: Vec<Claim>,
    /// Objects by claim, with their number of versions.
    pub lake: Vec<(Claim, u8)>,
}

/// A message in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// How often it was received.
    pub receives: u8,
    /// Where it is.
    pub place: Place,
}

/// Where a message is.
#[expect(missing_docs, reason = "the fields are what their variant says")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// It can be received.
    Visible,
    /// Received by this sandbox, and hidden from others.
    With(usize),
    /// Deleted, because of a claim that says the same, or something else.
    Acknowledged { by: Claim, says_the_same: bool },
    /// In the dead-letter queue.
    Dead,
}

/// An sandboxes of `ingest-fn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// The warm cache.
    pub cache: Option<Claim>,
    /// The batch that it is working on.
    pub work: Option<Work>,
}

/// A batch in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Indices of its messages, the leader first.
    pub batch: Vec<u8>,
    /// The one reading of the clock.
    pub at: u8,
    /// The claim that was sent, and once it is confirmed the claim that holds.
    pub claim: Claim,
    /// How far it got.
    pub step: Step,
}

/// How far a sandbox got with its batch.
#[expect(missing_docs, reason = "the fields are what their variant says")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Waiting for an answer.
    Asking { retries_left: u8, is_insert: bool },
    /// No answer came.
    Unanswered { retries_left: u8, is_insert: bool },
    /// It is known which claim holds.
    Confirmed,
    /// It is not.
    Failed,
}

/// A stream record: a claim that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The new image.
    pub claim: Claim,
    /// It replaced another: a MODIFY.
    pub is_modify: bool,
    /// The true time of the write.
    pub written: u8,
}

/// How far `archive-fn` got with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Archived {
    /// Not yet.
    Pending,
    /// Its object is there, or it needs none.
    Done,
    /// It is not known whether its object is there.
    Failed,
}

/// One step of anything.
#[expect(missing_docs, reason = "the fields are what their variant says")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The true time moves on.
    Tick,
    /// A sandbox receives a batch of these messages.
    Receive { sandbox: usize, batch: Vec<u8> },
    /// A request to write a claim arrives, and its answer comes back if somebody still waits for it.
    ClaimAnswered(ClaimRequest),
    /// A request to write a claim arrives, and its answer is lost, or says that something went wrong.
    ClaimAnswerLost(ClaimRequest),
    /// A request to write a claim is lost, or throttled.
    ClaimRequestLost(ClaimRequest),
    /// An attempt times out, and its request is still on its way.
    AttemptTimedOut { sandbox: usize },
    /// The SDK sends the same request again.
    Retry { sandbox: usize },
    /// The SDK gives up.
    GiveUp { sandbox: usize },
    /// The deadline comes between an insert and its put.
    OutOfTime { sandbox: usize },
    /// The response goes to the mapping, which deletes what it may.
    Respond { sandbox: usize },
    /// The process is killed, with all that it remembers.
    Kill { sandbox: usize },
    /// The visibility timeout runs out while the message is still being worked on, or SQS delivers it twice.
    VisibleAgain { message: u8 },
    /// The table's TTL deletes the item.
    TtlDeletes,
    /// `archive-fn` gets this many records from the checkpoint on.
    Archive { records: usize },
    /// A `PutObject` request is answered: written, or 412.
    ObjectAnswered { record: usize },
    /// It has its effect, and its answer is lost.
    ObjectAnswerLost { record: usize },
    /// It has none: 409, 503, or lost.
    ObjectRefused { record: usize, conflict: bool },
    /// Its sender gives up while it is still on its way.
    ObjectTimedOut { record: usize },
    /// A `PutObject` request arrives for which nobody waits any more.
    ObjectArrivesLate(Claim),
    /// The response goes to the mapping, which moves its checkpoint.
    ArchiveResponds,
    /// `archive-fn` is killed.
    KillArchive,
    /// The mapping loses its checkpoint, and goes back to the beginning.
    Rewind,
}

impl Protocol {
    fn ttl(&self, claim: Claim) -> u8 {
        claim.at + self.window
    }

    fn clock(&self, state: &State, sandbox: usize) -> u8 {
        state.second + if sandbox == 1 { self.skew } else { 0 }
    }

    fn say_the_same(&self, one: u8, other: u8) -> bool {
        self.messages[usize::from(one)] == self.messages[usize::from(other)]
    }

    fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl State {
    fn was_written(&self, claim: Claim) -> bool {
        self.stream.iter().any(|record| record.claim == claim)
    }

    /// No message is left, and no claim is on its way.
    fn ingest_is_at_rest(&self) -> bool {
        let settled = |message: &Message| matches!(message.place, Place::Acknowledged { .. } | Place::Dead);
        self.messages.iter().all(settled)
            && self.sandboxes.iter().all(|sandbox| sandbox.work.is_none())
            && self.claim_requests.is_empty()
    }

    /// Nobody has anything left to do, and nothing is on its way.
    fn is_at_rest(&self) -> bool {
        self.ingest_is_at_rest()
            && self.late_object_requests.is_empty()
            && self.archiving.is_none()
            && self.checkpoint == self.stream.len()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            second: 0,
            faults_left: self.faults,
            messages: vec![Message { receives: 0, place: Place::Visible }; self.messages.len()],
            sandboxes: Default::default(),
            claim_requests: Vec::new(),
            table: None,
            stream: Vec::new(),
            checkpoint: 0,
            archiving: None,
            late_object_requests: Vec::new(),
            lake: Vec::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        step::possible(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        step::take(self, &mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::must_always_hold();
        properties.extend(properties::happens_somewhere(self));
        properties
    }
}
