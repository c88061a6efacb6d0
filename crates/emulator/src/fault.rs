//! What goes wrong between a client and a service, request by request. What queues and mappings may do by their
//! documentation, and seldom do, is in [`fault_plan`](crate::fault_plan).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::Call;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the service has seen it.
    RequestLost,
    /// The service does it, and the connection breaks before the answer is back.
    AnswerLost,
    /// The service does it, and says that the condition failed without showing the item that is there.
    OldItemWithheld,
    /// The service says "too many requests", in its own words.
    Throttled,
    /// Of a request of many statements, those whose bit is set are not done, and the answer, which is a good one, says
    /// "too many requests" of each. Another request is done.
    StatementsThrottled(u32),
    /// Of a request of many statements, those whose bit is set are done, and the answer, which is a good one, says of each that
    /// something went wrong within the service. Another request is done.
    StatementsUnknown(u32),
    /// All statements of a request are done, and the answers to those whose bit is set left out. Another request is done.
    StatementsUnanswered(u32),
    /// The service answers with this HTTP status and does nothing.
    Refused(u16),
    /// The service does it at once, and its answer takes so long.
    AnswerDelayed(Duration),
    /// The request takes so long to reach the service, and reaches it even if nobody waits for the answer any more.
    RequestDelayed(Duration),
}

type Hook = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// A test's hook, which sees every request and says what goes wrong with it.
#[derive(Clone, Default)]
pub struct RequestFaults(Arc<Mutex<Option<Arc<Hook>>>>);

impl RequestFaults {
    /// From now on, `hook` sees each request.
    pub fn set(&self, hook: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// From now on, nothing goes wrong.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn of(&self, call: &Call<'_>) -> Option<Fault> {
        let hook = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hook.and_then(|hook| hook(call))
    }
}
