//! Zipf's law, which decides how often each event is sent: a few events often, and most events rarely.

/// A distribution over ranks `0..n` in which rank `k` has the weight `1 / (k + 1)^exponent`.
///
/// To draw a rank, [`sample`](Self::sample) looks up a uniform random number in the running sums of the weights. The
/// sums take 8 bytes per rank, and a run has at most two million ranks.
pub(super) struct Zipf {
    running_sums: Vec<f64>,
}

impl Zipf {
    /// Creates the distribution over the ranks `0..ranks`. `ranks` must be at least 1. An exponent of 0 makes all ranks
    /// equally likely.
    pub(super) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        #[expect(clippy::cast_precision_loss, reason = "a rank is far below 2^52")]
        let running_sums = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { running_sums: running_sums.collect() }
    }

    /// Draws a rank, starting at 0.
    pub(super) fn sample(&self, random: &mut fastrand::Rng) -> usize {
        let last = self.running_sums.len() - 1;
        let point = random.f64() * self.running_sums[last];
        // Rounding may make the point equal to the last sum, which would give a rank beyond the last one.
        self.running_sums.partition_point(|sum| *sum <= point).min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 200_000;

    fn counts(ranks: usize, exponent: f64, seed: u64) -> Vec<u32> {
        let zipf = Zipf::new(ranks, exponent);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut counts = vec![0; ranks];
        for _ in 0..DRAWS {
            counts[zipf.sample(&mut random)] += 1;
        }
        counts
    }

    /// The number of draws of each rank matches its weight within five standard deviations.
    #[test]
    fn draws_follow_the_weights() {
        for exponent in [0.0, 0.5, 1.0, 2.5] {
            let weights: Vec<f64> = (1..=50).map(|rank| f64::from(rank).powf(-exponent)).collect();
            let sum: f64 = weights.iter().sum();
            for (rank, (count, weight)) in counts(50, exponent, 7).into_iter().zip(weights).enumerate() {
                let share = weight / sum;
                let expected = f64::from(DRAWS) * share;
                let deviation = (expected * (1.0 - share)).sqrt();
                let off = (f64::from(count) - expected).abs();
                assert!(off <= 5.0 * deviation + 1.0, "rank {rank} of exponent {exponent}: {count}, not {expected}");
            }
        }
    }

    #[test]
    fn seed_decides_the_draws() {
        assert_eq!(counts(50, 1.0, 7), counts(50, 1.0, 7));
        assert_ne!(counts(50, 1.0, 7), counts(50, 1.0, 8));
    }

    #[test]
    fn one_rank_is_always_drawn() {
        assert_eq!(counts(1, 1.0, 7), [DRAWS]);
    }
}
