//! The functions wired to the emulator, as Terraform wires the deployed ones.

pub mod names;

mod pipeline;

pub use pipeline::{Pipeline, PipelineSettings};
