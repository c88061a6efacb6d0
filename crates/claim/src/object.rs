//! The S3 object that archives a claim. Its key and content depend only on the claim and the prefix. So every attempt
//! to archive the claim writes the same bytes to the same key.

use std::fmt;
use std::io::{self, Write};

use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::record::{Claim, ClaimError, id_time};

/// The prefix of all the lake's keys, for example `events/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPrefix(String);

/// The reason why a text is not a valid object prefix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectPrefixError {
    /// The prefix does not end with a slash. With the prefix `events`, keys would begin with `eventsdt=…`, and the IAM
    /// policy for `<prefix>*` would also cover folders such as `events-old/`.
    #[error("must end with `/`")]
    NoSlashAtEnd,
    /// The prefix contains an empty folder name. Athena, Glue and Spark do not find keys under such a folder.
    #[error("must not begin with `/` or contain `//`")]
    EmptyFolder,
    /// The prefix contains a character other than `/`, `=` and those that the S3 user guide calls safe.
    #[error("must contain only letters, digits and the characters ! - _ . * ' ( ) = /")]
    UnsafeCharacter,
    /// The prefix is longer than 900 bytes. An S3 key has at most 1,024 bytes, and the part after the prefix needs up
    /// to 79 of them. The other 45 bytes are a reserve.
    #[error("must be at most 900 bytes long")]
    TooLong,
}

impl ObjectPrefix {
    /// Checks that a text is a valid prefix.
    ///
    /// # Errors
    /// Fails if the text breaks one of the rules that [`ObjectPrefixError`] lists.
    pub fn parse(prefix: &str) -> Result<Self, ObjectPrefixError> {
        let safe = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()=/".contains(c);
        if !prefix.ends_with('/') {
            Err(ObjectPrefixError::NoSlashAtEnd)
        } else if prefix.starts_with('/') || prefix.contains("//") {
            Err(ObjectPrefixError::EmptyFolder)
        } else if !prefix.chars().all(safe) {
            Err(ObjectPrefixError::UnsafeCharacter)
        } else if prefix.len() > 900 {
            Err(ObjectPrefixError::TooLong)
        } else {
            Ok(Self(prefix.to_owned()))
        }
    }

    /// Returns `<prefix>dt=YYYY-MM-DD/hour=HH/<claim_id>.json`. The date and hour (UTC) come from the time in the claim
    /// id. The key depends only on the prefix and the claim id, so a claim keeps its object even if somebody edits its
    /// `claimed_at`.
    #[must_use]
    pub fn object_key(&self, claim: &Claim) -> String {
        self.object_key_of(claim.claim_id)
    }

    /// Returns the [`object_key`](Self::object_key) of the claim with this id.
    #[must_use]
    pub fn object_key_of(&self, claim_id: Uuid) -> String {
        format!("{}{}/{claim_id}.json", self.0, Self::partition(claim_id))
    }

    /// Returns the partition of an object, which is the folder in its key: `dt=YYYY-MM-DD/hour=HH`. The date and hour (UTC)
    /// come from the time in `id`, the id of a claim or a pack.
    #[must_use]
    pub fn partition(id: Uuid) -> impl fmt::Display {
        id_time(id).format("dt=%Y-%m-%d/hour=%H")
    }

    /// Returns `<prefix>dt=YYYY-MM-DD/hour=HH/<pack_id>.json.gz`. The date and hour (UTC) come from the time in the pack id.
    #[must_use]
    pub fn pack_key(&self, pack_id: Uuid) -> String {
        format!("{}{}/{pack_id}.json.gz", self.0, Self::partition(pack_id))
    }

    /// Returns `<prefix>_unusable/<sequence number>.json`, the key under which a quarantined stream record is stored.
    /// If the sequence number is missing or malformed, the SHA-256 of the record takes its place. Athena and Spark
    /// ignore folders that begin with `_`.
    #[must_use]
    pub fn quarantine_key(&self, sequence_number: Option<&str>, record: &str) -> String {
        let usable = |number: &&str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number_or_hash = sequence_number.filter(usable).map_or_else(
            || Sha256::digest(record).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
            str::to_owned,
        );
        format!("{}_unusable/{number_or_hash}.json", self.0)
    }
}

impl fmt::Display for ObjectPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the object's content: one line of JSON and a newline. The line's `event` is the body as sent, but without
/// white space between tokens. Names, their order, escapes and the text of numbers stay as they are.
///
/// # Errors
/// Fails if the body does not decompress or is not JSON.
pub fn object_line(claim: &Claim) -> Result<Vec<u8>, ClaimError> {
    let body = claim.body_text()?;
    check_json(&body)?;
    let mut line = Vec::with_capacity(body.len() + claim.event_id.len() + 256);
    write_line(claim, &body, &mut line).expect("memory can always be written to");
    Ok(line)
}

/// Checks that a body can be part of a line.
pub(crate) fn check_json(body: &str) -> Result<(), ClaimError> {
    serde_json::from_str::<IgnoredAny>(body).map(drop).map_err(ClaimError::NotJson)
}

/// Writes the claim's line. `body` is the claim's body, which must be JSON.
pub(crate) fn write_line(claim: &Claim, body: &str, line: &mut impl Write) -> io::Result<()> {
    for (name, value) in [
        (r#"{"event_id":"#, claim.event_id.as_str()),
        (r#","claim_id":"#, &claim.claim_id.to_string()),
        (r#","claimed_at":"#, &claim.claimed_at_text()),
        (r#","message_id":"#, &claim.message_id),
    ] {
        line.write_all(name.as_bytes())?;
        serde_json::to_writer(&mut *line, value)?;
    }
    line.write_all(br#","event":"#)?;
    write_without_white_space(line, body.as_bytes())?;
    line.write_all(b"}\n")
}

/// Writes JSON, but leaves out the white space between tokens.
fn write_without_white_space(line: &mut impl Write, json: &[u8]) -> io::Result<()> {
    let mut in_string = false;
    let mut escaped = false;
    let mut written = 0;
    for (position, byte) in json.iter().enumerate() {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        in_string = *byte == b'"';
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            line.write_all(&json[written..position])?;
            written = position + 1;
        }
    }
    line.write_all(&json[written..])
}
