//! The operator's tools.

pub mod replay;
