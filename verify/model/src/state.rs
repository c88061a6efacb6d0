//! Everything that can be told apart.

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

/// A sandbox of `ingest-fn`.
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

impl State {
    /// Takes a request to write a claim off its way.
    pub(crate) fn take_claim_request(&mut self, request: ClaimRequest) {
        remove_first(&mut self.claim_requests, request);
    }

    /// Takes a late `PutObject` request off its way.
    pub(crate) fn take_late_object_request(&mut self, claim: Claim) {
        remove_first(&mut self.late_object_requests, claim);
    }

    pub(crate) fn was_written(&self, claim: Claim) -> bool {
        self.stream.iter().any(|record| record.claim == claim)
    }

    /// No message is left, and no claim is on its way.
    pub(crate) fn ingest_is_at_rest(&self) -> bool {
        let settled = |message: &Message| matches!(message.place, Place::Acknowledged { .. } | Place::Dead);
        self.messages.iter().all(settled)
            && self.sandboxes.iter().all(|sandbox| sandbox.work.is_none())
            && self.claim_requests.is_empty()
    }

    /// Nobody has anything left to do, and nothing is on its way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.ingest_is_at_rest()
            && self.late_object_requests.is_empty()
            && self.archiving.is_none()
            && self.checkpoint == self.stream.len()
    }
}

impl Work {
    pub(crate) fn is_asking_for(&self, request: ClaimRequest) -> bool {
        let Step::Asking { is_insert, .. } = self.step else { return false };
        request == ClaimRequest { claim: self.claim, is_insert }
    }
}

fn remove_first<Request: PartialEq + Copy>(requests: &mut Vec<Request>, request: Request) {
    let position = requests.iter().position(|other| *other == request).expect("only what is on its way arrives");
    requests.remove(position);
}
