//! The invocation whose code is running. A world has one thread, so there is at most one.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Returns the invocation whose code is running.
pub(crate) fn current_invocation() -> Option<u64> {
    CURRENT.get()
}

/// Marks an invocation as running until it is dropped.
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
