//! The digest that a claim stores of its event's content.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What tells whether two bodies of one event say the same: a version byte, then SHA-256 of the canonical form.
///
/// The canonical form is the body without white space, names sorted by their unescaped UTF-8, strings by value (with
/// the fewest escapes), numbers as written. A duplicate that was serialised anew has the same digest; `1.0` and `1` do
/// not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 33]);

impl Digest {
    /// Names the canonical form above. Another form gets another byte, and is never compared with this one.
    pub const VERSION: u8 = 1;

    /// As stored in a claim; `None` if it is not one that this code computes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let digest: [u8; 33] = bytes.try_into().ok()?;
        (digest[0] == Self::VERSION).then_some(Self(digest))
    }

    /// As stored: 33 bytes, the version first.
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
