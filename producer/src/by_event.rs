//! A map from events to values.

/// Maps events to values. Each event is represented by its index in [`Plan::event_ids`](crate::events::Plan::event_ids).
/// In a large run nearly every event has a value, so this map needs about half the memory of a `HashMap`.
#[derive(Clone, Debug)]
pub struct ByEvent<T> {
    values: Vec<Option<T>>,
    len: usize,
}

impl<T> Default for ByEvent<T> {
    fn default() -> Self {
        Self { values: Vec::new(), len: 0 }
    }
}

impl<T> ByEvent<T> {
    /// Creates an empty map for the events `0..events`.
    #[must_use]
    pub fn with_capacity(events: usize) -> Self {
        Self { values: Vec::with_capacity(events), len: 0 }
    }

    #[must_use]
    pub fn get(&self, event: usize) -> Option<&T> {
        self.values.get(event)?.as_ref()
    }

    pub fn get_mut(&mut self, event: usize) -> Option<&mut T> {
        self.values.get_mut(event)?.as_mut()
    }

    #[must_use]
    pub fn contains(&self, event: usize) -> bool {
        self.get(event).is_some()
    }

    pub fn insert(&mut self, event: usize, value: T) {
        if self.values.len() <= event {
            self.values.resize_with(event + 1, || None);
        }
        self.len += usize::from(self.values[event].replace(value).is_none());
    }

    pub fn remove(&mut self, event: usize) {
        let removed = self.values.get_mut(event).and_then(Option::take);
        self.len -= usize::from(removed.is_some());
    }

    /// Returns the number of events that have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterates over the events that have a value, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.values.iter().enumerate().filter_map(|(event, value)| Some((event, value.as_ref()?)))
    }
}

impl<T> std::ops::Index<usize> for ByEvent<T> {
    type Output = T;

    fn index(&self, event: usize) -> &T {
        self.get(event).expect("the event has a value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length counts each event once, and events without a value are skipped.
    #[test]
    fn length_counts_events_with_a_value() {
        let mut map = ByEvent::with_capacity(2);
        for (event, value) in [(3, "a"), (1, "b"), (3, "c")] {
            map.insert(event, value);
        }
        assert_eq!((map.len(), map.iter().collect::<Vec<_>>()), (2, vec![(1, &"b"), (3, &"c")]));
        for event in [1, 1, 9] {
            map.remove(event);
        }
        assert_eq!((map.len(), map.get(1), map.get(9), map[3]), (1, None, None, "c"));
        assert!(!map.is_empty());
        map.remove(3);
        assert!(map.is_empty() && !map.contains(3));
    }
}
