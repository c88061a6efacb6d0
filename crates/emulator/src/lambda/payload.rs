//! The payload of an invocation.

/// Largest payload of an invocation, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// The event that a function gets: `{"Records":[..]}`.
pub(crate) fn payload(records: &[&str]) -> Vec<u8> {
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}
