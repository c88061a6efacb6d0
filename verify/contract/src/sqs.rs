//! Queues, as producers send to them and as the mapping to `ingest-fn` receives from them.

mod attributes;
mod receiving;
mod requests;
mod sending;

use crate::behavior::Behavior;

pub(crate) fn behaviors() -> Vec<Behavior> {
    [receiving::behaviors(), attributes::behaviors(), sending::behaviors()].into_iter().flatten().collect()
}
