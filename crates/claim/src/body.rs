//! The event's body as a claim stores it: plain, or compressed where that saves write units.

use std::cell::RefCell;

/// Largest body, in bytes: what SQS lets through (1 MiB since August 2025), and so the most that a claim decompresses to.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A write costs a unit for each so many bytes of the item, or part of them ("Read and write operations").
pub const WRITE_UNIT_BYTES: usize = 1024;

/// zstd's own default. Higher levels save a few per cent of a kilobyte and cost several times the CPU.
const ZSTD_LEVEL: i32 = 3;

thread_local! {
    // A fresh context costs more than compressing a small event does.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// The event's body in a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// As received.
    Plain(String),
    /// The same, as one zstd frame.
    Zstd(Vec<u8>),
}

impl Body {
    /// Plain, unless compressing it saves write units, of an item with `other_bytes` beside it. What fits into one unit as
    /// it is would only get smaller to store, by some thousandths of a cent a thousand, for a sixth of the CPU of a small
    /// batched claim; and it can be read in the console.
    #[must_use]
    pub fn cheapest(body: &str, other_bytes: usize) -> Self {
        let units = |bytes: usize| (other_bytes + bytes).div_ceil(WRITE_UNIT_BYTES);
        let plain = units(plain_attribute_bytes(body));
        // Compression is an economy: where zstd fails, which takes an allocation failure, the plain body is right.
        match (plain > 1).then(|| compress(body.as_bytes())) {
            Some(Ok(frame)) if units(zstd_attribute_bytes(&frame)) < plain => Self::Zstd(frame),
            _ => Self::Plain(body.to_owned()),
        }
    }

    /// Size of its attribute, the name included.
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
