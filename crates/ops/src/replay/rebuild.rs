//! Rebuilds the item of a pack from its object. After a point-in-time restore of the table, a pack can be in the lake but
//! not in the table. If such a pack were closed a second time, its claims would be archived twice.

use std::io::{self, BufRead as _, BufReader, Read as _};

use claim::pack::MAX_LINES_BYTES;
use claim::{Pack, PackBuilder, PackError, PackTooLarge};
use flate2::read::MultiGzDecoder;
use uuid::Uuid;

/// An object that is not the object of a pack.
#[derive(Debug, thiserror::Error)]
pub(super) enum RebuildError {
    #[error("the object of pack {0} does not decompress")]
    Decompress(Uuid, #[source] io::Error),
    #[error("the object of pack {0} decompresses to more than {MAX_LINES_BYTES} bytes")]
    TooLong(Uuid),
    #[error("the object of pack {0} is not a pack")]
    Lines(Uuid, #[source] PackError),
    #[error("the object of pack {0} has no lines")]
    Empty(Uuid),
    #[error("the object of pack {0} does not fit into an item")]
    TooLarge(Uuid, #[source] PackTooLarge),
}

/// Builds the item of a pack from the content of its object. `claims_ttl` is the latest `ttl` of the pack's claims. Only one
/// line is decompressed at a time.
pub(super) fn rebuild_pack(pack_id: Uuid, object: &[u8], claims_ttl: u64) -> Result<Pack, RebuildError> {
    let mut text = BufReader::new(MultiGzDecoder::new(object).take(MAX_LINES_BYTES as u64 + 1));
    let mut builder = PackBuilder::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        text.read_until(b'\n', &mut line).map_err(|error| RebuildError::Decompress(pack_id, error))?;
        if text.get_ref().limit() == 0 {
            return Err(RebuildError::TooLong(pack_id));
        }
        if line.is_empty() {
            break;
        }
        builder.push_line(&line, claims_ttl).map_err(|error| RebuildError::Lines(pack_id, error))?;
    }
    if builder.is_empty() {
        return Err(RebuildError::Empty(pack_id));
    }
    builder.finish(pack_id).map_err(|error| RebuildError::TooLarge(pack_id, error))
}
