//! Writes the story of an event as text.

use std::fmt;
use std::io::{self, Write};

use ops::command_line::write_line;

use super::story::{ClaimStory, ObjectStory, OtherClaim, Story};

/// Maximum number of log lines that the text shows per function, and maximum number of dead letters.
const MAX_SHOWN: usize = 10;

impl Story {
    /// Writes the story as text. Control characters are escaped.
    ///
    /// # Errors
    /// Fails if `out` cannot be written to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write_line(out, format_args!("event {}", self.event_id))?;
        self.write_claim(out)?;
        for line in self.ingest.iter().take(MAX_SHOWN) {
            let message_id = line.message_id.as_deref().unwrap_or("without an id");
            let mut text = format!("  {}  ingest-fn: message {message_id}: {}", line.timestamp, line.outcome);
            if let Some(differs) = &line.differs {
                text += &format!(", differs at {}", serde_json::to_string(differs).map_err(io::Error::other)?);
            }
            if let (Some(digest), Some(held)) = (&line.digest, &line.held_digest) {
                text += &format!(", digest {digest} differs from the claim's {held}");
            }
            // The send time of the winning message is already shown with the claim.
            let is_winner =
                self.claim.as_ref().is_some_and(|claim| line.message_id.as_ref() == Some(&claim.message_id));
            if let Some(sent_at) = line.sent_at.as_ref().filter(|_| !is_winner) {
                text += &format!(", sent {sent_at}");
            }
            text += &trace(line.trace_id.as_ref());
            text += &line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            write_line(out, text)?;
        }
        write_omitted(out, self.ingest.len())?;
        for line in self.archive.iter().take(MAX_SHOWN) {
            let lag = line.lag_ms.map(|lag_ms| format!(" {lag_ms} ms after the claim")).unwrap_or_default();
            let error = line.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            let stored = line.key.as_ref().filter(|_| line.outcome == "quarantined");
            let stored = stored.map(|key| format!(" under {key}")).unwrap_or_default();
            let trace = trace(line.trace_id.as_ref());
            write_line(
                out,
                format_args!("  {}  archive-fn: {}{stored}{lag}{trace}{error}", line.timestamp, line.outcome),
            )?;
        }
        write_omitted(out, self.archive.len())?;
        for letter in self.dead_letters.iter().take(MAX_SHOWN) {
            let sent_at = letter.sent_at.as_deref().unwrap_or("");
            let note = if letter.is_event { "" } else { " (not an event with this id, but contains the id)" };
            let message_id = &letter.message_id;
            write_line(out, format_args!("  {sent_at:24}  sent: message {message_id}, now a dead letter{note}"))?;
        }
        write_omitted(out, self.dead_letters.len())?;
        if let Some(object) = &self.object {
            write_line(out, object)?;
        }
        for (source, why) in &self.unreadable {
            write_line(out, format_args!("  could not read {source}: {why}"))?;
        }
        write_line(out, &self.explanation)
    }

    fn write_claim(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(claim) = &self.claim {
            match &claim.sent_at {
                Some(sent_at) => write_line(out, format_args!("  {sent_at}  sent: message {}", claim.message_id))?,
                None => {
                    let why = if self.log_routine_outcomes {
                        "no log line of the winning message was found"
                    } else {
                        "ingest-fn does not log routine outcomes"
                    };
                    write_line(out, format_args!("  {:24}  send time unknown: {why}", ""))?;
                }
            }
            let sort_key = (!self.other_claims.is_empty()).then_some(&claim.sort_key);
            claim.write(sort_key, out)?;
        }
        for OtherClaim { sort_key, claim, problem } in &self.other_claims {
            match (claim, problem) {
                (Some(claim), _) => claim.write(Some(sort_key), out)?,
                (None, problem) => {
                    let why = problem.as_deref().unwrap_or_default();
                    write_line(out, format_args!("  {:24}  the item {sort_key} is not a valid claim: {why}", ""))?;
                }
            }
        }
        Ok(())
    }
}

impl ClaimStory {
    /// Writes the claim. `sort_key` is given if the story has claims with several sort keys.
    fn write(&self, sort_key: Option<&String>, out: &mut impl Write) -> io::Result<()> {
        let Self { claim_id, claimed_at, message_id, digest, holds_until, expired, .. } = self;
        let key = sort_key.map(|sort_key| format!(" under the sort key {sort_key}")).unwrap_or_default();
        write_line(out, format_args!("  {claimed_at}  claimed by message {message_id}{key}"))?;
        let until = if *expired { "was valid until" } else { "valid until" };
        let trace = trace(self.trace_id.as_ref());
        write_line(out, format_args!("  {:24}  claim {claim_id}, digest {digest}, {until} {holds_until}{trace}", ""))
    }
}

impl fmt::Display for ObjectStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, line, versions, deleted_versions, bytes, trace_id, as_claimed } = self;
        let place = line.map_or_else(|| format!("object {key}"), |line| format!("line {line} of the pack {key}"));
        let trace = trace(trace_id.as_ref());
        let content = match as_claimed {
            Some(true) => "content matches the claim",
            Some(false) => "content DOES NOT match the claim",
            None => "claim deleted",
        };
        let plural = if *versions == 1 { "" } else { "s" };
        let deleted = match deleted_versions {
            0 => String::new(),
            deleted => format!(" and {deleted} deleted with the same content"),
        };
        write!(f, "  {place}: {versions} version{plural}{deleted}, {bytes} bytes, {content}{trace}")
    }
}

fn trace(trace_id: Option<&String>) -> String {
    trace_id.map(|trace_id| format!(", trace {trace_id}")).unwrap_or_default()
}

/// If there are more than [`MAX_SHOWN`] lines, writes the number of omitted lines.
fn write_omitted(out: &mut impl Write, lines: usize) -> io::Result<()> {
    match lines.checked_sub(MAX_SHOWN) {
        Some(omitted @ 1..) => writeln!(out, "  {:24}  and {omitted} more", ""),
        _ => Ok(()),
    }
}
