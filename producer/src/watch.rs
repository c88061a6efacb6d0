//! Waiting for the pipeline to drain, and reading what came of the run meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use claim::{Claim, ObjectPrefix};
use serde::Serialize;
use tokio::time::Instant;

use crate::events::Plan;
use crate::function_logs::{FunctionLogs, IngestOutcome, LogTail};
use crate::read_back::{self, Object};
use crate::send::Sent;
use crate::stack::Connected;

/// SQS's counts are approximate: a queue is empty when it looks so as often in a row.
const EMPTY_LOOKS: u32 = 3;

/// How often to say how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Something that the verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The queue's depth.
    Queue,
    /// The table of claims.
    Table,
    /// The data lake.
    Bucket,
    /// The dead-letter queue.
    DeadLetterQueue,
    /// The log group of `ingest-fn`.
    IngestLog,
    /// The log group of `archive-fn`.
    ArchiveLog,
}

/// All that was seen of a run.
#[derive(Default)]
pub struct Observation {
    /// What the functions said.
    pub logs: FunctionLogs,
    /// By event.
    pub claims: HashMap<usize, Claim>,
    /// By event.
    pub objects: HashMap<usize, Object>,
    /// Message ids.
    pub dead_letters: HashSet<String>,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<Source, String>,
    /// Nothing was left to wait for.
    pub drained: bool,
}

/// What is needed to look at a run.
pub struct Watch<'a> {
    connected: &'a Connected,
    plan: &'a Plan,
    sent: &'a Sent,
    prefix: ObjectPrefix,
    event_of_id: HashMap<&'a str, usize>,
    ingest_log: Option<LogTail>,
    archive_log: Option<LogTail>,
    seen: Observation,
    empty_looks: u32,
    /// Where the functions' log lines are shown.
    show_line: Option<&'a dyn Fn(&str)>,
}

impl<'a> Watch<'a> {
    /// `started_ms` is when the first message was sent, in milliseconds since 1970.
    #[must_use]
    pub fn new(
        connected: &'a Connected,
        prefix: ObjectPrefix,
        plan: &'a Plan,
        sent: &'a Sent,
        started_ms: i64,
        show_line: Option<&'a dyn Fn(&str)>,
    ) -> Self {
        let tail =
            |group: &Option<String>| group.as_ref().map(|group| LogTail::new(group, started_ms, connected.log_delay));
        let mut seen = Observation::default();
        let stack = &connected.stack;
        for (source, known, flag) in [
            (Source::Table, stack.table.is_some(), "--table"),
            (Source::Bucket, stack.bucket.is_some(), "--bucket"),
            (Source::DeadLetterQueue, connected.dlq_url.is_some(), "--dlq-url, and no redrive policy"),
            (Source::IngestLog, stack.ingest_log_group.is_some(), "--ingest-log-group"),
            (Source::ArchiveLog, stack.archive_log_group.is_some(), "--archive-log-group"),
        ] {
            if !known {
                seen.unreadable.insert(source, format!("no {flag}, and no Terraform outputs of this queue's stack"));
            }
        }
        Self {
            connected,
            plan,
            sent,
            prefix,
            event_of_id: plan.event_ids.iter().enumerate().map(|(event, id)| (id.as_str(), event)).collect(),
            ingest_log: tail(&stack.ingest_log_group),
            archive_log: tail(&stack.archive_log_group),
            seen,
            empty_looks: 0,
            show_line,
        }
    }

    /// Looks until everything is settled, or the time is up. `progress` is told now and then how far it is.
    pub async fn until_drained(mut self, timeout: Duration, progress: impl Fn(&str)) -> Observation {
        let give_up = Instant::now() + timeout;
        let mut next_progress = Instant::now() + PROGRESS_INTERVAL;
        loop {
            let last = Instant::now() >= give_up;
            self.look(last).await;
            self.seen.drained = self.is_drained();
            if self.seen.drained || last {
                return self.seen;
            }
            if Instant::now() >= next_progress {
                next_progress = Instant::now() + PROGRESS_INTERVAL;
                progress(&format!(
                    "{} of {} messages settled, {} of {} events archived",
                    self.seen.logs.outcomes.len(),
                    self.sent.confirmed.len(),
                    self.seen.objects.len(),
                    self.plan.event_ids.len(),
                ));
            }
            tokio::time::sleep(self.connected.poll_interval.min(give_up - Instant::now())).await;
        }
    }

    async fn look(&mut self, last: bool) {
        self.read_logs().await;
        let depth = read_back::depth(self.connected, &self.connected.stack.queue_url).await;
        let is_empty = self.note(Source::Queue, depth).is_some_and(|depth| depth == 0);
        self.empty_looks = if is_empty { self.empty_looks + 1 } else { 0 };
        self.read_claims(last).await;
        self.read_objects(last).await;
        let unsettled = self.sent.confirmed.keys().any(|id| !self.is_acknowledged(id));
        if last || (is_empty && (unsettled || self.seen.logs.outcomes.is_empty())) {
            self.read_dead_letters().await;
        }
    }

    /// Keeps what went wrong with a source until it goes right.
    fn note<T>(&mut self, source: Source, read: anyhow::Result<T>) -> Option<T> {
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

    fn is_readable(&self, source: Source) -> bool {
        !self.seen.unreadable.contains_key(&source)
    }

    async fn read_logs(&mut self) {
        if let Some(mut tail) = self.ingest_log.take() {
            let lines = tail.poll(&self.connected.logs).await;
            for line in self.note(Source::IngestLog, lines).unwrap_or_default() {
                self.show_line.inspect(|show| show(&line));
                self.seen.logs.ingest(&line, |message_id| self.sent.confirmed.contains_key(message_id));
            }
            self.ingest_log = Some(tail);
        }
        if let Some(mut tail) = self.archive_log.take() {
            let lines = tail.poll(&self.connected.logs).await;
            for line in self.note(Source::ArchiveLog, lines).unwrap_or_default() {
                self.show_line.inspect(|show| show(&line));
                self.seen.logs.archive(&line, |event_id| self.event_of_id.contains_key(event_id));
            }
            self.archive_log = Some(tail);
        }
    }

    /// Of events without a known claim: those that the log says should have one, or all of them if there is no log, or it is
    /// the last look.
    async fn read_claims(&mut self, last: bool) {
        let Some(table) = &self.connected.stack.table else { return };
        let all = last || !self.is_readable(Source::IngestLog);
        let wanted = (0..self.plan.event_ids.len()).filter(|event| !self.seen.claims.contains_key(event));
        let settled: HashSet<usize> = {
            let settled = self.seen.logs.outcomes.keys().filter_map(|id| self.sent.confirmed.get(id));
            settled.map(|&index| self.plan.messages[index].event).collect()
        };
        let wanted: Vec<usize> = wanted.filter(|event| all || settled.contains(event)).collect();
        let claims = read_back::claims(self.connected, table, self.plan, &wanted).await;
        let claims = self.note(Source::Table, claims).unwrap_or_default();
        self.seen.claims.extend(claims);
    }

    /// Of claims without a known object: those that the log says are archived, those that another run's message won, or all of
    /// them if there is no log, or it is the last look.
    async fn read_objects(&mut self, last: bool) {
        let Some(bucket) = &self.connected.stack.bucket else { return };
        let all = last || !self.is_readable(Source::ArchiveLog);
        let is_due = |claim: &Claim| {
            all || self.seen.logs.keys.contains_key(&claim.event_id)
                || !self.sent.confirmed.contains_key(&claim.message_id)
        };
        let wanted: Vec<(usize, &Claim)> = self
            .seen
            .claims
            .iter()
            .filter(|(event, claim)| !self.seen.objects.contains_key(event) && is_due(claim))
            .map(|(event, claim)| (*event, claim))
            .collect();
        let objects = read_back::objects(self.connected, bucket, &self.prefix, self.plan, self.sent, &wanted).await;
        let objects = self.note(Source::Bucket, objects).unwrap_or_default();
        self.seen.objects.extend(objects);
    }

    async fn read_dead_letters(&mut self) {
        let Some(url) = self.connected.dlq_url.clone() else { return };
        let mut seen = std::mem::take(&mut self.seen.dead_letters);
        let searched = read_back::dead_letters(self.connected, &url, self.sent, &mut seen).await;
        self.seen.dead_letters = seen;
        let searched = searched.and_then(|all| {
            if all { Ok(()) } else { Err(anyhow::anyhow!("{url} holds too many messages to be searched")) }
        });
        self.note(Source::DeadLetterQueue, searched);
    }

    /// The functions said that the message is done with.
    fn is_acknowledged(&self, message_id: &str) -> bool {
        let outcome = self.seen.logs.outcomes.get(message_id);
        outcome.is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate)
    }

    fn is_drained(&self) -> bool {
        let settled = |id: &String| self.is_acknowledged(id) || self.seen.dead_letters.contains(id);
        let messages_settled = self.is_readable(Source::IngestLog) && self.sent.confirmed.keys().all(settled);
        if self.empty_looks == 0 || (!messages_settled && self.empty_looks < EMPTY_LOOKS) {
            return false;
        }
        if self.is_readable(Source::IngestLog) && !messages_settled {
            return false;
        }
        let is_dead = |event: usize| self.seen.is_dead(event, self.plan, self.sent);
        let events: HashSet<usize> =
            self.sent.confirmed.values().map(|&index| self.plan.messages[index].event).collect();
        let claimed = |event: &usize| self.seen.claims.contains_key(event) || is_dead(*event);
        if self.is_readable(Source::Table) && !events.iter().all(claimed) {
            return false;
        }
        let archived = |event: &usize| self.seen.objects.contains_key(event);
        !self.is_readable(Source::Table) || !self.is_readable(Source::Bucket) || self.seen.claims.keys().all(archived)
    }
}

impl Observation {
    /// All confirmed messages of the event are dead letters.
    #[must_use]
    pub fn is_dead(&self, event: usize, plan: &Plan, sent: &Sent) -> bool {
        let mut confirmed = plan.messages_of[event].iter().filter_map(|&index| sent.message_ids[index].as_ref());
        !self.dead_letters.is_empty() && confirmed.all(|id| self.dead_letters.contains(id))
    }
}
