//! Behaviors of SQS. Tests send messages with the API requests of a producer. They receive and delete messages with the
//! API requests of the queue mapping.

mod attributes;
mod receiving;
mod requests;
mod sending;

use crate::behavior::Behavior;

pub(crate) fn behaviors() -> Vec<Behavior> {
    [receiving::behaviors(), attributes::behaviors(), sending::behaviors()].into_iter().flatten().collect()
}
