//! Latency of the events: from send to claim, from claim to object, and from send to object.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Times;

/// Number of significant digits that the histogram keeps. Three digits keep the error of a percentile below a
/// thousandth.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Maximum latency that the histogram can record. No event takes this long, because SQS keeps a message for at most 14
/// days, and the stream keeps a record for one day.
const MAX_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Explains to the reader of the report which clock each time comes from.
const CLOCKS: &str = "sent: the start of the request with the message that won, by the producer's clock; claimed: the claim's claimed_at, \
                      by ingest-fn's clock; archived: the first log line of archive-fn that names the object, by archive-fn's \
                      clock. On one machine, these are the same clock; on AWS, they differ by milliseconds.";

/// Latency of the events that were claimed in the run.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Latency from sending the winning message to the claim. It includes the time in SQS, the batching window and
    /// retries.
    pub sent_to_claimed: Option<Percentiles>,
    /// Latency from the claim through the stream to the object.
    pub claimed_to_archived: Option<Percentiles>,
    /// Latency from sending the winning message to the object.
    pub sent_to_archived: Option<Percentiles>,
    /// Text that explains which clock each time comes from.
    pub clocks: &'static str,
}

/// Percentiles of a latency in milliseconds.
#[derive(Debug, Serialize)]
pub struct Percentiles {
    /// Number of events measured.
    pub events: u64,
    pub p50_ms: u64,
    pub p90_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
    /// Number of events with a negative latency, which two different clocks can cause. Such a latency counts as 0 ms.
    pub before_start: u64,
    /// The percentiles that the chart shows, in ascending order.
    pub curve: Vec<Point>,
}

/// One percentile: `percent` percent of the events took at most `ms` milliseconds.
#[derive(Debug, Serialize)]
pub struct Point {
    pub percent: u8,
    pub ms: u64,
}

/// The percentages at which the chart has a point.
const CHARTED: [u8; 22] = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 100];

impl Latency {
    pub(crate) fn from_times(times: &[Times]) -> Self {
        let sent_to =
            |end: fn(&Times) -> Option<i64>| times.iter().filter_map(move |event| Some(end(event)? - event.sent_ms?));
        let claimed_to_archived = times.iter().filter_map(|event| Some(event.archived_ms? - event.claimed_ms));
        Self {
            sent_to_claimed: Percentiles::new(sent_to(|event| Some(event.claimed_ms))),
            claimed_to_archived: Percentiles::new(claimed_to_archived),
            sent_to_archived: Percentiles::new(sent_to(|event| event.archived_ms)),
            clocks: CLOCKS,
        }
    }

    /// Returns true if the latency of at least one step is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.steps().iter().any(|(_, percentiles)| percentiles.is_some())
    }

    /// Returns the name and the percentiles of each step.
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
        let mut histogram: Histogram<u64> = Histogram::new_with_max(MAX_MS, SIGNIFICANT_DIGITS)
            .expect("the histogram supports this maximum and precision");
        let mut before_start = 0;
        let mut max_ms = 0;
        for difference_ms in differences_ms {
            before_start += u64::from(difference_ms < 0);
            let ms = u64::try_from(difference_ms).unwrap_or(0);
            histogram.saturating_record(ms);
            max_ms = ms.max(max_ms);
        }
        // The histogram returns the upper bound of a bucket, which may exceed every recorded value.
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

    /// Returns the names and values of p50, p90, p99 and max.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [("p50", self.p50_ms), ("p90", self.p90_ms), ("p99", self.p99_ms), ("max", self.max_ms)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percentiles include only the events whose times are known. A negative latency, caused by differing clocks,
    /// counts as 0.
    #[test]
    fn percentiles_skip_unknown_times() {
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
        // The histogram records a latency of a day as precisely as one of a few milliseconds.
        let slow = Latency::from_times(&[times(Some(0), 3, None), times(Some(0), 86_400_000, None)]);
        assert_eq!(of(&slow.sent_to_claimed), (2, 3, 86_400_000, 86_400_000, 0));
        assert!(Latency::from_times(&[]).sent_to_claimed.is_none());
    }
}
