//! How long events took, from one step to the next.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Times;

/// Percentiles are right to a thousandth.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Longer than a message can take: SQS keeps it 14 days at the most, and the stream another.
const MOST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// By which clocks the steps are told.
const CLOCKS: &str = "sent: the producer's clock when it began the request with the message that won; claimed: claimed_at, by the \
                      clock of ingest-fn; archived: the first line of archive-fn that names the object, by the clock of that \
                      function. On one machine that is one clock; on AWS they differ by milliseconds.";

/// Of the events that were claimed in the run.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// From the send of the message that won, by all that it waited for: SQS, the batching window, retries.
    pub sent_to_claimed: Option<Percentiles>,
    /// Through the stream.
    pub claimed_to_archived: Option<Percentiles>,
    /// The whole way.
    pub sent_to_archived: Option<Percentiles>,
    /// By which clocks.
    pub clocks: &'static str,
}

/// In milliseconds.
#[derive(Debug, Serialize)]
pub struct Percentiles {
    /// Of so many events.
    pub events: u64,
    /// Half of them took no longer.
    pub p50_ms: u64,
    /// Nine of ten.
    pub p90_ms: u64,
    /// 99 of 100.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
    /// So many of them seem to have arrived before they started, because clocks differ; they count as 0 ms.
    pub before_start: u64,
    /// All the percentiles that are charted, from low to high.
    pub curve: Vec<Point>,
}

/// So many events in a hundred took no longer than so long.
#[derive(Debug, Serialize)]
pub struct Point {
    /// From 0 to 100.
    pub percent: u8,
    /// In milliseconds.
    pub ms: u64,
}

/// The percentiles that are charted.
const CHARTED: [u8; 22] = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 100];

impl Latency {
    pub(crate) fn from_times(times: &[Times]) -> Self {
        let sent_to = |end: fn(&Times) -> Option<i64>| times.iter().filter_map(move |of| Some(end(of)? - of.sent_ms?));
        Self {
            sent_to_claimed: Percentiles::new(sent_to(|of| Some(of.claimed_ms))),
            claimed_to_archived: Percentiles::new(times.iter().filter_map(|of| Some(of.archived_ms? - of.claimed_ms))),
            sent_to_archived: Percentiles::new(sent_to(|of| of.archived_ms)),
            clocks: CLOCKS,
        }
    }

    /// There is something to tell.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.steps().iter().any(|(_, percentiles)| percentiles.is_some())
    }

    /// Each step by its name.
    #[must_use]
    pub fn steps(&self) -> [(&'static str, Option<&Percentiles>); 3] {
        [
            ("sent to claimed", self.sent_to_claimed.as_ref()),
            ("claimed to archived", self.claimed_to_archived.as_ref()),
            ("sent to archived", self.sent_to_archived.as_ref()),
        ]
    }
}

impl Percentiles {
    fn new(differences_ms: impl Iterator<Item = i64>) -> Option<Self> {
        let mut histogram: Histogram<u64> =
            Histogram::new_with_max(MOST_MS, SIGNIFICANT_DIGITS).expect("both are allowed");
        let mut before_start = 0;
        let mut max_ms = 0;
        for difference_ms in differences_ms {
            before_start += u64::from(difference_ms < 0);
            let ms = u64::try_from(difference_ms).unwrap_or(0);
            histogram.saturating_record(ms);
            max_ms = ms.max(max_ms);
        }
        // A bucket's upper end may lie above all that is in it.
        let at = |quantile| histogram.value_at_quantile(quantile).min(max_ms);
        (!histogram.is_empty()).then(|| Self {
            events: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms,
            before_start,
            curve: CHARTED.map(|percent| Point { percent, ms: at(f64::from(percent) / 100.0) }).into(),
        })
    }

    /// The four of them by name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [("p50", self.p50_ms), ("p90", self.p90_ms), ("p99", self.p99_ms), ("max", self.max_ms)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_is_known_and_clocks_that_differ_count_as_nothing() {
        let times = |sent_ms, claimed_ms, archived_ms| Times { sent_ms, claimed_ms, archived_ms };
        let mut all: Vec<Times> = (1..=100).map(|ms| times(Some(0), ms, Some(ms + 1_000))).collect();
        all.push(times(None, 5, None));
        all.push(times(Some(7), 5, None));
        let latency = Latency::from_times(&all);
        let of = |step: &Option<Percentiles>| {
            let step = step.as_ref().unwrap();
            (step.events, step.p50_ms, step.p99_ms, step.max_ms, step.before_start)
        };
        assert_eq!(of(&latency.sent_to_claimed), (101, 50, 99, 100, 1));
        assert_eq!(of(&latency.claimed_to_archived), (100, 1_000, 1_000, 1_000, 0));
        assert_eq!(of(&latency.sent_to_archived), (100, 1_050, 1_099, 1_100, 0));
        // Days are told as well as milliseconds.
        let slow = Latency::from_times(&[times(Some(0), 3, None), times(Some(0), 86_400_000, None)]);
        assert_eq!(of(&slow.sent_to_claimed), (2, 3, 86_400_000, 86_400_000, 0));
        assert!(Latency::from_times(&[]).sent_to_claimed.is_none());
    }
}
