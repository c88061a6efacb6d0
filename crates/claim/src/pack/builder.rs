//! Builds packs.

use std::io::{self, BufWriter, Write};

use uuid::Uuid;
use zstd::zstd_safe::CParameter;

use super::lines::claim_id_of;
use super::{ClaimIds, KEY_PREFIX, MAX_LINES_BYTES, PACK_EXTRA_SECONDS, Pack, PackError, SORT_KEY};
use crate::body::ZSTD_LEVEL;
use crate::object::{check_json, write_line};
use crate::record::{Claim, ClaimError, MAX_ITEM_BYTES};

/// Base-two logarithms of the window and of zstd's two tables. A window of 256 KiB contains hundreds of small events,
/// and the defaults would need four times the memory.
const PARAMETERS: [CParameter; 3] = [CParameter::WindowLog(18), CParameter::HashLog(15), CParameter::ChainLog(15)];

/// The reason why zstd and a vector do not fail.
const ALLOCATED: &str = "memory can be allocated";

/// Builds a pack. Compresses each line as it is added, so the builder does not hold the lines.
pub struct PackBuilder {
    claim_ids: ClaimIds,
    lines: Lines,
    claims_ttl: u64,
}

/// The compressed lines. The buffer saves a call of zstd for each token of a line.
struct Lines {
    frame: BufWriter<zstd::stream::write::Encoder<'static, Vec<u8>>>,
    /// Number of bytes before compression.
    bytes: usize,
}

/// A pack that is too large. With fewer claims, it can be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackTooLarge {
    /// The item does not fit into DynamoDB.
    #[error("the pack item has {item_bytes} bytes, more than the {MAX_ITEM_BYTES} that DynamoDB stores")]
    Item {
        /// Size of the item in bytes, by DynamoDB's rules.
        item_bytes: usize,
    },
    /// The lines are so long that `archive-fn` would refuse to decompress them.
    #[error("the pack's lines have {lines_bytes} bytes, more than {MAX_LINES_BYTES}")]
    Lines {
        /// Length of the lines in bytes.
        lines_bytes: usize,
    },
}

impl PackBuilder {
    /// Returns the builder of a pack without claims.
    ///
    /// # Panics
    /// Panics if memory cannot be allocated.
    #[must_use]
    pub fn new() -> Self {
        let mut frame = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).expect(ALLOCATED);
        for parameter in PARAMETERS {
            frame.set_parameter(parameter).expect("zstd accepts logarithms of 10 to 27");
        }
        let lines = Lines { frame: BufWriter::new(frame), bytes: 0 };
        Self { claim_ids: ClaimIds::default(), lines, claims_ttl: 0 }
    }

    /// Adds a claim and its line.
    ///
    /// # Errors
    /// Fails if the claim has no line. The builder can still be used.
    ///
    /// # Panics
    /// Panics if memory cannot be allocated.
    pub fn push(&mut self, claim: &Claim) -> Result<(), ClaimError> {
        self.push_text(claim, &claim.body_text()?)
    }

    /// Adds a claim as [`PackBuilder::push`] does. `body` is the claim's body as received; the claim itself need not contain
    /// it.
    ///
    /// # Errors
    /// Fails if the body is not JSON. The builder can still be used.
    ///
    /// # Panics
    /// Panics if memory cannot be allocated.
    pub fn push_text(&mut self, claim: &Claim, body: &str) -> Result<(), ClaimError> {
        check_json(body)?;
        write_line(claim, body, &mut self.lines).expect(ALLOCATED);
        self.claim_ids.push(claim.claim_id);
        self.claims_ttl = self.claims_ttl.max(claim.ttl);
        Ok(())
    }

    /// Adds a line of an existing pack, whose claim expires at `ttl`.
    ///
    /// # Errors
    /// Fails if this is not the line of a claim. The builder can still be used.
    ///
    /// # Panics
    /// Panics if memory cannot be allocated.
    pub fn push_line(&mut self, line: &[u8], ttl: u64) -> Result<(), PackError> {
        let claim_id = claim_id_of(line, self.claim_ids.len() + 1)?;
        self.lines.write_all(line).expect(ALLOCATED);
        self.claim_ids.push(claim_id);
        self.claims_ttl = self.claims_ttl.max(ttl);
        Ok(())
    }

    /// Returns the pack with this id.
    ///
    /// # Errors
    /// Fails if the item is too large for DynamoDB, or if the lines exceed [`MAX_LINES_BYTES`].
    ///
    /// # Panics
    /// Panics if memory cannot be allocated.
    pub fn finish(self, pack_id: Uuid) -> Result<Pack, PackTooLarge> {
        let Self { claim_ids, lines: Lines { frame, bytes: lines_bytes }, claims_ttl } = self;
        if lines_bytes > MAX_LINES_BYTES {
            return Err(PackTooLarge::Lines { lines_bytes });
        }
        let frame = frame.into_inner().map_err(io::IntoInnerError::into_error).expect(ALLOCATED);
        let lines_zstd = frame.finish().expect(ALLOCATED);
        let item_bytes = item_bytes(claim_ids.len(), lines_zstd.len());
        if item_bytes > MAX_ITEM_BYTES {
            return Err(PackTooLarge::Item { item_bytes });
        }
        Ok(Pack { pack_id, claim_ids, lines_zstd, ttl: claims_ttl.saturating_add(PACK_EXTRA_SECONDS) })
    }

    /// Returns true if no claim was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claim_ids.is_empty()
    }
}

impl Write for Lines {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.frame.write(part)?;
        self.bytes += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.frame.flush()
    }
}

impl Default for PackBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the size of a pack's item by DynamoDB's rules. `ttl` has ten digits until 2286.
pub(super) fn item_bytes(claims: usize, lines_zstd_bytes: usize) -> usize {
    const KEYS: usize = "pk".len() + KEY_PREFIX.len() + 36 + "sk".len() + SORT_KEY.len();
    const TTL: usize = "ttl".len() + 10 / 2 + 1;
    KEYS + TTL + "claim_ids".len() + 16 * claims + "lines_zstd".len() + lines_zstd_bytes
}
