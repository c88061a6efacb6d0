//! Records the history of a world, and tracks the work that is not finished yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emulator::Clock;

use crate::history::{Entry, History};

pub struct Recorder {
    clock: Clock,
    started_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    has_ended: bool,
    /// Items that must become an object but have no object yet. The key is the claim id or, for a poison record, the
    /// partition key. The value is the time at which the item was stored, in milliseconds since the world began.
    without_object: BTreeMap<String, u64>,
    /// Names of the items that have an object.
    with_object: BTreeSet<String>,
    running_invocations: BTreeSet<u64>,
    /// Arrival time of the delayed request that arrives last, in milliseconds since the world began.
    all_arrived_ms: u64,
}

impl Recorder {
    /// Creates a recorder that counts time from this moment.
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

    /// Notes that the table holds an item that must become an object. `name` is the claim id, or the partition key of a
    /// poison record. Ignores an item that already has an object: a late retry can write a claim again after TTL has
    /// deleted it.
    pub fn expect_object(&self, name: &str) {
        let now_ms = self.elapsed_ms();
        let mut state = self.lock();
        if !state.with_object.contains(name) {
            state.without_object.insert(name.to_owned(), now_ms);
        }
    }

    /// Notes that the item with this name has an object.
    pub fn object_written(&self, name: &str) {
        let mut state = self.lock();
        state.without_object.remove(name);
        state.with_object.insert(name.to_owned());
    }

    /// Returns the names of the items that have no object yet. Leaves out the items that were stored `retention` ago or
    /// earlier, because their records have left the stream.
    #[must_use]
    pub fn without_object(&self, retention: Duration) -> BTreeSet<String> {
        let now_ms = self.elapsed_ms();
        let is_in_stream = |stored_ms: u64| u128::from(now_ms - stored_ms) < retention.as_millis();
        let state = self.lock();
        let items = state.without_object.iter().filter(|(_, stored_ms)| is_in_stream(**stored_ms));
        items.map(|(name, _)| name.clone()).collect()
    }

    /// Notes that a request arrives at its service `delay` from now.
    pub fn request_delayed(&self, delay: Duration) {
        let arrives_ms = self.elapsed_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        state.all_arrived_ms = state.all_arrived_ms.max(arrives_ms);
    }

    /// Returns true if no function runs and every delayed request has arrived.
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

    /// Returns the number of milliseconds since the world began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.clock.now_ms() - self.started_ms
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
