//! The one loop: event in, partial batch response out.

use std::convert::Infallible;

use aws_lambda_events::sqs::SqsBatchResponse;
use aws_smithy_async::time::SharedTimeSource;
use lambda_runtime::LambdaEvent;
use lambda_support::deadline::DeadlineReached;
use lambda_support::{Deadline, Envelope, LogWriter, Summary, metrics};

use crate::Random;
use crate::claim_table::ClaimTable;
use crate::claimer::Claimer;
use crate::config::Config;
use crate::plan::Plan;
use crate::report::Report;
use crate::warm_cache::CachedClaim;

/// What a Lambda sandbox keeps between batches.
pub struct Handler {
    config: Config,
    claimer: Claimer,
    summary: Summary,
    clock: SharedTimeSource,
}

impl Handler {
    /// `log` takes the summary lines; the others go through `tracing`. `clock` is the wall clock, and `random` gives the
    /// random part of each claim id.
    #[must_use]
    pub fn new(config: Config, table: ClaimTable, log: LogWriter, clock: SharedTimeSource, random: Random) -> Self {
        let claimer = Claimer::new(&config, table, clock.clone(), random);
        let summary = Summary::new(log, &config.function_name);
        Self { config, claimer, summary, clock }
    }

    /// Claims each event of a batch once. The response names the messages that must come again: those that can never be
    /// claimed, so that they reach the dead-letter queue, and those of which it is not known whether they are.
    ///
    /// # Errors
    /// Never: a batch does not fail as a whole.
    pub async fn handle(&self, event: LambdaEvent<Envelope>) -> Result<SqsBatchResponse, Infallible> {
        let deadline = Deadline::before(event.context.deadline(), self.clock.now());
        let mut report = Report { on_conflict: Some(self.config.on_conflict), ..Report::default() };

        let plan = Plan::of(event.payload.records, &self.config.event_id_pointer, deadline);
        for rejected in plan.rejected {
            report.rejected(rejected);
        }
        for message in plan.unread {
            report.failed(message.as_ref(), None, &DeadlineReached);
        }

        let groups = &plan.groups;
        let mut done = vec![false; groups.len()];
        let settling = self.claimer.settle(groups, deadline, |index, settled| {
            done[index] = true;
            report.group(&groups[index], settled.as_ref().map_err(|error| error as _));
        });
        let in_time = deadline.limit(settling).await;
        debug_assert!(in_time.is_err() || done.iter().all(|done| *done), "all is settled, or it is late");
        for (group, _) in groups.iter().zip(done).filter(|(_, done)| !done) {
            report.group(group, Err(&DeadlineReached));
        }

        self.summary.write(&metrics::Batch {
            request_id: &event.context.request_id,
            ended_at: self.clock.now(),
            counts: &[
                ("Won", report.won),
                ("Duplicate", report.duplicate),
                ("Conflict", report.conflict),
                ("Rejected", report.rejected),
                ("Failed", report.failed),
            ],
            lag_max_ms: None,
        });
        Ok(report.response)
    }

    /// The claims in the warm cache, the most recently used first.
    #[must_use]
    pub fn cached_claims(&self) -> Vec<CachedClaim> {
        self.claimer.cached_claims()
    }
}
