//! An event's story, for a person.

use std::io::{self, Write};

use super::story::{ObjectStory, Story};

/// A person is shown as many lines of a kind.
const MOST_SHOWN: usize = 10;

impl Story {
    /// What a person reads.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "event {}", self.event_id)?;
        if let Some(claim) = &self.claim {
            match &claim.sent_at {
                Some(sent_at) => writeln!(out, "  {sent_at}  sent: message {}", claim.message_id)?,
                None => writeln!(out, "  {:24}  when it was sent, no line says that was found in the log", "")?,
            }
            let until = if claim.expired { "held until" } else { "holds until" };
            writeln!(out, "  {}  claimed by message {}", claim.claimed_at, claim.message_id)?;
            writeln!(
                out,
                "  {:24}  claim {}, digest {}, {until} {}",
                "", claim.claim_id, claim.digest, claim.holds_until
            )?;
        }
        for line in self.ingest.iter().take(MOST_SHOWN) {
            let message_id = line.message_id.as_deref().unwrap_or("without an id");
            write!(out, "  {}  ingest-fn: message {message_id}: {}", line.timestamp, line.outcome)?;
            if let (Some(digest), Some(held)) = (&line.digest, &line.held_digest) {
                write!(out, ", digest {digest} against {held}")?;
            }
            // Of the message that won, it is said above.
            let is_winner =
                self.claim.as_ref().is_some_and(|claim| line.message_id.as_ref() == Some(&claim.message_id));
            if let Some(sent_at) = line.sent_at.as_ref().filter(|_| !is_winner) {
                write!(out, ", sent {sent_at}")?;
            }
            writeln!(out, "{}", line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default())?;
        }
        more(out, self.ingest.len())?;
        for line in self.archive.iter().take(MOST_SHOWN) {
            write!(out, "  {}  archive-fn: {}", line.timestamp, line.outcome)?;
            if let Some(lag_ms) = line.lag_ms {
                write!(out, " {lag_ms} ms after the claim")?;
            }
            writeln!(out, "{}", line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default())?;
        }
        more(out, self.archive.len())?;
        for letter in self.dead_letters.iter().take(MOST_SHOWN) {
            let sent_at = letter.sent_at.as_deref().unwrap_or("");
            let what = if letter.is_event { "" } else { ", which is no event but names it," };
            writeln!(out, "  {sent_at:24}  sent: message {}{what} is a dead letter", letter.message_id)?;
        }
        more(out, self.dead_letters.len())?;
        if let Some(ObjectStory { key, versions, bytes, as_claimed }) = &self.object {
            let content = match as_claimed {
                Some(true) => "as claimed",
                Some(false) => "NOT as claimed",
                None => "of a claim that is deleted",
            };
            let plural = if *versions == 1 { "" } else { "s" };
            writeln!(out, "  object {key}: {versions} version{plural}, {bytes} bytes, {content}")?;
        }
        for (source, why) in &self.unreadable {
            writeln!(out, "  not read: {source}: {why}")?;
        }
        writeln!(out, "{}", self.explanation)
    }
}

fn more(out: &mut impl Write, lines: usize) -> io::Result<()> {
    match lines.checked_sub(MOST_SHOWN) {
        Some(more @ 1..) => writeln!(out, "  {:24}  and {more} more", ""),
        _ => Ok(()),
    }
}
