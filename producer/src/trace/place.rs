//! Where an event is, from what was found of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claim::Claim;

use super::story::{ArchiveLine, IngestLine, Place, Story};

impl Story {
    /// Finds the place of the event, and says it in words.
    pub(super) fn locate(
        &self,
        item: Option<&Result<Claim, String>>,
        record_age: Duration,
        now: DateTime<Utc>,
    ) -> (Place, String) {
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
