//! Both event source mappings behave as Lambda's developer guide describes. Each test checks one rule.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake_function;
mod queue;
mod stream;
