//! Waiting for the pipeline to drain, and reading what came of the run meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use claim::{Claim, ObjectPrefix};
use tokio::time::{Instant, timeout_at};

use crate::events::Plan;
use crate::function_logs::{FunctionLogs, IngestOutcome, LogReader};
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::read_back::{self, LookupResults, Object};
use crate::send::SendResults;
use crate::source::Source;

/// SQS's counts are approximate: a queue is empty when it looks so as often in a row.
const EMPTY_LOOKS: u32 = 3;

/// The last look gets this long. Single requests are bounded too, but a look makes many.
const LAST_LOOK: Duration = Duration::from_secs(60);

/// All that was seen of a run. Events are named by their index into [`Plan::event_ids`].
#[derive(Default)]
pub struct Observation {
    /// What the functions said.
    pub logs: FunctionLogs,
    /// By event.
    pub claims: HashMap<usize, Claim>,
    /// Events that had no claim when one must have been there: after a message of theirs was acknowledged, or after the queue
    /// was empty. This is no delay.
    pub missing_claims: HashSet<usize>,
    /// By event.
    pub objects: HashMap<usize, Object>,
    /// Events whose claim had no object after `archive-fn` said that it has.
    pub missing_objects: HashSet<usize>,
    /// Message ids.
    pub dead_letters: HashSet<String>,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<Source, String>,
    /// The queue was empty for so long that every message is either in the log or in the dead-letter queue.
    pub queue_settled: bool,
    /// Nothing was left to wait for.
    pub drained: bool,
}

/// What is needed to look at a run.
pub struct Watch<'a> {
    client: &'a PipelineClient,
    plan: &'a Plan,
    sent: &'a SendResults,
    prefix: ObjectPrefix,
    event_of_id: HashMap<&'a str, usize>,
    reader: LogReader<'a>,
    seen: Observation,
    empty_looks: u32,
    empty_since: Instant,
}

impl<'a> Watch<'a> {
    /// `reader` has read the logs since before the first message was sent.
    #[must_use]
    pub fn new(
        client: &'a PipelineClient,
        prefix: ObjectPrefix,
        plan: &'a Plan,
        sent: &'a SendResults,
        reader: LogReader<'a>,
    ) -> Self {
        let mut seen = Observation::default();
        let stack = &client.stack;
        for (source, known, flag) in [
            (Source::Table, stack.table.is_some(), "--table"),
            (Source::Bucket, stack.bucket.is_some(), "--bucket"),
            (Source::DeadLetterQueue, client.dlq_url.is_some(), "--dlq-url, and no redrive policy"),
            (Source::IngestLog, stack.ingest_log_group.is_some(), "--ingest-log-group"),
            (Source::ArchiveLog, stack.archive_log_group.is_some(), "--archive-log-group"),
        ] {
            if !known {
                seen.unreadable.insert(source, format!("no {flag}, and no Terraform outputs of this queue's stack"));
            }
        }
        let event_of_id = plan.event_ids.iter().enumerate().map(|(event, id)| (id.as_str(), event)).collect();
        let empty_since = Instant::now();
        Self { client, plan, sent, prefix, event_of_id, reader, seen, empty_looks: 0, empty_since }
    }

    /// Looks until everything is settled, the time is up, or `progress` is told to stop.
    pub async fn until_drained(mut self, timeout: Duration, progress: &Progress) -> Observation {
        let give_up = Instant::now() + timeout;
        loop {
            let last = Instant::now() >= give_up || progress.is_stopped();
            let look_ends = if progress.is_stopped() { Instant::now() } else { give_up } + LAST_LOOK;
            let looked = tokio::select! {
                biased;
                looked = timeout_at(look_ends, self.look(last)) => Some(looked),
                // The last look is not broken off.
                () = progress.stopped(), if !last => None,
            };
            match looked {
                Some(Err(_elapsed)) => {
                    self.seen.unreadable.insert(Source::Queue, "the stack did not answer in time".to_owned());
                    return self.end();
                }
                Some(Ok(())) if self.seen.drained || last => return self.end(),
                _ => {}
            }
            progress.counts.dead_letters.set(self.seen.dead_letters.len());
            tokio::select! {
                () = tokio::time::sleep(self.client.poll_interval.min(give_up - Instant::now())) => {}
                () = progress.stopped() => {}
            }
        }
    }

    fn end(mut self) -> Observation {
        self.seen.logs = self.reader.logs;
        self.seen
    }

    async fn look(&mut self, last: bool) {
        self.reader.poll().await;
        for source in self.reader.tails() {
            match self.reader.unreadable.get(&source) {
                Some(problem) => self.seen.unreadable.insert(source, problem.clone()),
                None => self.seen.unreadable.remove(&source),
            };
        }
        self.look_at_queue().await;
        self.read_claims(last).await;
        self.read_objects(last).await;
        self.seen.drained = self.is_drained();
        // Before that is believed, or when the time is up, everything is looked at once, whatever the logs say.
        if self.seen.drained || last {
            self.read_dead_letters().await;
            self.read_claims(true).await;
            self.read_objects(true).await;
            self.seen.drained = self.is_drained();
        }
    }

    async fn look_at_queue(&mut self) {
        let depth = read_back::depth(self.client, &self.client.stack.queue_url).await;
        if self.record(Source::Queue, depth).is_none_or(|depth| depth > 0) {
            self.empty_looks = 0;
            self.seen.queue_settled = false;
            return;
        }
        if self.empty_looks == 0 {
            self.empty_since = Instant::now();
        }
        self.empty_looks += 1;
        if self.sent.confirmed.keys().any(|id| !self.is_settled(id)) {
            self.read_dead_letters().await;
        }
        // A line of the log comes late, and so does a message in the dead-letter queue.
        self.seen.queue_settled =
            self.empty_looks >= EMPTY_LOOKS && self.empty_since.elapsed() >= self.client.log_delay;
    }

    /// Keeps what went wrong with a source until it goes right.
    fn record<T>(&mut self, source: Source, read: anyhow::Result<T>) -> Option<T> {
        match read {
            Ok(read) => {
                self.seen.unreadable.remove(&source);
                Some(read)
            }
            Err(error) => {
                self.seen.unreadable.insert(source, format!("{error:#}"));
                None
            }
        }
    }

    /// The same of several look-ups.
    fn record_all<T>(&mut self, source: Source, read: LookupResults<T>) -> HashMap<usize, Option<T>> {
        self.record(source, read.problem.map_or(Ok(()), Err));
        read.found
    }

    fn is_readable(&self, source: Source) -> bool {
        !self.seen.unreadable.contains_key(&source)
    }

    /// Of events without a known claim: those that a log says should have one, or all of them if there is no log, or it is
    /// the last look.
    async fn read_claims(&mut self, all: bool) {
        let Some(table) = &self.client.stack.table else { return };
        // Whatever the look-up says will then be so after the acknowledgement, or after the queue was empty.
        let gone = self.seen.queue_settled && self.is_readable(Source::DeadLetterQueue);
        let all = all || gone || !self.is_readable(Source::IngestLog);
        let acknowledged: HashSet<usize> = {
            let ids = self.sent.confirmed.iter().filter(|(id, _)| self.is_acknowledged(id));
            ids.filter_map(|(_, &index)| self.plan.messages[index].event).collect()
        };
        // A send that was not confirmed may have won its event: the archive's log tells.
        let archived: HashSet<usize> =
            self.reader.logs.keys.keys().filter_map(|id| self.event_of_id.get(id.as_str()).copied()).collect();
        let wanted: Vec<usize> = (0..self.plan.event_ids.len())
            .filter(|event| !self.seen.claims.contains_key(event))
            .filter(|event| all || acknowledged.contains(event) || archived.contains(event))
            .collect();
        let claims = read_back::claims(self.client, table, self.plan, &wanted).await;
        for (event, claim) in self.record_all(Source::Table, claims) {
            let is_dead = self.seen.is_dead(event, self.plan, self.sent);
            match claim {
                Some(claim) => {
                    self.seen.missing_claims.remove(&event);
                    self.seen.claims.insert(event, claim);
                }
                None if acknowledged.contains(&event) || (gone && !is_dead && self.is_confirmed(event)) => {
                    self.seen.missing_claims.insert(event);
                }
                None => {}
            }
        }
    }

    /// Of claims without a known object: those that the log says are archived, those that another run's message won, or all of
    /// them if there is no log, or it is the last look.
    async fn read_objects(&mut self, all: bool) {
        let Some(bucket) = &self.client.stack.bucket else { return };
        let all = all || !self.is_readable(Source::ArchiveLog);
        // What was read of an object that was written once more since then does not count.
        for event_id in self.reader.logs.written_again.drain() {
            self.event_of_id.get(event_id.as_str()).map(|event| self.seen.objects.remove(event));
        }
        let is_due = |claim: &Claim| {
            all || self.reader.logs.keys.contains_key(&claim.event_id)
                || !self.sent.confirmed.contains_key(&claim.message_id)
        };
        let wanted: Vec<(usize, &Claim)> = self
            .seen
            .claims
            .iter()
            .filter(|(event, claim)| !self.seen.objects.contains_key(event) && is_due(claim))
            .map(|(event, claim)| (*event, claim))
            .collect();
        let objects = read_back::objects(self.client, bucket, &self.prefix, self.plan, self.sent, &wanted).await;
        for (event, object) in self.record_all(Source::Bucket, objects) {
            match object {
                Some(object) => {
                    self.seen.missing_objects.remove(&event);
                    self.seen.objects.insert(event, object);
                }
                None => {
                    let claim = &self.seen.claims[&event];
                    let keys = self.reader.logs.keys.get(&claim.event_id);
                    if keys.is_some_and(|keys| keys.contains_key(&self.prefix.object_key(claim))) {
                        self.seen.missing_objects.insert(event);
                    }
                }
            }
        }
    }

    async fn read_dead_letters(&mut self) {
        let Some(url) = &self.client.dlq_url else { return };
        // What was seen so far stays seen if Ctrl-C breaks this off: it is hidden for a while.
        let searched = read_back::dead_letters(self.client, url, self.sent, &mut self.seen.dead_letters).await;
        let searched = searched.and_then(|all| {
            if all { Ok(()) } else { Err(anyhow::anyhow!("{url} holds too many messages to be searched")) }
        });
        self.record(Source::DeadLetterQueue, searched);
    }

    /// The function said that the message is done with, as far as it goes: a conflict may be one that is to become a dead
    /// letter.
    fn is_acknowledged(&self, message_id: &str) -> bool {
        let outcome = self.reader.logs.outcomes.get(message_id);
        outcome.is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate)
    }

    fn is_settled(&self, message_id: &str) -> bool {
        let is_conflict = self.reader.logs.outcomes.get(message_id) == Some(&IngestOutcome::Conflict);
        (self.is_acknowledged(message_id) && !is_conflict) || self.seen.dead_letters.contains(message_id)
    }

    fn is_confirmed(&self, event: usize) -> bool {
        self.plan.messages_of[event].iter().any(|&index| self.sent.message_ids[index].is_some())
    }

    fn is_drained(&self) -> bool {
        let all_settled =
            self.is_readable(Source::IngestLog) && self.sent.confirmed.keys().all(|id| self.is_settled(id));
        // A message that is in no log and no queue any more is lost, and not waited for.
        if self.empty_looks == 0 || !(all_settled || self.seen.queue_settled) {
            return false;
        }
        let events: HashSet<usize> =
            self.sent.confirmed.values().filter_map(|&index| self.plan.messages[index].event).collect();
        let is_answered = |event: &usize| {
            self.seen.claims.contains_key(event)
                || self.seen.missing_claims.contains(event)
                || self.seen.is_dead(*event, self.plan, self.sent)
        };
        if self.is_readable(Source::Table) && !events.iter().all(is_answered) {
            return false;
        }
        let is_archived =
            |event: &usize| self.seen.objects.contains_key(event) || self.seen.missing_objects.contains(event);
        !self.is_readable(Source::Bucket) || self.seen.claims.keys().all(is_archived)
    }
}

impl Observation {
    /// All confirmed messages of the event are dead letters.
    #[must_use]
    pub fn is_dead(&self, event: usize, plan: &Plan, sent: &SendResults) -> bool {
        let mut confirmed = plan.messages_of[event].iter().filter_map(|&index| sent.message_ids[index].as_ref());
        !self.dead_letters.is_empty() && confirmed.all(|id| self.dead_letters.contains(id))
    }
}
