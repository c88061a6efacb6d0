//! Queues: the requests of producers, which send, and of the queue mapping, which receives and deletes.

mod attributes;
mod receiving;
mod requests;
mod sending;

use crate::behavior::Behavior;

pub(crate) fn behaviors() -> Vec<Behavior> {
    [receiving::behaviors(), attributes::behaviors(), sending::behaviors()].into_iter().flatten().collect()
}
