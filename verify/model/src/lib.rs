//! A model of how the pipeline claims and archives events. It is small enough that tests check every reachable state.
//!
//! The model has a few messages of one event, two sandboxes of `ingest-fn` whose clocks differ, the table with at most one
//! item, the table's stream, `archive-fn`, and the data lake. Every [`Action`] is one step, and steps happen in any order.
//! Requests can be lost or arrive late, answers can be lost, and sandboxes can be killed between any two steps. Messages
//! and records can be redelivered. The clock advances, and TTL can delete an item at any time after its expiry. The module
//! `properties` states what must hold in every state. Each [`Mutant`] breaks the protocol in one way, and must violate one
//! of these properties.
//!
//! The model leaves out panics, size limits and bodies that are not valid events, because they are not part of the
//! protocol. It leaves out the settings that decide which messages are one event: claims of different dedup keys are
//! different items, so they do not affect each other. It compares bodies instead of digests. The result is the same,
//! because `ingest-fn` compares two digests only if both depend on the same list of ignored members. It also leaves out
//! the stream mapping's maximum record age, after which the mapping discards a record and names it in the on-failure
//! queue.
//!
//! The module [`packs`] is a separate model, for a protocol that puts many claims into one object.
//!
//! The checker is `stateright`, which takes models written in Rust. Its `eventually` properties can miss a counterexample
//! if two paths lead to the same state, as a "fixme" in its tests says. The models therefore do not use them. Instead, a
//! property such as "in the end, every claim has an object" is checked in every state in which nothing is left to do.
//! Every run reaches such a state, because every action uses up something that is limited.

mod action;
mod archive;
mod effect;
mod enabled;
mod ingest;
mod machine;
mod mutant;
pub mod packs;
mod properties;
mod protocol;
mod state;

pub use action::Action;
pub use mutant::Mutant;
pub use protocol::Protocol;
pub use state::{Claim, ClaimRequest, Message, Place, Record, RecordState, Sandbox, State, Step, Work};
