//! Handles a batch of SQS messages and returns the partial batch response.

use std::convert::Infallible;

use aws_smithy_async::time::SharedTimeSource;
use lambda_runtime::LambdaEvent;
use lambda_support::deadline::DeadlineReached;
use lambda_support::{BatchResponse, Deadline, Envelope, LogWriter, Summary, metrics};

use crate::claim_table::{ClaimOutcome, ClaimTable};
use crate::claimer::{Claimer, ClaimerError};
use crate::config::{Config, LakeLayout};
use crate::packs::PackWork;
use crate::plan::Plan;
use crate::random::Random;
use crate::report::Report;
use crate::warm_cache::CachedClaim;

/// The function's state, which a Lambda sandbox keeps between batches.
pub struct Handler {
    config: Config,
    claimer: Claimer,
    summary: Summary,
    clock: SharedTimeSource,
}

impl Handler {
    /// Creates a handler. It writes summary lines to `log` and all other lines through `tracing`. `clock` is the wall clock,
    /// and `random` returns the random part of each claim id.
    #[must_use]
    pub fn new(config: Config, table: ClaimTable, log: LogWriter, clock: SharedTimeSource, random: Random) -> Self {
        let claimer = Claimer::new(&config, table, clock.clone(), random);
        let summary = Summary::new(log, &config.function_name);
        Self { config, claimer, summary, clock }
    }

    /// Claims each event of a batch once. The response names the messages that SQS must not delete: those whose outcome is
    /// unknown, and those that must become dead letters.
    pub async fn handle(&self, event: LambdaEvent<Envelope>) -> Result<BatchResponse, Infallible> {
        let deadline = Deadline::before(event.context.deadline(), self.clock.now(), event.payload.records.len());
        let mut report = Report::new(&self.config, deadline);

        let plan = Plan::build(event.payload.records, &self.config.rules, deadline);
        for rejection in plan.rejected {
            report.add_rejected(&rejection);
        }
        for message in plan.unread {
            report.add_failed(message.as_ref(), None, &DeadlineReached);
        }

        let groups = &plan.groups;
        let mut done = vec![false; groups.len()];
        let mut on_outcome = |index: usize, outcome: Result<ClaimOutcome, ClaimerError>| {
            done[index] = true;
            report.add_group(&groups[index], &outcome);
        };
        let claiming = async {
            let mut packs = PackWork::new(&self.claimer, groups, deadline, self.config.max_receive_count);
            let claimed = match self.config.lake_layout {
                LakeLayout::Objects => {
                    let mut on_claimed = |index, claimed| packs.add(index, claimed, &mut on_outcome);
                    self.claimer.claim_groups(groups, None, deadline, &mut on_claimed).await;
                    Ok(())
                }
                LakeLayout::Packs => packs.claim_groups(event.context.deadline, &mut on_outcome).await,
            };
            // Even with the layout `objects`, the table can have packed claims.
            packs.settle(&mut on_outcome).await;
            claimed
        };
        let in_time = deadline.limit(claiming).await.and_then(|claimed| claimed);
        debug_assert!(in_time.is_err() || done.iter().all(|done| *done), "only the deadline leaves events undecided");
        for (group, _) in groups.iter().zip(done).filter(|(_, done)| !done) {
            report.add_group(group, &Err(DeadlineReached.into()));
        }

        self.summary.write(&metrics::Batch {
            request_id: &event.context.request_id,
            ended_at: self.clock.now(),
            counts: &report.counts(),
            lag_max_ms: None,
        });
        Ok(report.response)
    }

    /// Returns the claims in the warm cache, the most recently used first.
    #[must_use]
    pub fn cached_claims(&self) -> Vec<CachedClaim> {
        self.claimer.cache.claims()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The emulator runs the handler on several threads.
    #[expect(dead_code, reason = "this function only needs to compile")]
    fn future_can_be_sent(handler: &Handler, event: LambdaEvent<Envelope>) -> impl Future + Send {
        handler.handle(event)
    }
}
