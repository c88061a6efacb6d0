//! The state of the model.

/// The claim that one receive of a message writes. It stands for a `claim_id`, and so for an object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Index of the leading message.
    pub message: u8,
    /// Number of the receive, from 1.
    pub receive: u8,
    /// Zero, except in a mutant that gives a retry a new claim id.
    pub retry: u8,
    /// `claimed_at`, by the sandbox's clock.
    pub at: u8,
}

/// A request to write a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimRequest {
    pub claim: Claim,
    /// True for an insert. The table refuses it if there is an item, and does not return that item. False for the
    /// conditional put.
    pub is_insert: bool,
}

/// The state of the whole pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The real time, by which TTL deletes. The second sandbox's clock is ahead of it.
    pub second: u8,
    /// Number of faults that may still happen.
    pub faults_left: u8,
    pub messages: Vec<Message>,
    /// The sandboxes of `ingest-fn`.
    pub sandboxes: [Sandbox; 2],
    /// Claim requests on their way, sorted. Any of them may arrive next.
    pub claim_requests: Vec<ClaimRequest>,
    /// The event's item.
    pub table: Option<Claim>,
    /// Every write to the table, in order.
    pub stream: Vec<Record>,
    /// Number of records that the stream mapping has finished.
    pub checkpoint: usize,
    /// The records that `archive-fn` is working on, starting at the checkpoint.
    pub archiving: Option<Vec<RecordState>>,
    /// `PutObject` requests still on their way, for which `archive-fn` no longer waits.
    pub late_object_requests: Vec<Claim>,
    /// The claims that have an object, with its number of versions.
    pub lake: Vec<(Claim, u8)>,
}

/// A message and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Number of times that it was received.
    pub receives: u8,
    pub place: Place,
}

/// The place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// It is in the queue and can be received.
    Visible,
    /// This sandbox has received it, and it is invisible to the others.
    InFlight(usize),
    /// It was acknowledged for this claim and deleted, either as a duplicate of the claim's body or as a conflict.
    Acknowledged { by: Claim, is_duplicate: bool },
    /// It is in the dead-letter queue.
    DeadLetter,
}

/// A sandbox of `ingest-fn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// The cached claim.
    pub cache: Option<Claim>,
    /// The batch that it is working on.
    pub work: Option<Work>,
}

/// A batch that a sandbox is working on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Indices of the messages, the leader first.
    pub batch: Vec<u8>,
    /// The sandbox's clock when it received the batch.
    pub at: u8,
    /// The claim that was sent or, once confirmed, the claim that the table or the cache has.
    pub claim: Claim,
    pub step: Step,
}

/// The progress of a sandbox with its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A request was sent, and its answer may still come.
    AwaitingAnswer { retries_left: u8, is_insert: bool },
    /// The last attempt ended without an answer.
    Unanswered { retries_left: u8, is_insert: bool },
    /// The sandbox knows the event's claim.
    Confirmed,
    /// The outcome is unknown, and the batch fails.
    Failed,
}

/// A stream record, which is one write of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The new image.
    pub claim: Claim,
    /// True for a MODIFY: the write replaced another claim.
    pub is_modify: bool,
    /// The real time of the write.
    pub written: u8,
}

/// The progress of `archive-fn` with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    Pending,
    /// Its object exists, or the record was skipped.
    Done,
    /// It is unknown whether its object exists.
    Failed,
}

impl State {
    /// Removes a claim request, because it arrives or is lost.
    pub(crate) fn take_claim_request(&mut self, request: ClaimRequest) {
        remove_first(&mut self.claim_requests, request);
    }

    /// Removes a late `PutObject` request, because it arrives.
    pub(crate) fn take_late_object_request(&mut self, claim: Claim) {
        remove_first(&mut self.late_object_requests, claim);
    }

    pub(crate) fn was_written(&self, claim: Claim) -> bool {
        self.stream.iter().any(|record| record.claim == claim)
    }

    /// Returns true if no message is left in the queue or a sandbox, and no claim request is on its way.
    pub(crate) fn ingest_is_at_rest(&self) -> bool {
        let settled = |message: &Message| matches!(message.place, Place::Acknowledged { .. } | Place::DeadLetter);
        self.messages.iter().all(settled)
            && self.sandboxes.iter().all(|sandbox| sandbox.work.is_none())
            && self.claim_requests.is_empty()
    }

    /// Returns true if nothing is left to do, and nothing is on its way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.ingest_is_at_rest()
            && self.late_object_requests.is_empty()
            && self.archiving.is_none()
            && self.checkpoint == self.stream.len()
    }
}

impl Work {
    pub(crate) fn awaits(&self, request: ClaimRequest) -> bool {
        let Step::AwaitingAnswer { is_insert, .. } = self.step else { return false };
        request == ClaimRequest { claim: self.claim, is_insert }
    }
}

fn remove_first<Request: PartialEq + Copy>(requests: &mut Vec<Request>, request: Request) {
    let position = requests.iter().position(|other| *other == request).expect("only a request on its way is removed");
    requests.remove(position);
}
