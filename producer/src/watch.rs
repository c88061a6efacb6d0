//! Waits until the pipeline is drained. Meanwhile, reads the claims, objects and dead letters of the run. Each round of
//! reading is called a look.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use claim::ObjectPrefix;
use ops::command_line::error_line;
use tokio::time::{Instant, timeout_at};

use crate::by_event::ByEvent;
use crate::dead_letters::{DeadLetterSearch, MAX_ROUNDS};
use crate::events::Plan;
use crate::function_logs::{FunctionLogs, IngestOutcome, LogReader};
use crate::lake::{self, Expected, Object};
use crate::message_id::MessageId;
use crate::observed_claim::ObservedClaim;
use crate::pipeline_client::PipelineClient;
use crate::place::Place;
use crate::progress::Progress;
use crate::read_back;
use crate::send::SendResults;
use crate::source::Source;

/// Number of consecutive looks that must find the queue empty before it counts as settled. One is not enough, because
/// SQS's message counts are approximate.
const EMPTY_LOOKS: u32 = 3;

/// Number of looks between two searches of the dead-letter queue, while messages of other senders keep the ingestion
/// queue from becoming empty. A search hides the dead letters from other consumers, so it must not be part of every
/// look.
const LOOKS_PER_SEARCH: u32 = 10;

/// Time that a look may still take after the deadline or after Ctrl-C. Each request has its own time limit, but one
/// look sends many requests.
const LAST_LOOK: Duration = Duration::from_secs(60);

/// Number of claims or objects that are looked up before their results are recorded. The results of a look-up need
/// several times the memory of what is kept of them.
const LOOKED_UP_AT_ONCE: usize = 16 * lake::KEYS_AT_ONCE;

/// Everything that was observed in a run. Each event is represented by its index in [`Plan::event_ids`].
#[derive(Default)]
pub struct Observation {
    pub logs: FunctionLogs,
    pub claims: ByEvent<ObservedClaim>,
    /// Events that had no claim at a time when they should have had one: after one of their messages was acknowledged,
    /// or after the queue was settled. Such a claim is missing and not just late.
    pub missing_claims: HashSet<usize>,
    pub objects: ByEvent<Object>,
    /// Events whose claim has no object, although `archive-fn` logged that the object exists.
    pub missing_objects: HashSet<usize>,
    /// The ids of this run's messages in the dead-letter queue.
    pub dead_letters: HashSet<MessageId>,
    /// The sources that could not be read, each with the error.
    pub unreadable: BTreeMap<Source, String>,
    /// True if the queue has been empty for so long that no more log lines or dead letters of the run are expected.
    pub queue_settled: bool,
    /// True if the pipeline was drained, so that nothing was left to wait for.
    pub drained: bool,
}

/// Observes a run by reading its queues, logs, claims and objects again and again.
pub struct Watch<'a> {
    client: &'a PipelineClient,
    plan: &'a Plan,
    sent: &'a SendResults,
    prefix: ObjectPrefix,
    /// Events for which no claim was found so far.
    unclaimed: Vec<usize>,
    /// Events that have a claim, but for which no object was found so far.
    unread: HashSet<usize>,
    reader: LogReader<'a>,
    /// True if the functions log routine outcomes. Otherwise, the watch looks up everything and does not wait for log
    /// lines.
    log_routine_outcomes: bool,
    /// The search of the dead-letter queue; `None` if the queue is unknown.
    dead_letters: Option<DeadLetterSearch<'a>>,
    seen: Observation,
    empty_looks: u32,
    empty_since: Instant,
    /// Number of looks since the last search of the dead-letter queue.
    looks_since_search: u32,
    started: Instant,
}

impl<'a> Watch<'a> {
    /// Creates a watch. `reader` must read the logs from a time before the first message was sent.
    #[must_use]
    pub fn new(
        client: &'a PipelineClient,
        prefix: ObjectPrefix,
        plan: &'a Plan,
        sent: &'a SendResults,
        reader: LogReader<'a>,
        log_routine_outcomes: bool,
    ) -> Self {
        let mut seen = Observation {
            claims: ByEvent::with_capacity(plan.event_ids.len()),
            objects: ByEvent::with_capacity(plan.event_ids.len()),
            ..Observation::default()
        };
        let stack = &client.stack;
        for (source, known, flag) in [
            (Source::Table, stack.table.is_some(), "--table"),
            (Source::Bucket, stack.bucket.is_some(), "--bucket"),
            (Source::DeadLetterQueue, client.dlq_url.is_some(), "--dlq-url, no redrive policy"),
            (Source::IngestLog, stack.ingest_log_group.is_some(), "--ingest-log-group"),
            (Source::ArchiveLog, stack.archive_log_group.is_some(), "--archive-log-group"),
        ] {
            if !known {
                seen.unreadable
                    .insert(source, format!("its name is unknown: no {flag}, and no Terraform outputs for this queue"));
            }
        }
        let dead_letters = client.dlq_url.as_deref().map(|url| DeadLetterSearch::new(client, url, None));
        let empty_since = Instant::now();
        Self {
            client,
            plan,
            sent,
            prefix,
            unclaimed: (0..plan.event_ids.len()).collect(),
            unread: HashSet::new(),
            reader,
            log_routine_outcomes,
            dead_letters,
            seen,
            empty_looks: 0,
            empty_since,
            looks_since_search: 0,
            started: Instant::now(),
        }
    }

    /// Repeats looks until the pipeline is drained, the time is up, or `progress` is stopped.
    pub async fn until_drained(mut self, timeout: Duration, progress: &Progress) -> Observation {
        let deadline = Instant::now() + timeout;
        loop {
            let last = Instant::now() >= deadline || progress.is_stopped();
            let look_ends = if progress.is_stopped() { Instant::now() } else { deadline } + LAST_LOOK;
            let looked = tokio::select! {
                biased;
                looked = timeout_at(look_ends, self.look(last)) => Some(looked),
                // Ctrl-C does not interrupt the last look.
                () = progress.stopped(), if !last => None,
            };
            self.count();
            match looked {
                Some(Err(_elapsed)) => {
                    self.seen.unreadable.insert(Source::Queue, "the stack did not answer in time".to_owned());
                    return self.end();
                }
                Some(Ok(())) if self.seen.drained || last => return self.end(),
                _ => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.client.poll_interval.min(deadline - Instant::now())) => {}
                () = progress.stopped() => {}
            }
        }
    }

    /// Updates the live counts.
    fn count(&self) {
        let counts = &self.reader.progress.counts;
        let is_acknowledged = |id: &&MessageId| self.is_acknowledged(id) || self.is_surely_duplicate(id);
        if !self.log_routine_outcomes {
            counts.claimed.set(self.seen.claims.len());
            counts.archived.set(self.seen.objects.len());
            counts.acknowledged.set(self.sent.confirmed.keys().filter(is_acknowledged).count());
        }
        counts.dead_letters.set(self.seen.dead_letters.iter().filter(|id| !is_acknowledged(id)).count());
    }

    fn end(mut self) -> Observation {
        self.seen.logs = self.reader.logs;
        self.seen
    }

    async fn look(&mut self, last: bool) {
        self.reader.poll().await;
        self.count();
        for source in self.reader.tails() {
            match self.reader.unreadable.get(&source) {
                Some(problem) => self.seen.unreadable.insert(source, problem.clone()),
                None => self.seen.unreadable.remove(&source),
            };
        }
        self.look_at_queue().await;
        self.read_claims(false).await;
        self.read_objects().await;
        self.seen.drained = self.is_drained();
        // The earlier looks read only what the logs mention. The final result must not depend on the logs, so look up
        // everything once.
        if self.seen.drained || last {
            // A run that was not drained is inconclusive anyway, so it does not wait for hidden messages.
            self.read_dead_letters(if self.seen.drained { MAX_ROUNDS } else { 1 }).await;
            self.read_claims(true).await;
            self.look_up_objects(self.seen.claims.iter().map(|(event, _)| event).collect()).await;
            self.seen.drained = self.is_drained();
        }
    }

    async fn look_at_queue(&mut self) {
        let depth = read_back::depth(self.client, &self.client.stack.queue_url).await;
        self.looks_since_search += 1;
        if self.record(Source::Queue, depth).is_none_or(|depth| depth > 0) {
            self.empty_looks = 0;
            self.seen.queue_settled = false;
            if self.client.shares_queue && self.looks_since_search >= LOOKS_PER_SEARCH && self.awaits_dead_letters() {
                self.read_dead_letters(1).await;
            }
            return;
        }
        if self.empty_looks == 0 {
            self.empty_since = Instant::now();
        }
        self.empty_looks += 1;
        if self.sent.confirmed.keys().any(|id| !self.is_settled(id) && !self.is_surely_duplicate(id)) {
            self.read_dead_letters(1).await;
        }
        // Log lines and dead letters may appear with a delay, so the queue is settled only some time after it became
        // empty.
        self.seen.queue_settled =
            self.empty_looks >= EMPTY_LOOKS && self.empty_since.elapsed() >= self.client.log_delay;
    }

    /// Records the error of a failed read, and clears it once the source can be read again.
    fn record<T>(&mut self, source: Source, read: anyhow::Result<T>) -> Option<T> {
        match read {
            Ok(read) => {
                self.seen.unreadable.remove(&source);
                Some(read)
            }
            Err(error) => {
                self.seen.unreadable.insert(source, error_line(error.as_ref()));
                None
            }
        }
    }

    fn is_readable(&self, source: Source) -> bool {
        !self.seen.unreadable.contains_key(&source)
    }

    /// Looks up the claims of events for which no claim was found so far. Looks up all these events if `all` is true,
    /// if the log of `ingest-fn` lacks routine outcomes or cannot be read, or once the queue is settled and the
    /// dead-letter queue was read. Otherwise, looks up only those that the logs show as claimed.
    async fn read_claims(&mut self, all: bool) {
        let Some(table) = &self.client.stack.table else { return };
        // Determine this before the look-up. Then a claim that the look-up does not find is missing, not late.
        let all_handled = self.seen.queue_settled && self.is_readable(Source::DeadLetterQueue);
        let all = all || all_handled || !self.log_routine_outcomes || !self.is_readable(Source::IngestLog);
        // An unconfirmed message may have won its event. Only the log of `archive-fn` shows that such an event is
        // claimed.
        let is_archived = |event: usize| self.reader.logs.keys.contains(event);
        let is_wanted = |event: &usize| all || self.has_acknowledged(*event) || is_archived(*event);
        let wanted: Vec<usize> = self.unclaimed.iter().copied().filter(is_wanted).collect();
        let mut problem = None;
        for wanted in wanted.chunks(LOOKED_UP_AT_ONCE) {
            let claims = read_back::claims(self.client, table, self.plan, self.sent, wanted).await;
            self.add_claims(claims.found, all_handled);
            problem = problem.or(claims.problem);
        }
        self.record(Source::Table, problem.map_or(Ok(()), Err));
        self.unclaimed.retain(|event| !self.seen.claims.contains(*event));
    }

    /// Adds the results of a look-up of claims. `all_handled` is true if `ingest-fn` had handled every message before the
    /// look-up.
    fn add_claims(&mut self, found: HashMap<usize, Option<ObservedClaim>>, all_handled: bool) {
        for (event, claim) in found {
            let is_dead = self.seen.is_dead(event, self.plan, self.sent);
            match claim {
                Some(claim) => {
                    self.seen.missing_claims.remove(&event);
                    self.seen.claims.insert(event, claim);
                    self.unread.insert(event);
                }
                None if self.has_acknowledged(event) || (all_handled && !is_dead && self.is_confirmed(event)) => {
                    self.seen.missing_claims.insert(event);
                }
                None => {}
            }
        }
    }

    /// Returns true if the log of `ingest-fn` shows that a message of the event was acknowledged.
    fn has_acknowledged(&self, event: usize) -> bool {
        let mut ids = self.plan.messages_of[event].iter().filter_map(|&index| self.sent.message_ids[index].as_ref());
        ids.any(|id| self.is_acknowledged(id))
    }

    /// Looks up the objects of claims for which no object was found so far. If a confirmed message of this run won the
    /// claim, skips the object until `archive-fn` has logged the event as archived. Skips no objects if the log of
    /// `archive-fn` lacks routine outcomes or cannot be read. Sends no request until there are enough objects to fill a
    /// page of S3's list, or nothing else is left to wait for.
    async fn read_objects(&mut self) {
        let all = !self.log_routine_outcomes || !self.is_readable(Source::ArchiveLog);
        let is_due = |event: &usize| {
            all || self.reader.logs.keys.contains(*event) || self.seen.claims[*event].confirmed_winner().is_none()
        };
        let wanted: Vec<usize> = self.unread.iter().copied().filter(is_due).collect();
        if wanted.len() >= lake::KEYS_AT_ONCE || self.awaits_only_objects() {
            self.look_up_objects(wanted).await;
        }
    }

    /// Looks up the objects of the given events, which must have claims.
    async fn look_up_objects(&mut self, mut wanted: Vec<usize>) {
        let Some(bucket) = &self.client.stack.bucket else { return };
        let mut problem = None;
        // Keys sort like claim ids, so each part of the look-up lists neighbors.
        wanted.sort_unstable_by_key(|event| self.seen.claims[*event].claim_id);
        for wanted in wanted.chunks(LOOKED_UP_AT_ONCE) {
            let claims: Vec<(usize, &ObservedClaim)> =
                wanted.iter().map(|&event| (event, &self.seen.claims[event])).collect();
            let expected = Expected { prefix: &self.prefix, plan: self.plan, sent: self.sent };
            let objects = lake::objects(self.client, bucket, expected, &claims, &self.seen.objects).await;
            self.add_objects(objects.found);
            problem = problem.or(objects.problem);
        }
        self.record(Source::Bucket, problem.map_or(Ok(()), Err));
    }

    /// Adds the results of a look-up of objects.
    fn add_objects(&mut self, found: HashMap<usize, Option<Object>>) {
        for (event, object) in found {
            match object {
                Some(object) => {
                    self.seen.missing_objects.remove(&event);
                    self.seen.objects.insert(event, object);
                    self.unread.remove(&event);
                }
                None => {
                    self.seen.objects.remove(event);
                    self.unread.insert(event);
                    let claim = &self.seen.claims[event];
                    let mut places = Place::of_claim(claim.claim_id, claim.layout);
                    if places.any(|place| self.reader.logs.archived_ms(event, place).is_some()) {
                        self.seen.missing_objects.insert(event);
                    }
                }
            }
        }
    }

    /// Searches the dead-letter queue for this run's messages. If other consumers hide messages, waits for them in up
    /// to `rounds` rounds. If some messages stay hidden, the queue counts as unreadable, because they may be messages
    /// of this run.
    async fn read_dead_letters(&mut self, rounds: usize) {
        let Some(search) = &mut self.dead_letters else { return };
        self.looks_since_search = 0;
        let searched = search.run(rounds, |messages| {
            // Add the ids directly to `self.seen`. If Ctrl-C interrupts the search, the messages that it received stay
            // hidden, and the last look would not find them.
            let ids = messages.into_iter().filter_map(|message| Some(MessageId::from(message.message_id?.as_str())));
            self.seen.dead_letters.extend(ids.filter(|id| self.sent.confirmed.contains_key(id)));
            false
        });
        let searched = searched.await;
        self.record(Source::DeadLetterQueue, searched);
    }

    /// Returns true if `ingest-fn` logged `duplicate`, `conflict` or `won` for the message. A conflict counts as
    /// acknowledged even if `ingest-fn` is configured to fail it.
    fn is_acknowledged(&self, message_id: &MessageId) -> bool {
        let outcome = self.reader.logs.outcomes.get(message_id);
        outcome.is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate)
    }

    /// Returns true if SQS will not deliver the message again, because it was acknowledged or is a dead letter.
    fn is_settled(&self, message_id: &MessageId) -> bool {
        // The configuration decides whether a conflict is acknowledged, or redelivered and logged again.
        let may_be_redelivered = self
            .reader
            .logs
            .conflicts
            .get(message_id)
            .is_some_and(|logged| !self.client.shares_queue || logged.elapsed() <= self.receive_period());
        (self.is_acknowledged(message_id) && !may_be_redelivered)
            || self.seen.dead_letters.contains(message_id)
            || (self.is_surely_duplicate(message_id) && self.started.elapsed() > self.receive_period())
    }

    /// Returns the longest time from a delivery of a message until the log shows that SQS has redelivered it.
    fn receive_period(&self) -> Duration {
        self.client.visibility_timeout + self.client.log_delay
    }

    /// Returns true if the functions do not log routine outcomes and the message has the content of its event's claim.
    /// Either the message has won, or `ingest-fn` acknowledges it as a duplicate on its next delivery at the latest.
    /// The log does not show which.
    fn is_surely_duplicate(&self, message_id: &MessageId) -> bool {
        if self.log_routine_outcomes {
            return false;
        }
        let message = &self.plan.messages[self.sent.confirmed[message_id]];
        let claim = message.event.and_then(|event| self.seen.claims.get(event));
        claim.is_some_and(|claim| message.digest == claim.digest)
    }

    /// Returns true if at least one of the run's messages is not settled, and each such message has an outcome in the
    /// log.
    fn awaits_dead_letters(&self) -> bool {
        let mut unsettled = self.sent.confirmed.keys().filter(|id| !self.is_settled(id)).peekable();
        unsettled.peek().is_some() && unsettled.all(|id| self.reader.logs.outcomes.contains_key(id))
    }

    /// Returns true if the queue may contain messages of this run even if all confirmed messages are settled.
    fn may_hold_ours(&self) -> bool {
        self.empty_looks == 0 && (!self.client.shares_queue || !self.sent.unconfirmed.is_empty())
    }

    fn is_confirmed(&self, event: usize) -> bool {
        self.plan.messages_of[event].iter().any(|&index| self.sent.message_ids[index].is_some())
    }

    fn is_drained(&self) -> bool {
        let is_missing = |event: &usize| self.seen.missing_objects.contains(event);
        self.awaits_only_objects() && (!self.is_readable(Source::Bucket) || self.unread.iter().all(is_missing))
    }

    /// Returns true if nothing but the objects of known claims is left to wait for.
    fn awaits_only_objects(&self) -> bool {
        let all_settled =
            self.is_readable(Source::IngestLog) && self.sent.confirmed.keys().all(|id| self.is_settled(id));
        // Waiting does not help for a message that is in neither a log nor a queue: it is lost.
        if self.may_hold_ours() || !(all_settled || self.seen.queue_settled) {
            return false;
        }
        let events: HashSet<usize> =
            self.sent.confirmed.values().filter_map(|&index| self.plan.messages[index].event).collect();
        let is_answered = |event: &usize| {
            self.seen.claims.contains(*event)
                || self.seen.missing_claims.contains(event)
                || self.seen.is_dead(*event, self.plan, self.sent)
        };
        !self.is_readable(Source::Table) || events.iter().all(is_answered)
    }
}

impl Observation {
    /// Returns true if all confirmed messages of the event are dead letters.
    #[must_use]
    pub fn is_dead(&self, event: usize, plan: &Plan, sent: &SendResults) -> bool {
        let mut confirmed = plan.messages_of[event].iter().filter_map(|&index| sent.message_ids[index].as_ref());
        !self.dead_letters.is_empty() && confirmed.all(|id| self.dead_letters.contains(id))
    }
}
