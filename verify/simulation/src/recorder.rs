//! Records the history of a world and tracks the work that is still unfinished.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emulator::Clock;

use crate::history::{Entry, History};

/// Records the history of a world and tracks unfinished work.
pub struct Recorder {
    clock: Clock,
    started_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    has_ended: bool,
    /// Claims and poison records without an object, by claim id or partition key.
    without_object: BTreeSet<String>,
    with_object: BTreeSet<String>,
    running_invocations: BTreeSet<u64>,
    /// Time at which every request so far has arrived.
    all_arrived_ms: u64,
}

impl Recorder {
    /// Creates the recorder of a world that starts now.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, started_ms: clock.now_ms(), state: Mutex::default() }
    }

    /// Appends an entry to the history, unless the history has ended.
    pub fn record(&self, entry: Entry) {
        let mut state = self.lock();
        match &entry {
            Entry::Invoked { invocation, .. } => drop(state.running_invocations.insert(*invocation)),
            Entry::Answered { invocation, .. }
            | Entry::Failed { invocation, .. }
            | Entry::Killed { invocation }
            | Entry::TimedOut { invocation }
            | Entry::Crashed { invocation } => drop(state.running_invocations.remove(invocation)),
            _ => {}
        }
        if !state.has_ended {
            let at_ms = self.clock.now_ms() - self.started_ms;
            state.history.push((at_ms, entry));
        }
    }

    /// Notes that the table holds an item that must become an object. `name` is the claim id, or the partition key for a poison
    /// record. Ignores names that already have an object: after TTL has deleted a claim, a late retry can write it again.
    pub fn expect_object(&self, name: &str) {
        let mut state = self.lock();
        if !state.with_object.contains(name) {
            state.without_object.insert(name.to_owned());
        }
    }

    /// Notes that an object for `name` exists.
    pub fn object_written(&self, name: &str) {
        let mut state = self.lock();
        state.without_object.remove(name);
        state.with_object.insert(name.to_owned());
    }

    /// Returns the names of the items that have no object yet.
    #[must_use]
    pub fn without_object(&self) -> BTreeSet<String> {
        self.lock().without_object.clone()
    }

    /// Notes that a request arrives after `delay`.
    pub fn request_delayed(&self, delay: Duration) {
        let arrives_ms = self.elapsed_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        state.all_arrived_ms = state.all_arrived_ms.max(arrives_ms);
    }

    /// Returns true if no function runs and no request is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let now_ms = self.elapsed_ms();
        let state = self.lock();
        state.running_invocations.is_empty() && state.all_arrived_ms < now_ms
    }

    /// Ends the history and returns it.
    #[must_use]
    pub fn end(&self) -> History {
        let mut state = self.lock();
        state.has_ended = true;
        std::mem::take(&mut state.history)
    }

    /// Returns the milliseconds since the world began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.clock.now_ms() - self.started_ms
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
