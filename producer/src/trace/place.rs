//! Derives the place of an event in the pipeline from what the search found.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claim::Claim;

use super::story::{ArchiveLine, IngestLine, Place, Story};

impl Story {
    /// Returns the place of the event and a text that explains it. `item` is the event's item in the table: its claim,
    /// or the reason why it is not a valid claim; `None` if the table has no item of the event or cannot be read.
    pub(super) fn locate(
        &self,
        item: Option<&Result<Claim, String>>,
        record_age: Duration,
        now: DateTime<Utc>,
    ) -> (Place, String) {
        if let Some(object) = &self.object {
            return match (object.versions, object.deleted_versions) {
                (1, 0) => (Place::Archived, "the event is archived".to_owned()),
                (1, _) => {
                    (Place::Archived, "the event is archived; its object was deleted and written again".to_owned())
                }
                (versions, _) => (
                    Place::Overwritten,
                    format!(
                        "the event's object has {versions} versions, so something other than the pipeline writes to the lake"
                    ),
                ),
            };
        }
        match item {
            Some(Err(why)) => {
                let advice = "archive-fn stores such records whole under `<prefix>_unusable/`. Fix or delete the item, replace the \
                              warm sandboxes of ingest-fn, then have the producer resend the event";
                (Place::UnusableClaim, format!("the event's item in the table is not a valid claim: {why}. {advice}"))
            }
            Some(Ok(_)) if self.is_unreadable("bucket") => {
                unknown_place("the event was claimed, but whether it is archived")
            }
            Some(Ok(claim)) => self.locate_claimed(claim, record_age, now),
            None if self.is_unreadable("table") => unknown_place("whether the event was claimed"),
            None => {
                let (place, text) = self.locate_unclaimed();
                let hint = "; a claim of this id was made under another dedup key: give --dedup-key to trace it";
                (place, if self.other_claims.is_empty() { text } else { text + hint })
            }
        }
    }

    fn is_unreadable(&self, source: &str) -> bool {
        self.unreadable.contains_key(source)
    }

    fn locate_claimed(&self, claim: &Claim, record_age: Duration, now: DateTime<Utc>) -> (Place, String) {
        let claim_id = claim.claim_id.to_string();
        let last = self.archive.iter().rfind(|line| line.claim_id.as_ref() == Some(&claim_id));
        if let Some(ArchiveLine { outcome, key: Some(key), error, .. }) = last
            && outcome == "quarantined"
        {
            let error = error.as_deref().unwrap_or("no error logged");
            let advice = "The claim is valid and may be the only copy of the event: do not delete it. Deploy a fix of archive-fn, \
                          then run `ops replay --write`";
            let text = format!(
                "archive-fn quarantined the event's stream record ({error}) and stored it whole under {key}. {advice}"
            );
            return (Place::Quarantined, text);
        }
        let age = now - claim.claimed_at;
        if age.to_std().is_ok_and(|age| age >= record_age) {
            let pointers = self.on_failure_depth.map_or_else(String::new, |depth| {
                format!("; the on-failure queue holds {depth} {}", if depth == 1 { "pointer" } else { "pointers" })
            });
            let age = format_age(age);
            let text =
                format!("the event was claimed {age} ago and has no object: the stream mapping discarded its record");
            return (Place::GivenUp, format!("{text}{pointers}. Run `replay` to write the object"));
        }
        let last_log = match last {
            Some(line) => format!("archive-fn last logged: {}", line.error.as_deref().unwrap_or(&line.outcome)),
            None if self.is_unreadable("archive log") => "the log of archive-fn could not be read".to_owned(),
            None if !self.log_routine_outcomes => "archive-fn has not logged a failure".to_owned(),
            None => "archive-fn has not logged anything about its claim yet".to_owned(),
        };
        let age = format_age(age);
        (Place::InStream, format!("the event was claimed {age} ago and is on its way to the lake; {last_log}"))
    }

    fn locate_unclaimed(&self) -> (Place, String) {
        let reason = |line: &IngestLine| line.error.clone().unwrap_or_else(|| line.outcome.clone());
        let refused = self.ingest.iter().rfind(|line| ["rejected", "failed"].contains(&line.outcome.as_str()));
        if !self.dead_letters.is_empty() {
            let why = refused.map_or_else(String::new, |line| format!("; ingest-fn last logged: {}", reason(line)));
            let text = if self.dead_letters.iter().any(|letter| letter.is_event) {
                "the event has no claim and is in the dead-letter queue"
            } else {
                "the event has no claim, but a dead letter that is not a valid event contains its id"
            };
            return (Place::DeadLetter, format!("{text}{why}"));
        }
        if ["ingest log", "archive log", "bucket", "dead-letter queue"].iter().any(|source| self.is_unreadable(source))
        {
            return unknown_place("the event has no claim, and what happened to it");
        }
        if let Some(line) = refused {
            let text =
                "the event has no claim yet; SQS redelivers its message until it succeeds or becomes a dead letter";
            return (Place::InQueue, format!("{text}; ingest-fn last logged: {}", reason(line)));
        }
        if self.ingest.iter().any(|line| line.outcome == "won") {
            let text = "the event was claimed, but its claim is deleted, and the lake has no object under the key that the log names";
            return (Place::GivenUp, text.to_owned());
        }
        // `trace` does not search the queue, and SQS updates the queue's message count with a delay of about a minute.
        let unseen = "the event has no claim, no log line and no dead letter";
        let text = match self.queue_depth {
            Some(0) => format!(
                "{unseen}, and the queue reports no messages: it was never sent, sent within the last minute, or sent before the \
                 searched logs begin"
            ),
            Some(depth) => format!("{unseen}, but may be among the {depth} messages in the queue"),
            None => unseen.to_owned(),
        };
        // Without these lines, nothing is left of an event whose claim was deleted, except its object.
        let unlogged =
            "; or it was archived and its claim has expired, because the functions do not log routine outcomes";
        let text = if self.log_routine_outcomes { text } else { text + unlogged };
        (Place::NotSeen, format!("{text} (logs since {})", self.logs_since))
    }
}

fn unknown_place(what: &str) -> (Place, String) {
    (Place::Unknown, format!("{what} is unknown, because a source could not be read"))
}

/// Formats an age in seconds, minutes or hours.
fn format_age(age: chrono::TimeDelta) -> String {
    match age.num_seconds() {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
