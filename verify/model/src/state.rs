//! The state of the model.

/// A claim that `ingest-fn` tries to write. The four fields together stand for its claim id and its object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Index of the message whose body the claim contains: the first message of the batch.
    pub message: u8,
    /// Number of times that this message had been received when the claim was created.
    pub receive: u8,
    /// Number of times that a mutant has replaced the claim id. Always zero in the correct protocol.
    pub retry: u8,
    /// The claim's `claimed_at`, by the clock of its sandbox.
    pub at: u8,
}

/// A request to write a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimRequest {
    pub claim: Claim,
    /// True for an insert: the table refuses it if the event has an item, even an expired one, and the answer does not
    /// contain the item. False for a conditional put: it can replace an expired claim. If the claim in the table has
    /// not expired, the table refuses the put and returns that claim.
    pub is_insert: bool,
}

/// The state of the whole pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The real time, in seconds. TTL and the first sandbox use this time. The second sandbox's clock may be ahead.
    pub second: u8,
    /// Number of faults that may still happen.
    pub faults_left: u8,
    pub messages: Vec<Message>,
    /// The sandboxes of `ingest-fn`.
    pub sandboxes: [Sandbox; 2],
    /// Claim requests that are on their way to the table, sorted. Any of them may arrive next.
    pub claim_requests: Vec<ClaimRequest>,
    /// The claim in the event's item, or `None` if the table has no item for the event.
    pub table: Option<Claim>,
    /// One record for every claim that the table has stored, in order.
    pub stream: Vec<Record>,
    /// Number of records that the stream mapping has finished.
    pub checkpoint: usize,
    /// The progress of `archive-fn` with each record of its batch, which starts at the checkpoint. `None` if
    /// `archive-fn` is not running.
    pub archiving: Option<Vec<RecordState>>,
    /// Claims whose `PutObject` request is still on its way, although `archive-fn` has stopped waiting for the answer.
    pub late_object_requests: Vec<Claim>,
    /// The claims that have an object, each with the object's number of versions.
    pub lake: Vec<(Claim, u8)>,
}

/// A message: how often it was received, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Number of times that a sandbox has received the message.
    pub receives: u8,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The message is in the queue, and a sandbox can receive it.
    Visible,
    /// The sandbox with this index has received the message. The other sandbox cannot receive it.
    InFlight(usize),
    /// The queue mapping deleted the message, because a sandbox acknowledged it for the claim `by`. `is_duplicate` is
    /// true if the sandbox found that the message's body equals the claim's body.
    Acknowledged { by: Claim, is_duplicate: bool },
    /// The message is in the dead-letter queue.
    DeadLetter,
}

/// A sandbox of `ingest-fn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// The claim in the warm cache.
    pub cache: Option<Claim>,
    /// The batch that the sandbox is working on.
    pub work: Option<Work>,
}

/// A batch that a sandbox is working on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Indices of the batch's messages. Only the first one, the leader, writes a claim.
    pub batch: Vec<u8>,
    /// Time at which the sandbox received the batch, by the sandbox's own clock.
    pub at: u8,
    /// The claim that the sandbox tries to write. In the step [`Step::Confirmed`], the claim that the table or the cache
    /// returned.
    pub claim: Claim,
    pub step: Step,
}

/// The progress of a sandbox with its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The sandbox has sent a claim request and waits for its answer.
    AwaitingAnswer { retries_left: u8, is_insert: bool },
    /// The sandbox's latest claim request got no answer, or it got an error after which the SDK may retry.
    Unanswered { retries_left: u8, is_insert: bool },
    /// The sandbox knows which claim holds the event.
    Confirmed,
    /// The outcome of the claim request is unknown, so the sandbox reports the batch as failed.
    Failed,
}

/// A stream record, which describes one write of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The claim that was written, which is the record's new image.
    pub claim: Claim,
    /// True for a MODIFY record (the write replaced another claim), false for an INSERT record.
    pub is_modify: bool,
    /// The real time of the write, in seconds.
    pub written: u8,
}

/// The progress of `archive-fn` with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    Pending,
    /// The claim's object exists, so `archive-fn` does not report the record as failed. In a mutant, the object may be
    /// missing.
    Done,
    /// `archive-fn` does not know if the claim's object exists, and reports the record as failed.
    Failed,
}

impl State {
    /// Removes `request` from the requests on their way, because it reaches the table or is lost.
    pub(crate) fn take_claim_request(&mut self, request: ClaimRequest) {
        remove_first(&mut self.claim_requests, request);
    }

    /// Removes the claim's late `PutObject` request from the requests on their way, because it reaches S3.
    pub(crate) fn take_late_object_request(&mut self, claim: Claim) {
        remove_first(&mut self.late_object_requests, claim);
    }

    pub(crate) fn was_written(&self, claim: Claim) -> bool {
        self.stream.iter().any(|record| record.claim == claim)
    }

    /// Returns true if `ingest-fn` has nothing left to do: every message is acknowledged or a dead letter, no sandbox
    /// has a batch, and no claim request is on its way.
    pub(crate) fn ingest_is_at_rest(&self) -> bool {
        let settled = |message: &Message| matches!(message.place, Place::Acknowledged { .. } | Place::DeadLetter);
        self.messages.iter().all(settled)
            && self.sandboxes.iter().all(|sandbox| sandbox.work.is_none())
            && self.claim_requests.is_empty()
    }

    /// Returns true if the whole pipeline has nothing left to do, and no request is on its way.
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
