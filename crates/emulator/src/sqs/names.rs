//! URLs and ARNs of queues.

use crate::region::{ACCOUNT, REGION};

/// Returns the URL of an emulated queue, for in-process clients. No server listens at this URL.
#[must_use]
pub fn queue_url(name: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
}

pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}
