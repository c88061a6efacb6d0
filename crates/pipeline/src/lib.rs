//! The whole pipeline in one process: both functions, connected to the emulator as Terraform connects the deployed
//! functions to AWS.

#![warn(missing_docs)]

pub mod names;
pub mod sandboxes;
pub mod testkit;

mod pipeline;
mod settings;

pub use pipeline::Pipeline;
pub use sandboxes::{Blueprint, Decorator, Role, WarmSandbox};
pub use settings::PipelineSettings;
