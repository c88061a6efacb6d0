//! The functions wired to the emulator, as Terraform wires the deployed ones.

#![warn(missing_docs)]

pub mod names;
pub mod sandboxes;
pub mod testkit;

mod pipeline;
mod settings;

pub use pipeline::Pipeline;
pub use sandboxes::{Blueprint, Decorator, Role, WarmSandbox};
pub use settings::PipelineSettings;
