//! The functions wired to the emulator, as Terraform wires the deployed ones.

pub mod names;
pub mod testkit;

mod pipeline;

pub use pipeline::{Pipeline, PipelineSettings};
