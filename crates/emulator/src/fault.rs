//! Faults that affect a single request from a client to a service. For faults of queues and mappings, see
//! [`fault_plan`](crate::fault_plan).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::Call;

/// A fault that affects one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the service has seen the request.
    RequestLost,
    /// The service executes the request, and the connection breaks before the client has the answer.
    AnswerLost,
    /// DynamoDB executes the request. If the request's condition fails, the answer lacks the existing item, even if the
    /// request asked for it.
    OldItemWithheld,
    /// The service does not execute the request. It answers with its throttling error.
    Throttled,
    /// DynamoDB skips the statements whose bit is set. Bit 0 stands for the first statement of the batch. Its answer
    /// has status 200 and reports each skipped statement as throttled. A request without statements is executed
    /// normally.
    StatementsThrottled(u32),
    /// DynamoDB executes all statements. Its answer has status 200 and reports an internal error for each statement
    /// whose bit is set. A request without statements is executed normally.
    StatementsUnknown(u32),
    /// DynamoDB executes all statements. Its answer has status 200 and leaves out the results of the statements whose
    /// bit is set. A request without statements is executed normally.
    StatementsUnanswered(u32),
    /// DynamoDB skips the statements whose bit is set. Its answer has status 200 and reports an error without a code
    /// for each skipped statement, because the API allows errors without a code. A request without statements is
    /// executed normally.
    StatementsUncoded(u32),
    /// The service executes the request. If the answer is an error, its code is missing.
    ErrorCodeWithheld,
    /// The service executes the request. The connection breaks in the body of its answer, after the headers.
    AnswerBroken,
    /// The request does not reach the service. A proxy answers it with status 200 and an empty body.
    EmptyAnswer,
    /// The request does not reach the service. A proxy answers it with status 200 and a page of HTML.
    MalformedAnswer,
    /// The service does not execute the request. It answers with an error that has this HTTP status.
    Refused(u16),
    /// The service executes the request at once, and its answer arrives after this delay.
    AnswerDelayed(Duration),
    /// The request reaches the service after this delay, even if the client no longer waits for the answer.
    RequestDelayed(Duration),
}

type Hook = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// Holds the hook with which a test chooses the fault of each request. The emulator calls the hook for every request
/// and injects the fault that it returns, if any.
#[derive(Clone, Default)]
pub struct RequestFaults(Arc<Mutex<Option<Arc<Hook>>>>);

impl RequestFaults {
    /// Sets the hook. From now on, `hook` chooses the fault of each request.
    pub fn set(&self, hook: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Removes the hook. Later requests have no faults.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn fault_for(&self, call: &Call<'_>) -> Option<Fault> {
        let hook = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hook.and_then(|hook| hook(call))
    }
}
