//! The properties that must hold in every state, and the situations that must occur in at least one state.

use stateright::{Model as _, Property};

use super::protocol::{Packs, Writer};
use super::state::{Claim, ObjectKey, Pack, Place, Receive, Record, State, Step};

type Properties = Vec<Property<Packs>>;

/// Returns the properties that must hold in every state.
pub(crate) fn always() -> Properties {
    vec![
        Property::always("a claim has at most one copy in the data lake", one_copy),
        Property::always("an object never changes", |_, state: &State| !state.notes.object_replaced),
        Property::always("a message is acknowledged only for a settled claim", acknowledged_for_settled_claim),
        Property::always("in the end, the claim of every acknowledged message has one copy", acknowledged_has_copy),
        Property::always(
            "in the end, every claim has one copy, unless it left the table unsettled or is too old to settle",
            claim_has_copy,
        ),
        Property::always("a pack lists only claims that the table has stored", listed_claim_was_written),
        Property::always("a line has the body of its claim", line_has_body_of_claim),
        Property::always("the cache holds only settled claims", cached_after_settling),
        Property::always("a message is judged only by a claim that has not expired", judged_by_valid_claim),
        Property::always("an event is claimed again only after its window", |_, state: &State| {
            !state.notes.claimed_within_window
        }),
        Property::always("without faults, every claim is in the pack of its chunk", full_packs_without_faults),
        Property::always("without a fault, no message fails after close_by", |_, state: &State| {
            !state.notes.failed_without_cause
        }),
        Property::always("a winner is received again at most once for each fault", winner_settles_at_once),
        Property::always("a message becomes a dead letter only after a fault", dead_letter_after_fault),
        Property::always("the pipeline never gets stuck", never_stuck),
    ]
}

fn one_copy(_: &Packs, state: &State) -> bool {
    let mut lines = state.lake.iter().flat_map(|object| &object.lines);
    lines.all(|line| state.copies(line.claim) == 1)
}

/// Returns the claims for which a message was acknowledged.
fn acknowledged(state: &State) -> impl Iterator<Item = Receive> {
    state.messages.iter().filter_map(|message| match message.place {
        Place::Acknowledged(claim) => Some(claim),
        Place::Visible | Place::InFlight(_) | Place::DeadLetter { .. } => None,
    })
}

fn acknowledged_for_settled_claim(protocol: &Packs, state: &State) -> bool {
    // The version of `archive-fn` before packs loses pack records, and TTL may then delete the pack items.
    protocol.records_for_version_before > 0 || acknowledged(state).all(|claim| state.is_settled(claim))
}

fn acknowledged_has_copy(_: &Packs, state: &State) -> bool {
    !state.finished || acknowledged(state).all(|claim| state.copies(claim) == 1)
}

fn claim_has_copy(_: &Packs, state: &State) -> bool {
    let has_copy = |claim: &Claim| state.copies(claim.id) == 1 || state.unsettled.contains(&claim.id);
    !state.finished || state.written.iter().all(has_copy)
}

/// Returns the packs in the table and in the stream.
fn packs(state: &State) -> impl Iterator<Item = &Pack> {
    let records = state.stream.iter().filter_map(|record| match record {
        Record::Pack(pack) => Some(pack),
        Record::Claim(_) => None,
    });
    state.packs.iter().chain(records)
}

fn listed_claim_was_written(_: &Packs, state: &State) -> bool {
    let was_written = |claim: Receive| state.written.iter().any(|written| written.id == claim);
    packs(state).flat_map(|pack| &pack.lines).all(|line| was_written(line.claim))
}

fn line_has_body_of_claim(protocol: &Packs, state: &State) -> bool {
    packs(state).flat_map(|pack| &pack.lines).all(|line| line.body == protocol.body(line.claim))
}

fn cached_after_settling(protocol: &Packs, state: &State) -> bool {
    let mut caches = state.sandboxes.iter().flat_map(|sandbox| sandbox.cache.iter().flatten());
    protocol.records_for_version_before > 0 || caches.all(|claim| state.is_settled(claim.id))
}

fn judged_by_valid_claim(protocol: &Packs, state: &State) -> bool {
    let mut batches = state.sandboxes.iter().filter_map(|sandbox| sandbox.work.as_ref());
    batches.all(|work| {
        work.groups.iter().all(|group| group.task.step != Step::Settled || protocol.ttl(group.task.claim) >= work.at)
    })
}

/// Checks that, without faults, the sandbox that won a pack's claims is the first to close the pack. Skips states in
/// which skewed clocks, a last receive or a redrive may have caused an early close.
fn full_packs_without_faults(protocol: &Packs, state: &State) -> bool {
    let has_last_receive = state.messages.iter().any(|message| message.receives >= protocol.max_receives);
    let has_own_pack = packs(state).any(|pack| pack.id.is_own())
        || state.lake.iter().any(|object| matches!(object.key, ObjectKey::Pack(id) if id.is_own()));
    state.faults_left < protocol.faults || protocol.skew > 0 || has_last_receive || !has_own_pack
}

/// Checks that a redelivered winner settles its claim without waiting for `close_by`, unless a redrive has changed its
/// message id. Skips configurations in which claims expire, because a late write can then store the claim of an earlier
/// receive.
fn winner_settles_at_once(protocol: &Packs, state: &State) -> bool {
    let faults = protocol.faults - state.faults_left;
    let claims_expire = protocol.last_second + protocol.skew > protocol.window;
    let settles_at_once = |claim: &Claim| {
        let latest = Receive { number: state.messages[usize::from(claim.id.message)].receives, ..claim.id };
        claim.pack.is_none()
            || protocol.message_id(latest) != protocol.message_id(claim.id)
            || latest.number <= claim.id.number + faults
    };
    protocol.writers.contains(&Writer::VersionBefore)
        || claims_expire
        || state.restored
        || state.claims.iter().flatten().all(settles_at_once)
}

fn dead_letter_after_fault(_: &Packs, state: &State) -> bool {
    state.messages.iter().all(|message| message.place != Place::DeadLetter { after_fault: false })
}

fn never_stuck(protocol: &Packs, state: &State) -> bool {
    let mut actions = Vec::new();
    protocol.actions(state, &mut actions);
    !actions.is_empty() || state.finished
}

/// A situation that a configuration must reach. Otherwise, the properties might hold only because the configuration
/// does too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// A pack lists two claims.
    FullPack,
    /// A claim has a pack of its own.
    OwnPack,
    /// A message becomes a dead letter.
    DeadLetter,
    /// A redriven message is acknowledged.
    Redriven,
    /// An expired claim was replaced, and both claims have a copy.
    ReplacedAndSettled,
    /// A claim was never settled, and has no copy.
    Unsettled,
    /// TTL deletes a pack item whose object is in the data lake, while a claim of its chunk is still in the table.
    PackDeletedFirst,
    /// A message is acknowledged for the claim of another message with another body.
    Conflict,
    /// The data lake has an object of a single claim and an object of a pack.
    BothLayouts,
    /// The table was restored.
    Restored,
}

impl Situation {
    fn property(self) -> Property<Packs> {
        match self {
            Self::FullPack => Property::sometimes("a pack lists two claims", |_, state: &State| {
                state.finished && state.lake.iter().any(|object| object.lines.len() > 1)
            }),
            Self::OwnPack => Property::sometimes("a claim has a pack of its own", |_, state: &State| {
                let is_own = |key| matches!(key, ObjectKey::Pack(id) if id.is_own());
                state.finished && state.lake.iter().any(|object| is_own(object.key))
            }),
            Self::DeadLetter => Property::sometimes("a message becomes a dead letter", |_, state: &State| {
                let is_dead = |place| matches!(place, Place::DeadLetter { .. });
                state.finished && state.messages.iter().any(|message| is_dead(message.place))
            }),
            Self::Redriven => Property::sometimes("a redriven message is acknowledged", |protocol, state: &State| {
                let is_acknowledged = |place| matches!(place, Place::Acknowledged(_));
                state.finished
                    && state
                        .messages
                        .iter()
                        .any(|message| message.receives > protocol.max_receives && is_acknowledged(message.place))
            }),
            Self::ReplacedAndSettled => {
                Property::sometimes("a replaced claim and its successor have a copy", |_, state: &State| {
                    state.finished && state.written.len() > state.claims.len() && state.unsettled.is_empty()
                })
            }
            Self::Unsettled => Property::sometimes("a claim leaves the table unsettled", |_, state: &State| {
                state.finished && state.unsettled.iter().any(|claim| state.copies(*claim) == 0)
            }),
            Self::PackDeletedFirst => {
                Property::sometimes("TTL deletes a pack before its claims", |_, state: &State| {
                    let is_gone = |id| state.pack(id).is_none() && state.object(ObjectKey::Pack(id)).is_some();
                    state.finished && state.claims.iter().flatten().any(|claim| claim.pack.is_some_and(is_gone))
                })
            }
            Self::Conflict => Property::sometimes("a conflict is acknowledged", |protocol, state: &State| {
                let is_conflict = |index: u8, claim: Receive| {
                    protocol.body(claim) != protocol.body(Receive { message: index, number: 1 })
                };
                state.finished
                        && (0..).zip(&state.messages).any(|(index, message)| {
                            matches!(message.place, Place::Acknowledged(claim) if is_conflict(index, claim))
                        })
            }),
            Self::BothLayouts => Property::sometimes("the data lake has both layouts", |_, state: &State| {
                let has =
                    |is_pack: bool| state.lake.iter().any(|object| matches!(object.key, ObjectKey::Pack(_)) == is_pack);
                state.finished && has(true) && has(false)
            }),
            Self::Restored => {
                Property::sometimes("the table was restored, and a pack is in the lake", |_, state: &State| {
                    state.finished && state.restored && !state.lake.is_empty()
                })
            }
        }
    }
}

/// Returns the situations that this configuration must reach.
pub(crate) fn sometimes(protocol: &Packs) -> Properties {
    protocol.situations.iter().map(|situation| situation.property()).collect()
}
