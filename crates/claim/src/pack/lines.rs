//! Reads the lines of a pack, one at a time and with a limit.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read as _, Take};

use chrono::{DateTime, Utc};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{MAX_LINES_BYTES, Pack, PackError};
use crate::item::parse_id;

/// Base-two logarithm of the largest window that a frame may have: 8 MiB. [`PackBuilder`](super::PackBuilder) compresses with
/// windows of 256 KiB.
const MAX_WINDOW_LOG: u32 = 23;

type Frame<'a> = zstd::stream::read::Decoder<'a, BufReader<&'a [u8]>>;

/// The claims and lines of a pack. Only one line is in memory at a time.
pub struct PackLines<'a> {
    pack: &'a Pack,
    text: Option<BufReader<Take<Frame<'a>>>>,
    read: usize,
    line: Vec<u8>,
}

/// One line of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackLine<'a> {
    /// Id of the event.
    pub event_id: Cow<'a, str>,
    /// Id of the claim.
    pub claim_id: Uuid,
    /// Time of the claim.
    pub claimed_at: DateTime<Utc>,
    /// Id of the SQS message that won the event.
    pub message_id: Cow<'a, str>,
    /// The line, with its newline.
    pub text: &'a [u8],
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    claim_id: &'a str,
    #[serde(deserialize_with = "rfc3339_time")]
    claimed_at: DateTime<Utc>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(rename = "event")]
    _event: IgnoredAny,
}

fn rfc3339_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(D::Error::custom)
}

impl<'a> PackLines<'a> {
    pub(super) fn new(pack: &'a Pack) -> Self {
        Self { pack, text: None, read: 0, line: Vec::new() }
    }

    /// Returns the next line, or `None` after the last one.
    ///
    /// # Errors
    /// Fails if the lines cannot be decompressed or are too long, if a line is not the line of the claim at its
    /// position, or if there are more or fewer lines than claims.
    pub fn next_line(&mut self) -> Result<Option<PackLine<'_>>, PackError> {
        let text = match &mut self.text {
            Some(text) => text,
            none => none.insert(open_frame(&self.pack.lines_zstd).map_err(PackError::Decompress)?),
        };
        self.line.clear();
        text.read_until(b'\n', &mut self.line).map_err(PackError::Decompress)?;
        if self.line.is_empty() && self.read == self.pack.claim_ids.len() {
            return Ok(None);
        }
        if text.get_ref().limit() == 0 {
            return Err(PackError::TooLong);
        }
        let lines = self.read + usize::from(self.line.ends_with(b"\n"));
        let Some(claim_id) = self.pack.claim_ids.get(self.read).filter(|_| lines > self.read) else {
            return Err(PackError::Lines { claims: self.pack.claim_ids.len(), lines });
        };
        self.read = lines;
        let fields: Fields<'_> =
            serde_json::from_slice(&self.line).map_err(|source| PackError::Line { line: lines, source })?;
        if fields.claim_id != claim_id.to_string() {
            return Err(PackError::OtherClaim { line: lines });
        }
        let Fields { event_id, claimed_at, message_id, .. } = fields;
        Ok(Some(PackLine { event_id, claim_id, claimed_at, message_id, text: &self.line }))
    }
}

/// Returns the claim id in a line. `number` is the position of the line, counted from 1.
pub(super) fn claim_id_of(line: &[u8], number: usize) -> Result<Uuid, PackError> {
    if !line.ends_with(b"\n") {
        return Err(PackError::Lines { claims: number, lines: number - 1 });
    }
    let no_claim = |source| PackError::Line { line: number, source };
    let fields: Fields<'_> = serde_json::from_slice(line).map_err(no_claim)?;
    parse_id("claim_id", fields.claim_id).map_err(|error| no_claim(serde_json::Error::custom(error)))
}

/// Opens a frame. Reads at most one byte more than a pack may have, so that a longer text is noticed.
fn open_frame(frame: &[u8]) -> std::io::Result<BufReader<Take<Frame<'_>>>> {
    let mut decoder = zstd::stream::read::Decoder::new(frame)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(BufReader::new(decoder.take(MAX_LINES_BYTES as u64 + 1)))
}
