//! The checks that the tests of both models share.

#![expect(clippy::print_stdout, reason = "people read the number of states and the steps")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model};

/// Checks the properties in every state. Prints the number of states, which drops if a change removes part of the
/// model.
pub(crate) fn check_every_state<M>(name: &str, model: M)
where
    M: Model<Action: Clone + Debug + PartialEq, State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync,
    M: 'static,
{
    let started = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    let steps = checker.max_depth();
    println!("{name}: {states} states, up to {steps} steps, {:.1} s", started.elapsed().as_secs_f64());
    checker.assert_properties();
}

/// Finds a state of the mutant's model that violates `property`, and prints the steps to that state.
pub(crate) fn find_violation<M>(mutant: &dyn Debug, model: &M, property: &'static str)
where
    M: Model<Action: Clone + Debug + PartialEq, State: Clone + Debug + Hash + PartialEq + Send + Sync>,
    M: Clone + Send + Sync + 'static,
{
    let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.clone().checker().finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("{mutant:?} does not violate \"{property}\""));
    println!("{mutant:?}: \"{property}\" is violated by");
    for (number, (state, step)) in (1..).zip(path.into_vec()) {
        if let Some(text) = step.and_then(|step| model.format_step(&state, step)) {
            println!("{number:>4}. {text}");
        }
    }
}
