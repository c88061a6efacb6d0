//! The event's body as its claim stores it: plain, or compressed if that saves DynamoDB write units.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::record::ClaimError;

/// Largest body that can be claimed, in bytes: 1 MiB, the limit of SQS since August 2025. Decompressing a stored body
/// fails if the result is longer than this.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Number of item bytes per write unit. DynamoDB rounds the size of an item up to whole units (developer guide, "Read
/// and write operations").
pub const WRITE_UNIT_BYTES: usize = 1024;

/// zstd's default level. For a body of 1 KB, higher levels make the frame a few percent smaller, but take several times
/// the CPU time.
pub(crate) const ZSTD_LEVEL: i32 = 3;

thread_local! {
    // Kept for reuse, because creating a zstd context takes longer than compressing a small event.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// The event's body as a claim stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The text as received.
    Plain(String),
    /// The text as one zstd frame.
    Zstd(Vec<u8>),
}

impl Body {
    /// Compresses `body` if that saves write units, and copies it otherwise. `other_bytes` is the size of the item
    /// without its body.
    ///
    /// If the item fits into one write unit, its body stays plain, so that people can read it in the DynamoDB console.
    /// Compressing such a body would save only a few thousandths of a cent of storage per thousand events. It would be
    /// a sixth of the CPU time of a small claim with `CLAIM_WRITES=batch`.
    #[must_use]
    pub fn cheapest(body: &str, other_bytes: usize) -> Self {
        let units = |bytes: usize| (other_bytes + bytes).div_ceil(WRITE_UNIT_BYTES);
        let plain = units(plain_attribute_bytes(body));
        // Compression only saves money. If zstd fails, which only a failed allocation causes, the plain body is just as
        // correct.
        match (plain > 1).then(|| compress(body.as_bytes())) {
            Some(Ok(frame)) if units(zstd_attribute_bytes(&frame)) < plain => Self::Zstd(frame),
            _ => Self::Plain(body.to_owned()),
        }
    }

    /// Returns the body as received.
    ///
    /// # Errors
    /// Fails if a compressed body does not decompress to text of at most [`MAX_BODY_BYTES`].
    pub fn text(&self) -> Result<Cow<'_, str>, ClaimError> {
        match self {
            Self::Plain(body) => Ok(Cow::Borrowed(body)),
            Self::Zstd(frame) => {
                let body = zstd::bulk::decompress(frame, MAX_BODY_BYTES).map_err(ClaimError::Decompress)?;
                String::from_utf8(body).map(Cow::Owned).map_err(ClaimError::NotText)
            }
        }
    }

    /// Returns the size in bytes of the body as it is stored.
    pub(crate) fn stored_bytes(&self) -> usize {
        match self {
            Self::Plain(body) => body.len(),
            Self::Zstd(frame) => frame.len(),
        }
    }

    /// Returns the size in bytes of the attribute that stores the body, including the attribute's name.
    pub(crate) fn attribute_bytes(&self) -> usize {
        match self {
            Self::Plain(body) => plain_attribute_bytes(body),
            Self::Zstd(frame) => zstd_attribute_bytes(frame),
        }
    }
}

pub(crate) fn plain_attribute_bytes(body: &str) -> usize {
    "body".len() + body.len()
}

fn zstd_attribute_bytes(frame: &[u8]) -> usize {
    "body_zstd".len() + frame.len()
}

fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        compressor.compress(body)
    })
}
