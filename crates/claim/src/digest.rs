//! The digest of an event's body. The event's claim stores the digest, so that later messages can be compared with it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::event::EventError;
use crate::rules::EventRules;

/// The digest of a body: a version byte, and the SHA-256 of the body's canonical form. Two bodies with equal digests
/// have the same content, apart from ignored members.
///
/// The canonical form has no white space between tokens. The names in an object are sorted by their unescaped UTF-8,
/// strings have as few escapes as possible, and numbers keep their text. So reserializing a body keeps its digest, as
/// long as every number keeps its text: `1.0` and `1` have different digests.
///
/// A digest of version 1 covers the whole body, and has 33 bytes. A digest of version 2 leaves out the members that
/// `CONFLICT_IGNORE` lists. Between its version and its hash, it has the first four bytes of the SHA-256 of this list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// The first four bytes of the SHA-256 of the list of ignored members; `None` if nothing is ignored.
    mark: Option<[u8; 4]>,
    hash: [u8; 32],
}

/// Version of a digest of the whole body.
const WHOLE_BODY: u8 = 1;

/// Version of a digest without the ignored members.
const WITHOUT_IGNORED: u8 = 2;

impl Digest {
    /// Reads the digest that a claim stores. Returns `None` if its version is unknown or its length is wrong.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [WHOLE_BODY, hash @ ..] => Some(Self { mark: None, hash: hash.try_into().ok()? }),
            [WITHOUT_IGNORED, rest @ ..] => {
                let (mark, hash) = rest.split_first_chunk::<4>()?;
                Some(Self { mark: Some(*mark), hash: hash.try_into().ok()? })
            }
            _ => None,
        }
    }

    /// Computes the digest of a whole body.
    ///
    /// # Errors
    /// Fails if the body breaks the rules in the documentation of the module [`event`](crate::event).
    pub fn of(body: &str) -> Result<Self, EventError> {
        EventRules::default().digest(body)
    }

    /// Returns the bytes that a claim stores. The first byte is the version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.mark {
            None => [&[WHOLE_BODY], self.hash.as_slice()].concat(),
            Some(mark) => [&[WITHOUT_IGNORED], mark.as_slice(), &self.hash].concat(),
        }
    }

    /// Returns the number of bytes that a claim stores for this digest.
    pub(crate) fn stored_bytes(&self) -> usize {
        1 + self.mark.map_or(0, |mark| mark.len()) + self.hash.len()
    }

    pub(crate) fn of_canonical(mark: Option<[u8; 4]>, canonical: &[u8]) -> Self {
        Self { mark, hash: Sha256::digest(canonical).into() }
    }

    pub(crate) fn mark(&self) -> Option<[u8; 4]> {
        self.mark
    }

    /// Returns the hash in hex, without the version.
    pub(crate) fn hash_hex(&self) -> String {
        hex(&self.hash)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string can always be extended");
        text
    })
}

/// Writes the stored bytes in hex.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.to_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
