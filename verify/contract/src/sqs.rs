//! The queues. Tests send messages with the same API requests as producers, and receive and delete messages with those of
//! the queue mapping.

mod attributes;
mod receiving;
mod requests;
mod sending;

use crate::behavior::Behavior;

pub(crate) fn behaviors() -> Vec<Behavior> {
    [receiving::behaviors(), attributes::behaviors(), sending::behaviors()].into_iter().flatten().collect()
}
