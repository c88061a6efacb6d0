//! Runs the real handlers and the real SDK clients against emulated SQS, DynamoDB, S3 and Lambda, and checks the results
//! against a reference model. Each run is a *world*: a seed decides which messages are sent and which faults happen.
//!
//! The seed alone determines everything in a world: the clock is simulated, there is only one thread, and every random
//! number comes from the seed. A seed that fails therefore fails in every run, and its world can be shrunk to the
//! messages and faults that cause the failure.
//!
//! | module | contents |
//! | --- | --- |
//! | [`scenario`], `settings` | everything that a seed decides: settings, messages, faults and steps |
//! | [`workload`], [`poison_record`] | the messages that are sent; the items that someone puts into the table by hand |
//! | [`fault_kind`], [`fault_plan`] | the kinds of faults, and the seeded plan that decides when a fault happens |
//! | [`sandboxes`], `skewed_clock`, `current_invocation`, `payload` | the functions' sandboxes, with their clocks and invocations |
//! | [`world`], [`final_state`] | the run of a world until all work is done, and its final state |
//! | [`history`], [`recorder`], `observer`, `requests` | the record of everything that happens in a world, in order |
//! | [`reference_model`], [`judgment`] | the check of a world's history and final state, and the violations found |
//! | [`campaign`] | runs many seeds in parallel |
//! | [`shrink`] | reduces a failing seed to fewer messages and faults |
//!
//! [`Scenario::with_mutant`] replaces the functions with a mutant, which is wrong on purpose. The reference model must then
//! find a violation in at least one world.

pub mod campaign;
pub mod event_rules;
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
mod old_version;
mod payload;
mod requests;
mod settings;
mod skewed_clock;

pub use fault_kind::FaultKind;
pub use scenario::Scenario;
pub use world::{Outcome, run};
