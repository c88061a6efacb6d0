//! Runs the real handlers and the real SDK clients against the embedded services, in seeded worlds full of faults, and
//! checks the results against a reference model.
//!
//! A world depends on its seed alone: the clock is paused, there is one thread, and every random number comes from the
//! seed. A failing seed therefore fails every time and can be shrunk.
//!
//! | module | contents |
//! | --- | --- |
//! | [`scenario`], `settings` | everything that follows from a seed: settings, workload, faults and steps |
//! | [`workload`], [`poison_record`] | messages with the meaning of each body; items that someone puts into the table by hand |
//! | [`fault_kind`], [`fault_plan`] | the kinds of faults, and the seeded plan that decides when each one happens |
//! | [`sandboxes`], `skewed_clock`, `current_invocation`, `payload` | the functions' sandboxes, their skewed clocks and their invocations |
//! | [`world`], [`final_state`] | one run, from the first message until all work is done |
//! | [`history`], [`recorder`], `observer`, `requests` | everything that happened in a world, in order |
//! | [`reference_model`], [`judgment`] | the results that the recorded history allows, and the violations found |
//! | [`campaign`] | many seeds on all cores |
//! | [`shrink`] | reduces a failing seed to fewer messages and faults |
//!
//! [`Scenario::with_mutant`] replaces the functions with a mutant. The simulation must find it.

pub mod campaign;
pub mod fault_kind;
pub mod fault_plan;
pub mod final_state;
pub mod history;
pub mod judgment;
pub mod poison_record;
pub mod recorder;
pub mod reference_model;
pub mod sandboxes;
pub mod scenario;
pub mod shrink;
pub mod workload;
pub mod world;

mod current_invocation;
mod observer;
mod payload;
mod requests;
mod settings;
mod skewed_clock;

pub use fault_kind::FaultKind;
pub use scenario::Scenario;
pub use world::{Outcome, run};
