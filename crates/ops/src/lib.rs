//! The operators' command-line tools, and a client for CloudWatch Logs.

#![warn(missing_docs)]

pub mod command_line;
pub mod logs;
pub mod replay;
