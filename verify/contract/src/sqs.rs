//! Behaviors of SQS. Tests send messages with the API requests that a producer sends, and receive and delete them with
//! those that the queue mapping sends.

mod attributes;
mod receiving;
mod requests;
mod sending;

use crate::behavior::Behavior;

pub(crate) fn behaviors() -> Vec<Behavior> {
    [receiving::behaviors(), attributes::behaviors(), sending::behaviors()].into_iter().flatten().collect()
}
