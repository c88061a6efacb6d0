//! The id of the trace that a message belongs to.

use std::fmt;

/// The id of a trace: an AWS X-Ray trace id such as `1-5759e988-bd862e3fe1be46a994272793`, or the trace id of a W3C
/// `traceparent` such as `4bf92f3577b34da6a3ce929d0e0e4736`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(String);

impl TraceId {
    /// Parses a trace id without any text around it. Returns `None` if `text` has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (is_xray_id(text) || is_w3c_id(text)).then(|| Self(text.to_owned()))
    }

    /// Returns the `Root` of an X-Ray tracing header; `None` if the header has no valid `Root` (X-Ray developer guide,
    /// "Tracing header"). SQS delivers the header as the system attribute `AWSTraceHeader`.
    #[must_use]
    pub fn from_xray_header(header: &str) -> Option<Self> {
        let root = header.split(';').find_map(|field| field.trim().strip_prefix("Root="))?;
        is_xray_id(root).then(|| Self(root.to_owned()))
    }

    /// Returns the trace id in a `traceparent`; `None` if the text is malformed (W3C Trace Context, "traceparent Header
    /// Field Values"). A version above `00` may have more fields.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let [version, trace_id, parent_id, flags] = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
        let is_version = is_lower_hex(version, 2) && version != "ff" && (version != "00" || fields.next().is_none());
        let is_parent = is_lower_hex(parent_id, 16) && parent_id.bytes().any(|byte| byte != b'0');
        let is_valid = is_version && is_w3c_id(trace_id) && is_parent && is_lower_hex(flags, 2);
        is_valid.then(|| Self(trace_id.to_owned()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks for `1-`, eight hex digits (the epoch seconds), `-`, and 24 hex digits.
fn is_xray_id(text: &str) -> bool {
    let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = text.strip_prefix("1-").and_then(|rest| rest.split_once('-'));
    rest.is_some_and(|(time, random)| is_hex(time, 8) && is_hex(random, 24))
}

/// Checks for 32 lower-case hex digits that are not all zero.
fn is_w3c_id(text: &str) -> bool {
    is_lower_hex(text, 32) && text.bytes().any(|byte| byte != b'0')
}

fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
