//! `producer trace EVENT_ID`: one event's story from table, lake, queues and logs, or where it is stuck.
//!
//! Nothing is received from the ingestion queue: that would count against a message's receives. So of a message that waits
//! there, no more can be told than that the queue is not empty.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use claim::{Claim, EventIdPointer, ObjectPrefix};
use serde::{Deserialize, Serialize};

use crate::pipeline_client::PipelineClient;
use look::Look;

mod look;
mod tell;

/// Before its claim, a message may have waited in the queue for so long (its retention).
const BEFORE_CLAIM: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It has its object, with one version.
    Archived,
    /// Its object has more versions than one: something has written to the lake that is not this system.
    Overwritten,
    /// It has a claim, and the stream still carries that to `archive-fn`.
    InStream,
    /// It has a claim and no object, and the stream's mapping has given up on it.
    GivenUp,
    /// Its stream record can never be archived, and is kept whole.
    Quarantined,
    /// The table has an item for it that is no claim.
    UnusableClaim,
    /// `ingest-fn` has refused or failed it, and it will be received again.
    InQueue,
    /// It is a dead letter.
    DeadLetter,
    /// There is no trace of it.
    NotSeen,
    /// It cannot be told, because something could not be read.
    Unknown,
}

/// One event's story. Times are RFC 3339, UTC.
#[derive(Debug, Serialize)]
pub struct Story {
    /// Whose.
    pub event_id: String,
    /// Where it is.
    pub place: Place,
    /// The same in words, with what to do about it.
    pub explanation: String,
    /// Its claim, if the table has one.
    pub claim: Option<ClaimStory>,
    /// What `ingest-fn` said of its messages, in order.
    pub ingest: Vec<IngestLine>,
    /// What `archive-fn` said of its claims, in order.
    pub archive: Vec<ArchiveLine>,
    /// Its object, if there is one.
    pub object: Option<ObjectStory>,
    /// Its messages in the dead-letter queue, as far as that was searched.
    pub dead_letters: Vec<DeadLetter>,
    /// Messages in the ingestion queue, of whatever events.
    pub queue_depth: Option<u64>,
    /// Pointers in the on-failure queue, to whatever claims.
    pub on_failure_depth: Option<u64>,
    /// The logs were searched from here on.
    pub logs_since: String,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<&'static str, String>,
}

/// Who holds the event.
#[derive(Debug, Serialize)]
pub struct ClaimStory {
    /// Names the object too.
    pub claim_id: String,
    /// When.
    pub claimed_at: String,
    /// Of the SQS message that won.
    pub message_id: String,
    /// When that was sent, by SQS's clock; `None` if no line of the log that was found says so.
    pub sent_at: Option<String>,
    /// Up to and including this second.
    pub holds_until: String,
    /// The window is over, and the item is not deleted yet.
    pub expired: bool,
    /// Of the content, as in the logs.
    pub digest: String,
}

/// A line of `ingest-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestLine {
    timestamp: String,
    event_id: Option<String>,
    /// `won`, `duplicate`, `conflict`, `rejected` or `failed`.
    pub outcome: String,
    /// Of the SQS message.
    pub message_id: Option<String>,
    /// When that was sent, by SQS's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    claim_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A line of `archive-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveLine {
    timestamp: String,
    event_id: Option<String>,
    /// `written`, `already_there`, `quarantined` or `failed`.
    pub outcome: String,
    claim_id: Option<String>,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What is in the lake.
#[derive(Debug, Serialize)]
pub struct ObjectStory {
    /// Its key.
    pub key: String,
    /// How many versions the key has.
    pub versions: usize,
    /// Of the latest.
    pub bytes: usize,
    /// It is byte for byte what the claim in the table becomes; `None` if that claim is gone.
    pub as_claimed: Option<bool>,
}

/// A message in the dead-letter queue.
#[derive(Debug, Serialize)]
pub struct DeadLetter {
    /// Of the SQS message.
    pub message_id: String,
    /// When it was first enqueued.
    pub sent_at: Option<String>,
    /// It is an event of this id; otherwise it is no event, and its text names the id.
    pub is_event: bool,
}

/// Finds out what is known of an event. `since` is where the logs are searched from, if not from a day before its claim, or now;
/// `record_age` is the age at which the stream's mapping gives a record up.
pub async fn trace(
    client: &PipelineClient,
    event_id: &str,
    prefix: &ObjectPrefix,
    pointer: &EventIdPointer,
    since: Option<DateTime<Utc>>,
    record_age: Duration,
    now: DateTime<Utc>,
) -> Story {
    let mut look = Look { client, event_id, unreadable: BTreeMap::new() };
    let item = look.claim().await;
    let claim = item.as_ref().and_then(|claim| claim.as_ref().ok());
    let since = since.unwrap_or_else(|| claim.map_or(now, |claim| claim.claimed_at.min(now)) - BEFORE_CLAIM);
    let stack = &client.stack;
    let ingest = look.log_lines("ingest log", stack.ingest_log_group.as_deref(), since).await;
    let ingest: Vec<IngestLine> = lines_of(&ingest, |line: &IngestLine| line.event_id.as_deref() == Some(event_id));
    let archive = look.log_lines("archive log", stack.archive_log_group.as_deref(), since).await;
    let archive: Vec<ArchiveLine> = lines_of(&archive, |line: &ArchiveLine| line.event_id.as_deref() == Some(event_id));
    let object = look.object(claim, &archive, prefix).await;

    let is_settled = claim.is_some() && ingest.iter().all(|line| ["won", "duplicate"].contains(&line.outcome.as_str()));
    let dead_letters = if is_settled { Vec::new() } else { look.dead_letters(pointer).await };
    let queue_depth = look.depth("queue", Some(&stack.queue_url)).await;
    let on_failure_depth = match &object {
        None if claim.is_some() => look.depth("on-failure queue", stack.on_failure_url.as_deref()).await,
        _ => None,
    };
    let mut story = Story {
        event_id: event_id.to_owned(),
        place: Place::NotSeen,
        explanation: String::new(),
        claim: claim.map(|claim| ClaimStory::new(claim, &ingest, now)),
        ingest,
        archive,
        object,
        dead_letters,
        queue_depth,
        on_failure_depth,
        logs_since: rfc3339(since),
        unreadable: look.unreadable,
    };
    (story.place, story.explanation) = story.judge(item.as_ref(), record_age, now);
    story
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn lines_of<'a, Line: Deserialize<'a>>(lines: &'a [String], is_ours: impl Fn(&Line) -> bool) -> Vec<Line> {
    // Summary lines and other lines that are about no message do not fit, and are not wanted.
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).filter(is_ours).collect()
}

impl ClaimStory {
    fn new(claim: &Claim, ingest: &[IngestLine], now: DateTime<Utc>) -> Self {
        let mut winners = ingest.iter().filter(|line| line.message_id.as_ref() == Some(&claim.message_id));
        let holds_until = i64::try_from(claim.ttl).ok().and_then(|ttl| DateTime::from_timestamp(ttl, 0));
        Self {
            claim_id: claim.claim_id.to_string(),
            claimed_at: claim.claimed_at_text(),
            message_id: claim.message_id.clone(),
            sent_at: winners.find_map(|line| line.sent_at.clone()),
            holds_until: holds_until.map_or_else(|| claim.ttl.to_string(), rfc3339),
            expired: holds_until.is_some_and(|until| until.timestamp() < now.timestamp()),
            digest: claim.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl Story {
    fn judge(&self, item: Option<&Result<Claim, String>>, record_age: Duration, now: DateTime<Utc>) -> (Place, String) {
        if let Some(object) = &self.object {
            return match object.versions {
                1 => (Place::Archived, "it is archived".to_owned()),
                versions => (
                    Place::Overwritten,
                    format!("its object has {versions} versions: something else writes to the lake"),
                ),
            };
        }
        match item {
            Some(Err(why)) => {
                let kept = "archive-fn keeps such records whole under `<prefix>_unusable/`";
                (Place::UnusableClaim, format!("the table holds an item for it that is no claim: {why}. {kept}"))
            }
            Some(Ok(_)) if self.is_unreadable("bucket") => unknown_place("it was claimed, and whether it is archived"),
            Some(Ok(claim)) => self.judge_claimed(claim, record_age, now),
            None if self.is_unreadable("table") => unknown_place("whether it was claimed"),
            None => self.judge_unclaimed(),
        }
    }

    fn is_unreadable(&self, source: &str) -> bool {
        self.unreadable.contains_key(source)
    }

    fn judge_claimed(&self, claim: &Claim, record_age: Duration, now: DateTime<Utc>) -> (Place, String) {
        let claim_id = claim.claim_id.to_string();
        let last = self.archive.iter().rfind(|line| line.claim_id.as_ref() == Some(&claim_id));
        if let Some(ArchiveLine { outcome, key: Some(key), .. }) = last
            && outcome == "quarantined"
        {
            return (
                Place::Quarantined,
                format!("it can never be archived; its stream record is kept whole under {key}"),
            );
        }
        let age = now - claim.claimed_at;
        if age.to_std().is_ok_and(|age| age >= record_age) {
            let pointers = self.on_failure_depth.map_or_else(String::new, |depth| {
                format!("; the on-failure queue holds {depth} {}", if depth == 1 { "pointer" } else { "pointers" })
            });
            let age = in_words(age);
            let text = format!("it was claimed, and has no object after {age}: the stream's mapping has given it up");
            return (Place::GivenUp, format!("{text}{pointers}. `replay` writes it"));
        }
        let said = match last {
            Some(line) => format!("archive-fn last said: {}", line.error.as_deref().unwrap_or(&line.outcome)),
            None if self.is_unreadable("archive log") => "what archive-fn said of it cannot be told".to_owned(),
            None => "archive-fn has not said anything of it yet".to_owned(),
        };
        (Place::InStream, format!("it was claimed {} ago and is on its way to the lake; {said}", in_words(age)))
    }

    fn judge_unclaimed(&self) -> (Place, String) {
        let reason = |line: &IngestLine| line.error.clone().unwrap_or_else(|| line.outcome.clone());
        let refused = self.ingest.iter().rfind(|line| ["rejected", "failed"].contains(&line.outcome.as_str()));
        if !self.dead_letters.is_empty() {
            let why = refused.map_or_else(String::new, |line| format!("; ingest-fn last said: {}", reason(line)));
            return (Place::DeadLetter, format!("it has no claim, and is in the dead-letter queue{why}"));
        }
        if ["ingest log", "archive log", "bucket", "dead-letter queue"].iter().any(|source| self.is_unreadable(source))
        {
            return unknown_place("it has no claim, and what became of it");
        }
        if let Some(line) = refused {
            let text = "it has no claim, and its message comes again until it is a dead letter";
            return (Place::InQueue, format!("{text}; ingest-fn last said: {}", reason(line)));
        }
        if self.ingest.iter().any(|line| line.outcome == "won") {
            let text = "it was claimed; the claim has expired and is deleted, and there is no object under the keys that the log names";
            return (Place::GivenUp, text.to_owned());
        }
        let text = match self.queue_depth {
            Some(0) => "it has no claim, no line in the log, and the queue is empty: it was never sent, or before then"
                .to_owned(),
            Some(depth) => format!(
                "it has no claim and no line in the log; the queue holds {depth} messages, and it may be among them"
            ),
            None => "it has no claim and no line in the log".to_owned(),
        };
        (Place::NotSeen, format!("{text} (logs since {})", self.logs_since))
    }

    /// Nothing that could not be read would put the event elsewhere.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.unreadable.is_empty()
    }
}

fn unknown_place(what: &str) -> (Place, String) {
    (Place::Unknown, format!("{what} cannot be told: see what was not read"))
}

fn in_words(age: chrono::TimeDelta) -> String {
    match age.num_seconds() {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
