//! The operator's tools.

pub mod logs;
pub mod replay;
