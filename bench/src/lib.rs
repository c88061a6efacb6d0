//! What this project's benchmarks share: the traffic that they are made on.

pub mod traffic;
