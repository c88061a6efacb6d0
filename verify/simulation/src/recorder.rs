//! Keeps the history while it happens, and knows what is still under way.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emulator::Clock;

use crate::history::{Entry, History};

/// Keeps the history while it happens.
pub struct Recorder {
    clock: Clock,
    started_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    ended: bool,
    /// Claims and poison in the table that have no object yet: claim id, or partition key.
    without_object: BTreeSet<String>,
    with_object: BTreeSet<String>,
    running: BTreeSet<u64>,
    all_arrived_ms: u64,
}

impl Recorder {
    /// Of a world that begins now.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, started_ms: clock.now_ms(), state: Mutex::default() }
    }

    /// Notes what happened.
    pub fn note(&self, entry: Entry) {
        let mut state = self.lock();
        match &entry {
            Entry::Invoked { invocation, .. } => drop(state.running.insert(*invocation)),
            Entry::Answered { invocation, .. }
            | Entry::Refused { invocation, .. }
            | Entry::Killed { invocation }
            | Entry::TimedOut { invocation }
            | Entry::Crashed { invocation } => drop(state.running.remove(invocation)),
            _ => {}
        }
        if !state.ended {
            let at = self.clock.now_ms() - self.started_ms;
            state.history.push((at, entry));
        }
    }

    /// The table holds something that must become an object: a claim by its id, another record by its partition key. A retry may
    /// bring a claim back that has its object, and was deleted.
    pub fn awaits_object(&self, name: &str) {
        let mut state = self.lock();
        if !state.with_object.contains(name) {
            state.without_object.insert(name.to_owned());
        }
    }

    /// It has become one.
    pub fn has_object(&self, name: &str) {
        let mut state = self.lock();
        state.without_object.remove(name);
        state.with_object.insert(name.to_owned());
    }

    /// What has not become an object yet.
    #[must_use]
    pub fn without_object(&self) -> BTreeSet<String> {
        self.lock().without_object.clone()
    }

    /// A request is on its way for so long.
    pub fn arrives_after(&self, delay: Duration) {
        let arrives_ms = self.elapsed_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        state.all_arrived_ms = state.all_arrived_ms.max(arrives_ms);
    }

    /// Whether no function runs, and no request is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let now_ms = self.elapsed_ms();
        let state = self.lock();
        state.running.is_empty() && state.all_arrived_ms < now_ms
    }

    /// Ends the history, and gives it.
    #[must_use]
    pub fn end(&self) -> History {
        let mut state = self.lock();
        state.ended = true;
        std::mem::take(&mut state.history)
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.clock.now_ms() - self.started_ms
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
