//! Writes the story of an event as text.

use std::io::{self, Write};

use super::story::{ObjectStory, Story};

/// Maximum number of log lines of one function, or of dead letters, that the text shows.
const MOST_SHOWN: usize = 10;

impl Story {
    /// Writes the story as text.
    ///
    /// # Errors
    /// Fails if `out` cannot be written to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "event {}", self.event_id)?;
        if let Some(claim) = &self.claim {
            match &claim.sent_at {
                Some(sent_at) => writeln!(out, "  {sent_at}  sent: message {}", claim.message_id)?,
                None => writeln!(out, "  {:24}  send time unknown: no log line of the winning message was found", "")?,
            }
            let until = if claim.expired { "was valid until" } else { "valid until" };
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
                write!(out, ", digest {digest} differs from the claim's {held}")?;
            }
            // The send time of the winner is shown above.
            let is_winner =
                self.claim.as_ref().is_some_and(|claim| line.message_id.as_ref() == Some(&claim.message_id));
            if let Some(sent_at) = line.sent_at.as_ref().filter(|_| !is_winner) {
                write!(out, ", sent {sent_at}")?;
            }
            writeln!(out, "{}", line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default())?;
        }
        write_omitted(out, self.ingest.len())?;
        for line in self.archive.iter().take(MOST_SHOWN) {
            write!(out, "  {}  archive-fn: {}", line.timestamp, line.outcome)?;
            if let Some(lag_ms) = line.lag_ms {
                write!(out, " {lag_ms} ms after the claim")?;
            }
            writeln!(out, "{}", line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default())?;
        }
        write_omitted(out, self.archive.len())?;
        for letter in self.dead_letters.iter().take(MOST_SHOWN) {
            let sent_at = letter.sent_at.as_deref().unwrap_or("");
            let note = if letter.is_event { "" } else { " (not a valid event, but contains the id)" };
            writeln!(out, "  {sent_at:24}  sent: message {}, now a dead letter{note}", letter.message_id)?;
        }
        write_omitted(out, self.dead_letters.len())?;
        if let Some(ObjectStory { key, versions, bytes, as_claimed }) = &self.object {
            let content = match as_claimed {
                Some(true) => "content matches the claim",
                Some(false) => "content DOES NOT match the claim",
                None => "claim deleted",
            };
            let plural = if *versions == 1 { "" } else { "s" };
            writeln!(out, "  object {key}: {versions} version{plural}, {bytes} bytes, {content}")?;
        }
        for (source, why) in &self.unreadable {
            writeln!(out, "  could not read {source}: {why}")?;
        }
        writeln!(out, "{}", self.explanation)
    }
}

/// Writes the number of lines beyond the maximum, if there are any.
fn write_omitted(out: &mut impl Write, lines: usize) -> io::Result<()> {
    match lines.checked_sub(MOST_SHOWN) {
        Some(omitted @ 1..) => writeln!(out, "  {:24}  and {omitted} more", ""),
        _ => Ok(()),
    }
}
