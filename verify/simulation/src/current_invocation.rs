//! The invocation whose code is running at the moment. A world has one thread, so the code of at most one invocation runs
//! at a time.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Returns the number of the invocation whose code is running, or `None` if no function's code is running.
pub(crate) fn current_invocation() -> Option<u64> {
    CURRENT.get()
}

/// Marks an invocation as the one whose code is running, until this guard is dropped.
pub(crate) struct InvocationGuard;

impl InvocationGuard {
    pub(crate) fn begin(invocation: u64) -> Self {
        CURRENT.set(Some(invocation));
        Self
    }
}

impl Drop for InvocationGuard {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}
