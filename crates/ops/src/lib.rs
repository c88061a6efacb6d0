//! The operator's tools.

pub mod command_line;
pub mod logs;
pub mod replay;
