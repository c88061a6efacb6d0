//! The traffic that the bench and the micro-benchmarks send to the functions.

pub mod traffic;
