//! The properties that must hold in every state, and the situations that must occur in at least one state.

use std::collections::BTreeSet;

use stateright::{Model as _, Property};

use crate::protocol::Protocol;
use crate::state::{Claim, Place, Record, State, Step};

type Properties = Vec<Property<Protocol>>;

/// Returns the properties that must hold in every state.
pub(crate) fn always() -> Properties {
    vec![
        Property::always("a claim has at most one object, with one version", one_version),
        Property::always("one receive of a message creates at most one object", one_object_per_receive),
        Property::always(
            "an event is claimed again only after its window, or at most the clock skew before its end",
            claimed_again_after_window,
        ),
        Property::always(
            "a message is acknowledged only for a written claim, and compared with that claim's body",
            acknowledged_for_written_claim,
        ),
        Property::always("a message is judged only by a claim that has not expired", judged_by_valid_claim),
        Property::always("the cache holds only claims that the table has confirmed", cached_after_confirmation),
        Property::always("in the end, every claim has an object", every_claim_archived),
        Property::always("the pipeline never gets stuck", never_stuck),
    ]
}

fn one_version(_: &Protocol, state: &State) -> bool {
    state.lake.iter().all(|(_, versions)| *versions == 1)
}

fn one_object_per_receive(_: &Protocol, state: &State) -> bool {
    let receives: BTreeSet<_> = state.lake.iter().map(|(claim, _)| (claim.message, claim.receive)).collect();
    receives.len() == state.lake.len()
}

fn claimed_again_after_window(protocol: &Protocol, state: &State) -> bool {
    let before = |n: usize| state.stream[..n].iter();
    let mut pairs =
        state.stream.iter().enumerate().flat_map(|(n, later)| before(n).map(move |earlier| (earlier, later)));
    pairs.all(|(earlier, later)| {
        earlier.claim == later.claim || later.written + protocol.skew > protocol.ttl(earlier.claim)
    })
}

fn acknowledged_for_written_claim(protocol: &Protocol, state: &State) -> bool {
    (0..).zip(&state.messages).all(|(index, message)| match message.place {
        Place::Acknowledged { by, is_duplicate } => {
            state.was_written(by) && is_duplicate == protocol.have_same_body(by.message, index)
        }
        Place::Visible | Place::InFlight(_) | Place::DeadLetter => true,
    })
}

fn judged_by_valid_claim(protocol: &Protocol, state: &State) -> bool {
    let mut batches = state.sandboxes.iter().filter_map(|sandbox| sandbox.work.as_ref());
    batches.all(|work| work.step != Step::Confirmed || protocol.ttl(work.claim) >= work.at)
}

fn cached_after_confirmation(_: &Protocol, state: &State) -> bool {
    let mut caches = state.sandboxes.iter().filter_map(|sandbox| sandbox.cache);
    caches.all(|claim| state.was_written(claim))
}

fn every_claim_archived(_: &Protocol, state: &State) -> bool {
    let has_object = |record: &Record| state.lake.iter().any(|(claim, _)| *claim == record.claim);
    !state.is_at_rest() || state.stream.iter().all(has_object)
}

fn never_stuck(protocol: &Protocol, state: &State) -> bool {
    let mut actions = Vec::new();
    protocol.actions(state, &mut actions);
    !actions.is_empty() || state.is_at_rest()
}

/// Returns the situations that must occur. Each must occur in at least one state in which nothing is left to do. If one
/// never occurred, the other properties might hold only because the model leaves too much out. The situations with dead
/// letters are included only if a run may have `max_receives` faults: with fewer, no message becomes a dead letter.
pub(crate) fn sometimes(protocol: &Protocol) -> Properties {
    let mut properties = vec![
        Property::<Protocol>::sometimes("a claim replaces an expired one", |_, state| {
            state.is_at_rest() && state.stream.iter().any(|record| record.is_modify)
        }),
        Property::<Protocol>::sometimes("a claim is written after TTL deleted the previous one", |_, state| {
            state.is_at_rest() && state.stream.len() > 1 && state.stream.iter().all(|record| !record.is_modify)
        }),
    ];
    if protocol.faults >= protocol.max_receives {
        properties.extend([
            Property::<Protocol>::sometimes("a claim is written, and its message becomes a dead letter", |_, state| {
                let is_dead = |claim: Claim| state.messages[usize::from(claim.message)].place == Place::DeadLetter;
                state.is_at_rest() && state.stream.iter().any(|record| is_dead(record.claim))
            }),
            Property::<Protocol>::sometimes("every message becomes a dead letter", |_, state| {
                state.is_at_rest() && state.messages.iter().all(|message| message.place == Place::DeadLetter)
            }),
        ]);
    }
    properties
}
