//! The real handlers and the real SDK clients, on the embedded services, through seeded worlds in which everything that
//! can go wrong does; what comes out is held against a reference model.
//!
//! A world is a pure function of its seed: the clock is paused, there is one thread, and all that is random comes from the
//! seed. So a seed that fails fails again, and can be shrunk.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`scenario`] | what a seed stands for: settings, workload, faults, and the order of things |
//! | [`workload`] | messages, and what each of them means |
//! | [`faults`] | everything that goes wrong, and the dice that decide when |
//! | [`sandbox`] | Lambda's sandboxes, with clocks that are off, killed at any await |
//! | [`world`] | one run, from the first message until nothing moves any more |
//! | [`history`] | what happened in it, in order |
//! | [`poison_record`] | what somebody puts into the table that can never be archived |
//! | [`reference_model`] | what may come out, by the history of what the services did |
//! | [`judgement`] | which rules did not hold, and how everything ended |
//! | [`campaign`] | many seeds on all cores |
//! | [`shrink`] | less of a seed that still fails |

pub mod campaign;
pub mod faults;
pub mod history;
pub mod judgement;
pub mod poison_record;
pub mod reference_model;
pub mod sandbox;
pub mod scenario;
pub mod shrink;
pub mod workload;
pub mod world;

pub use faults::FaultKind;
pub use scenario::Scenario;
pub use world::{Outcome, run};
