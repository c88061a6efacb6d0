//! The real handlers and the real SDK clients, on the embedded services, through seeded worlds in which everything that
//! can go wrong does; what comes out is held against a reference model.
//!
//! A world is a pure function of its seed: the clock is paused, there is one thread, and all that is random comes from the
//! seed. So a seed that fails fails again, and can be shrunk.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`scenario`], `settings` | what a seed stands for: settings, workload, faults, and the order of things |
//! | [`workload`], [`poison_record`] | messages, and what each of them means; items that somebody puts into the table |
//! | [`fault_kind`], [`fault_plan`] | everything that goes wrong, and the seeded plan that decides when |
//! | [`sandboxes`], `skewed_clock`, `current_invocation`, `payload` | the functions' sandboxes, with clocks that are off, killed at any await |
//! | [`world`], [`final_state`] | one run, from the first message until nothing moves any more |
//! | [`history`], [`recorder`], `observer`, `requests` | what happened in it, in order |
//! | [`reference_model`], [`judgement`] | what may come out, by the history of what the services did |
//! | [`campaign`] | many seeds on all cores |
//! | [`shrink`] | less of a seed that still fails |
//!
//! [`Scenario::with_mutant`] puts a mutant in the functions' place, which must be found.

pub mod campaign;
pub mod fault_kind;
pub mod fault_plan;
pub mod final_state;
pub mod history;
pub mod judgement;
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
