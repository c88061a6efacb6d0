//! The digest of an event's content. The event's claim stores it.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The digest of a body: a version byte, then the SHA-256 of the body's canonical form. Two bodies with equal digests have
/// the same content.
///
/// The canonical form has no white space between tokens. The names in an object are sorted by their unescaped UTF-8, strings
/// have as few escapes as possible, and numbers keep their text. So reserializing a body keeps its digest, as long as every
/// number keeps its text: `1.0` and `1` have different digests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 33]);

impl Digest {
    /// Version of the canonical form described above. Digests of different versions are never compared.
    pub const VERSION: u8 = 1;

    /// Reads the digest that a claim stores. Returns `None` if its version is not [`Self::VERSION`] or its length is not 33
    /// bytes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let digest: [u8; 33] = bytes.try_into().ok()?;
        (digest[0] == Self::VERSION).then_some(Self(digest))
    }

    /// Returns the 33 bytes that a claim stores. The first is the version.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn of_canonical(canonical: &[u8]) -> Self {
        let mut digest = [Self::VERSION; 33];
        digest[1..].copy_from_slice(&Sha256::digest(canonical));
        Self(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
