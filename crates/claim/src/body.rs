//! The event's body in a claim: plain, or compressed if that saves write units.

use std::cell::RefCell;

/// Largest body in bytes: the 1 MiB that SQS accepts since August 2025. Decompression fails beyond this limit.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Number of item bytes per write unit. DynamoDB rounds up to whole units ("Read and write operations").
pub const WRITE_UNIT_BYTES: usize = 1024;

/// zstd's default level. Higher levels save a few percent of a kilobyte and cost several times the CPU.
const ZSTD_LEVEL: i32 = 3;

thread_local! {
    // Creating a context costs more than compressing a small event.
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
    /// Compresses `body` only if that saves write units. `other_bytes` is the size of the rest of the item.
    ///
    /// An item that fits into one unit stays plain, so that it can be read in the console. Compressing it would only save storage
    /// (a few thousandths of a cent per thousand events), and would take a sixth of the CPU of a small batched claim.
    #[must_use]
    pub fn cheapest(body: &str, other_bytes: usize) -> Self {
        let units = |bytes: usize| (other_bytes + bytes).div_ceil(WRITE_UNIT_BYTES);
        let plain = units(plain_attribute_bytes(body));
        // Compression only saves money. If zstd fails, which takes a failed allocation, the plain body is correct.
        match (plain > 1).then(|| compress(body.as_bytes())) {
            Some(Ok(frame)) if units(zstd_attribute_bytes(&frame)) < plain => Self::Zstd(frame),
            _ => Self::Plain(body.to_owned()),
        }
    }

    /// Size of the body's attribute in bytes, including its name.
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

pub(crate) fn decompress(frame: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::decompress(frame, MAX_BODY_BYTES)
}
