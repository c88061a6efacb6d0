//! Both event source mappings do what Lambda's developer guide says. One test a rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake_function;
mod queue;
mod stream;
