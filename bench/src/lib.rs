//! The traffic that the benchmarks share.

pub mod traffic;
