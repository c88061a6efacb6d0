//! What must hold in every state, and what shows that the model gets where it should.

use std::collections::BTreeSet;

use stateright::{Model as _, Property};

use crate::protocol::Protocol;
use crate::state::{Claim, Place, Record, State, Step};

type Properties = Vec<Property<Protocol>>;

/// In every state there is.
pub(crate) fn must_always_hold() -> Properties {
    vec![
        Property::always("a claim has at most one object, with one version", one_version),
        Property::always("one receive of a message makes at most one object", one_object_a_receive),
        Property::always("of two claims the earlier had run out, up to the clock skew", window),
        Property::always("a message is acknowledged only by a claim in the table, for what it says", acknowledged),
        Property::always("a claim is held against a message only while it holds", held),
        Property::always("nothing is remembered that the table did not confirm", remembered),
        Property::always("in the end each claim has its object", archived),
        Property::always("nothing gets stuck", moves_on),
    ]
}

fn one_version(_: &Protocol, state: &State) -> bool {
    state.lake.iter().all(|(_, versions)| *versions == 1)
}

fn one_object_a_receive(_: &Protocol, state: &State) -> bool {
    let receives: BTreeSet<_> = state.lake.iter().map(|(claim, _)| (claim.message, claim.receive)).collect();
    receives.len() == state.lake.len()
}

fn window(protocol: &Protocol, state: &State) -> bool {
    let before = |n: usize| state.stream[..n].iter();
    let mut pairs =
        state.stream.iter().enumerate().flat_map(|(n, later)| before(n).map(move |earlier| (earlier, later)));
    pairs.all(|(earlier, later)| {
        earlier.claim == later.claim || later.written + protocol.skew > protocol.ttl(earlier.claim)
    })
}

fn acknowledged(protocol: &Protocol, state: &State) -> bool {
    (0..).zip(&state.messages).all(|(index, message)| match message.place {
        Place::Acknowledged { by, says_the_same } => {
            state.was_written(by) && says_the_same == protocol.say_the_same(by.message, index)
        }
        Place::Visible | Place::With(_) | Place::Dead => true,
    })
}

fn held(protocol: &Protocol, state: &State) -> bool {
    let mut works = state.sandboxes.iter().filter_map(|sandbox| sandbox.work.as_ref());
    works.all(|work| work.step != Step::Confirmed || protocol.ttl(work.claim) >= work.at)
}

fn remembered(_: &Protocol, state: &State) -> bool {
    let mut caches = state.sandboxes.iter().filter_map(|sandbox| sandbox.cache);
    caches.all(|claim| state.was_written(claim))
}

fn archived(_: &Protocol, state: &State) -> bool {
    let has_object = |record: &Record| state.lake.iter().any(|(claim, _)| *claim == record.claim);
    !state.is_at_rest() || state.stream.iter().all(has_object)
}

fn moves_on(protocol: &Protocol, state: &State) -> bool {
    let mut actions = Vec::new();
    protocol.actions(state, &mut actions);
    !actions.is_empty() || state.is_at_rest()
}

/// In some state at rest. Two messages become dead letters only if enough goes wrong.
pub(crate) fn happens_somewhere(protocol: &Protocol) -> Properties {
    let mut properties = vec![
        Property::<Protocol>::sometimes("a claim replaces one that has run out", |_, state| {
            state.is_at_rest() && state.stream.iter().any(|record| record.is_modify)
        }),
        Property::<Protocol>::sometimes("a claim is written after TTL deleted another", |_, state| {
            state.is_at_rest() && state.stream.len() > 1 && state.stream.iter().all(|record| !record.is_modify)
        }),
    ];
    if protocol.faults >= protocol.max_receives {
        properties.extend([
            Property::<Protocol>::sometimes("a claim is written, and its message is a dead letter", |_, state| {
                let is_dead = |claim: Claim| state.messages[usize::from(claim.message)].place == Place::Dead;
                state.is_at_rest() && state.stream.iter().any(|record| is_dead(record.claim))
            }),
            Property::<Protocol>::sometimes("every message is a dead letter", |_, state| {
                state.is_at_rest() && state.messages.iter().all(|message| message.place == Place::Dead)
            }),
        ]);
    }
    properties
}
