//! URLs and ARNs of queues.

use crate::region::{ACCOUNT, REGION};

/// The URL of an embedded queue. Nothing resolves it.
#[must_use]
pub fn queue_url(name: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
}

pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}
