//! The JSON payload with which a mapping invokes its function.

/// The maximum size of an invocation's payload, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Returns the event that a function receives: `{"Records":[..]}`.
pub(crate) fn payload(records: &[&str]) -> Vec<u8> {
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}
