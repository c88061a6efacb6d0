//! The state of the model.

use std::fmt;

/// One receive of one message. It identifies the claim that `ingest-fn` creates for the message at this receive, so the
/// model uses it as the claim id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receive {
    pub message: u8,
    /// Number of times that the message had been received, including this time. Redrives do not reset it.
    pub number: u8,
}

/// A claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    pub id: Receive,
    /// The claim's `claimed_at`, by the clock of the sandbox that made the claim.
    pub at: u8,
    /// The pack that the claim names, or `None` if the claim has the layout `object`.
    pub pack: Option<PackId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackId {
    /// The pack of a chunk. `first` is the receive of the chunk's first message. `retry` is the number of times that a
    /// mutant has replaced the id: always zero in the correct protocol.
    Chunk { first: Receive, retry: u8 },
    /// The pack of a single claim that the pack of its chunk does not list.
    Own(Receive),
}

/// The line of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    pub claim: Receive,
    pub body: char,
}

/// A pack item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pack {
    pub id: PackId,
    pub lines: Vec<Line>,
    pub ttl: u8,
}

/// A request to the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Writes a claim. An insert is refused if the event has an item, even an expired one, and the answer does not
    /// contain the item. A conditional put can replace an expired claim. Its answer contains the old item, whether the
    /// put succeeds or fails.
    Claim { claim: Claim, is_insert: bool },
    /// Reads a pack item.
    ReadPack(PackId),
    /// Writes a pack item if the table has no item with its id. The answer to a failed condition contains the item.
    PutPack(Pack),
}

/// The state of the whole pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The real time. The first sandbox and `replay` use this time. The clocks of the second sandbox and of TTL may be
    /// ahead.
    pub second: u8,
    /// Number of faults that may still happen.
    pub faults_left: u8,
    pub messages: Vec<Delivery>,
    pub sandboxes: [Sandbox; 2],
    /// The claim that `replay` is settling.
    pub replay: Option<Task>,
    /// Number of claims that `replay` may still settle before its final run.
    pub replays_left: u8,
    /// Writes that will reach the table although their sender has stopped waiting, each with the second in which it was
    /// sent. Sorted.
    pub late: Vec<(Request, u8)>,
    /// For each event, the claim in its item, or `None` if the table has no item for the event.
    pub claims: Vec<Option<Claim>>,
    /// The pack items, sorted.
    pub packs: Vec<Pack>,
    /// The stream records that `archive-fn` has not processed, sorted. The protocol does not depend on their order.
    pub stream: Vec<Record>,
    /// Number of records that a version of `archive-fn` without support for packs may still process.
    pub records_for_version_before: u8,
    /// The objects, sorted by key.
    pub lake: Vec<Object>,
    /// Every claim that the table has ever stored, sorted.
    pub written: Vec<Claim>,
    /// Claims that left the table or became too old before anyone settled them. The protocol does not promise that they
    /// are archived, and no message was acknowledged for them.
    pub unsettled: Vec<Receive>,
    /// A copy of the table's claims and packs, for a point-in-time restore.
    pub backup: Option<(Vec<Option<Claim>>, Vec<Pack>)>,
    pub restored: bool,
    pub notes: Notes,
    /// True after the final `replay`: the pipeline is quiescent.
    pub finished: bool,
}

/// Violations that a step must record when they happen, because later states do not show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notes {
    /// `PutObject` replaced an object.
    pub object_replaced: bool,
    /// The table stored a claim while another claim still held the event.
    pub claimed_within_window: bool,
    /// A batch that met no fault and started after the claim's `close_by` reported a message as failed.
    pub failed_without_cause: bool,
}

/// A message: how often it was received, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub receives: u8,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Visible,
    /// The sandbox with this index has received the message.
    InFlight(usize),
    /// A sandbox acknowledged the message for this claim.
    Acknowledged(Receive),
    /// The message is in the dead-letter queue. `after_fault` is true if its last receive met a fault, or if the
    /// receiving sandbox ran a version without support for packs.
    DeadLetter {
        after_fault: bool,
    },
}

/// A sandbox of `ingest-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// The warm cache: one entry for each event.
    pub cache: Vec<Option<Claim>>,
    pub work: Option<Work>,
}

/// A batch that a sandbox is working on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Time at which the sandbox received the batch, by the sandbox's own clock.
    pub at: u8,
    /// The chunk's pack.
    pub pack: PackId,
    /// The batch's messages, grouped by event.
    pub groups: Vec<Group>,
    pub met_fault: bool,
}

/// The messages of one event in a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The messages. Only the first one, the leader, writes a claim.
    pub receives: Vec<Receive>,
    /// The claim that the group tries to write and, after the table's answer, the claim that holds the event.
    pub task: Task,
    /// The expired claim that the group's claim replaced and that must be settled, if any.
    pub replaced: Option<Task>,
}

/// A claim that a sandbox or `replay` works on, and its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub claim: Claim,
    pub step: Step,
}

/// The progress of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The claim must be written.
    Claim { is_insert: bool },
    /// The claim is certainly in the table, and its chunk's pack must be closed.
    Won,
    /// The claim's pack must be read.
    Read,
    /// The claim's pack did not exist. Someone else may be about to close it.
    Wait,
    /// The claim's pack must be closed.
    Close,
    /// The claim's pack exists and does not list the claim. The claim needs a pack of its own.
    PutOwn,
    /// The claim is settled.
    Settled,
    /// The outcome of a request is unknown, or someone else may still close the pack.
    Failed,
}

/// A stream record of a written item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    Claim(Claim),
    Pack(Pack),
}

/// An object in the data lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    pub key: ObjectKey,
    pub lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// The object of a claim with the layout `object`.
    Claim(Receive),
    /// The object of a pack.
    Pack(PackId),
}

impl fmt::Debug for Receive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.message, self.number)
    }
}

impl Pack {
    pub(crate) fn lists(&self, claim: Receive) -> bool {
        self.lines.iter().any(|line| line.claim == claim)
    }
}

impl State {
    pub(crate) fn pack(&self, id: PackId) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.id == id)
    }

    pub(crate) fn object(&self, key: ObjectKey) -> Option<&Object> {
        self.lake.iter().find(|object| object.key == key)
    }

    /// Returns the number of lines of this claim in the data lake.
    pub(crate) fn copies(&self, claim: Receive) -> usize {
        self.lake.iter().flat_map(|object| &object.lines).filter(|line| line.claim == claim).count()
    }

    /// Returns true if the claim has a line in the data lake, or in a stream record or pack item from which the line
    /// can still be archived. A pack does not count if the lake already has an object with its key.
    pub(crate) fn is_settled(&self, claim: Receive) -> bool {
        let will_be_written = |pack: &Pack| pack.lists(claim) && self.object(ObjectKey::Pack(pack.id)).is_none();
        self.copies(claim) > 0
            || self.packs.iter().any(will_be_written)
            || self.stream.iter().any(|record| match record {
                Record::Claim(written) => written.id == claim && written.pack.is_none(),
                Record::Pack(pack) => will_be_written(pack),
            })
    }

    /// Returns true if `ingest-fn` and `replay` have nothing left to do.
    pub(crate) fn ingest_is_at_rest(&self) -> bool {
        let is_done = |message: &Delivery| matches!(message.place, Place::Acknowledged(_) | Place::DeadLetter { .. });
        self.messages.iter().all(is_done) && self.is_idle()
    }

    /// Returns true if no invocation and no `replay` is running, and no request is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.sandboxes.iter().all(|sandbox| sandbox.work.is_none()) && self.replay.is_none() && self.late.is_empty()
    }

    /// Adds a packed claim to `unsettled` if it is not settled. Call it when the claim leaves the table, when the
    /// sandbox that replaced the claim does not settle it, or when the claim is too old to settle.
    pub(crate) fn note_if_unsettled(&mut self, claim: Claim) {
        if claim.pack.is_some() && !self.is_settled(claim.id) && !self.unsettled.contains(&claim.id) {
            insert_sorted(&mut self.unsettled, claim.id);
        }
    }
}

impl Work {
    /// Returns the tasks of all claims that the batch works on.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.groups.iter().flat_map(|group| std::iter::once(&group.task).chain(&group.replaced))
    }

    pub(crate) fn tasks_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.groups.iter_mut().flat_map(|group| std::iter::once(&mut group.task).chain(&mut group.replaced))
    }
}

pub(crate) fn insert_sorted<Item: Ord>(items: &mut Vec<Item>, item: Item) {
    let position = items.partition_point(|other| *other <= item);
    items.insert(position, item);
}
