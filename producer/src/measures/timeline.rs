//! When messages were sent, events claimed and objects written.

use serde::Serialize;

use super::Times;

/// More would be finer than a chart can show.
const MOST_INTERVALS: i64 = 60;

/// Lengths of an interval that a person can think in, in milliseconds.
const LENGTHS_MS: [i64; 16] =
    [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000, 21_600_000];

/// Counts for each interval from the first send on, by the clocks of [`Latency`](super::latency::Latency).
#[derive(Debug, Serialize)]
pub struct Timeline {
    /// Length of an interval.
    pub interval_ms: i64,
    /// Messages that SQS confirmed, by when their request began.
    pub sent: Vec<u64>,
    /// Events that were claimed.
    pub claimed: Vec<u64>,
    /// Objects that were written.
    pub archived: Vec<u64>,
}

impl Timeline {
    pub(crate) fn new(started_ms: i64, sent_ms: &[i64], times: &[Times]) -> Self {
        let claimed_ms: Vec<i64> = times.iter().map(|of| of.claimed_ms).collect();
        let archived_ms: Vec<i64> = times.iter().filter_map(|of| of.archived_ms).collect();
        let last_ms = sent_ms.iter().chain(&claimed_ms).chain(&archived_ms).max().copied().unwrap_or(started_ms);
        let length_ms = (last_ms - started_ms).max(0);
        let fits = |interval_ms: &i64| length_ms / interval_ms < MOST_INTERVALS;
        let interval_ms = LENGTHS_MS.into_iter().find(fits).unwrap_or(length_ms / MOST_INTERVALS + 1);
        let intervals = usize::try_from(length_ms / interval_ms).unwrap_or(0) + 1;
        let counts = |at_ms: &[i64]| {
            let mut counts = vec![0; intervals];
            for at_ms in at_ms {
                // Clocks that differ may put something before the first send.
                counts[usize::try_from((at_ms - started_ms) / interval_ms).unwrap_or(0)] += 1;
            }
            counts
        };
        Self { interval_ms, sent: counts(sent_ms), claimed: counts(&claimed_ms), archived: counts(&archived_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_counted_once_in_intervals_that_a_chart_can_show() {
        let times = [Times { sent_ms: Some(0), claimed_ms: 990, archived_ms: Some(61_000) }];
        let timeline = Timeline::new(1_000, &[1_000, 1_001, 5_000], &times);
        assert_eq!((timeline.interval_ms, timeline.sent.len()), (2_000, 31));
        assert_eq!((timeline.sent[0], timeline.sent[2], timeline.claimed[0], timeline.archived[30]), (2, 1, 1, 1));
        assert_eq!(timeline.sent.iter().chain(&timeline.claimed).chain(&timeline.archived).sum::<u64>(), 5);
        let days = Timeline::new(0, &[0, 90 * 86_400_000], &[]);
        assert!(days.sent.len() <= 61 && days.sent.iter().sum::<u64>() == 2);
    }
}
