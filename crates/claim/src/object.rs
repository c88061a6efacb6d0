//! The S3 object that a won claim becomes. Key and content follow from the claim and the prefix alone, so that whoever
//! archives a claim, and however often, writes the same bytes under the same key.

use std::fmt;

use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use crate::record::{Claim, ClaimError};

/// Where the lake begins in its bucket, for example `events/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPrefix(String);

/// Why a text cannot be a prefix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectPrefixError {
    /// Keys would run into the prefix, as in `eventsdt=…`; and the IAM policy grants `<prefix>*`.
    #[error("must end with `/`")]
    NoSlashAtEnd,
    /// Athena, Glue and Spark do not find keys under an empty folder name.
    #[error("must not begin with `/` or hold `//`")]
    EmptyFolder,
    /// S3 advises against all others.
    #[error("must hold only letters, digits and the characters ! - _ . * ' ( ) = /")]
    UnsafeCharacter,
    /// S3 keys take 1,024 bytes, of which the longest part after the prefix takes 84.
    #[error("must not be longer than 900 bytes")]
    TooLong,
}

impl ObjectPrefix {
    /// Checks a prefix.
    ///
    /// # Errors
    /// When keys under it would not be found again, or not be safe.
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

    /// `<prefix>dt=YYYY-MM-DD/hour=HH/<claim_id>.json`, by the time of the claim in UTC.
    #[must_use]
    pub fn object_key(&self, claim: &Claim) -> String {
        format!("{}{}/{}.json", self.0, claim.claimed_at.format("dt=%Y-%m-%d/hour=%H"), claim.claim_id)
    }

    /// `<prefix>_unusable/<sequence number>.json`, for a stream record that says it is a claim and can never be written. A record
    /// without a usable sequence number is named by its own SHA-256. Athena and Spark pass over folders that begin
    /// with `_`.
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

/// The object's content: one line of JSON and a newline. `event` is the body as sent, without the white space that would
/// make it more than one line; names, their order, escapes and number text stay.
///
/// # Errors
/// When the body does not decompress, or is not JSON.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn object_line(claim: &Claim) -> Result<Vec<u8>, ClaimError> {
    let body = claim.body_text()?;
    serde_json::from_str::<IgnoredAny>(&body).map_err(ClaimError::NotJson)?;

    let mut line = Vec::with_capacity(body.len() + claim.event_id.len() + 256);
    for (name, value) in [
        (r#"{"event_id":"#, claim.event_id.as_str()),
        (r#","claim_id":"#, &claim.claim_id.to_string()),
        (r#","claimed_at":"#, &claim.claimed_at_text()),
        (r#","message_id":"#, &claim.message_id),
    ] {
        line.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut line, value).expect("a string can always be written to memory");
    }
    line.extend_from_slice(br#","event":"#);
    push_without_white_space(&mut line, &body);
    line.extend_from_slice(b"}\n");
    Ok(line)
}

/// Copies JSON without the white space between its tokens.
fn push_without_white_space(line: &mut Vec<u8>, json: &str) {
    let mut in_string = false;
    let mut escaped = false;
    line.extend(json.bytes().filter(|&byte| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return true;
        }
        in_string = byte == b'"';
        !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    }));
}
