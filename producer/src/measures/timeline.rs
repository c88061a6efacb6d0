//! Messages sent, events claimed and objects written, counted over time.

use serde::Serialize;

use super::Times;

/// Maximum number of intervals in a timeline. A chart is too narrow for more.
const MAX_INTERVALS: i64 = 60;

/// Possible lengths of an interval, in milliseconds. A timeline uses the smallest length that gives at most
/// [`MAX_INTERVALS`] intervals.
const LENGTHS_MS: [i64; 16] =
    [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000, 21_600_000];

/// Numbers of messages, claims and objects in each interval. The first interval begins at the start of sending. The
/// times come from the same clocks as in [`Latency`](super::latency::Latency).
#[derive(Debug, Serialize)]
pub struct Timeline {
    pub interval_ms: i64,
    /// Number of confirmed messages per interval. A message counts in the interval in which its request started.
    pub sent: Vec<u64>,
    /// Number of events claimed per interval.
    pub claimed: Vec<u64>,
    /// Number of objects written per interval.
    pub archived: Vec<u64>,
}

impl Timeline {
    pub(crate) fn new(started_ms: i64, sent_ms: &[i64], times: &[Times]) -> Self {
        let claimed_ms: Vec<i64> = times.iter().map(|event| event.claimed_ms).collect();
        let archived_ms: Vec<i64> = times.iter().filter_map(|event| event.archived_ms).collect();
        let last_ms = sent_ms.iter().chain(&claimed_ms).chain(&archived_ms).max().copied().unwrap_or(started_ms);
        let length_ms = (last_ms - started_ms).max(0);
        let fits = |interval_ms: &i64| length_ms / interval_ms < MAX_INTERVALS;
        let interval_ms = LENGTHS_MS.into_iter().find(fits).unwrap_or(length_ms / MAX_INTERVALS + 1);
        let intervals = usize::try_from(length_ms / interval_ms).unwrap_or(0) + 1;
        let counts = |at_ms: &[i64]| {
            let mut counts = vec![0; intervals];
            for at_ms in at_ms {
                // Differing clocks may place an event before the first send.
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

    /// Each time is counted once. Even the timeline of a long run has at most [`MAX_INTERVALS`] intervals.
    #[test]
    fn timeline_counts_each_time_once() {
        let times = [Times { sent_ms: Some(0), claimed_ms: 990, archived_ms: Some(61_000) }];
        let timeline = Timeline::new(1_000, &[1_000, 1_001, 5_000], &times);
        assert_eq!((timeline.interval_ms, timeline.sent.len()), (2_000, 31));
        assert_eq!((timeline.sent[0], timeline.sent[2], timeline.claimed[0], timeline.archived[30]), (2, 1, 1, 1));
        assert_eq!(timeline.sent.iter().chain(&timeline.claimed).chain(&timeline.archived).sum::<u64>(), 5);
        let days = Timeline::new(0, &[0, 90 * 86_400_000], &[]);
        assert!(days.sent.len() <= 61 && days.sent.iter().sum::<u64>() == 2);
    }
}
