//! The invocation whose code runs now: a world has one thread.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Returns the invocation whose code runs now, if any does.
pub(crate) fn current_invocation() -> Option<u64> {
    CURRENT.get()
}

/// While it lives, an invocation's code runs.
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
