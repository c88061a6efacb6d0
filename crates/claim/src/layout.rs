//! The layout of a claim: the place of its line in the data lake.

use uuid::Uuid;

use crate::excerpt::Excerpt;
use crate::item::parse_id;
use crate::record::ClaimError;

/// The place of a claim's line in the data lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The line is an object of its own.
    Object,
    /// The line is in a pack.
    Pack(PackRef),
}

/// The pack that a packed claim names. If that pack exists and does not list the claim, the claim's line is in a pack of
/// its own, whose id is the claim id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRef {
    /// Id of the pack.
    pub pack_id: Uuid,
    /// Time in epoch milliseconds after which the invocation that made the claim can no longer close the pack.
    pub close_by_ms: u64,
}

/// Value of `layout` for a claim with an object of its own. An absent attribute means the same.
pub(crate) const OBJECT: &str = "object";

/// Value of the attribute `layout` of a packed claim.
pub const PACK_LAYOUT: &str = "pack";

/// The difference between the names `packed_body` and `body`.
const PACKED_PREFIX: &str = "packed_";

impl Layout {
    /// Reads the attributes `layout`, `pack_id` and `close_by` of a claim's item.
    pub(crate) fn from_attributes(
        layout: Option<&str>,
        pack_id: Option<&str>,
        close_by_ms: Option<u64>,
    ) -> Result<Self, ClaimError> {
        match layout {
            None | Some(OBJECT) => Ok(Self::Object),
            Some(PACK_LAYOUT) => {
                let pack_id = pack_id.ok_or(ClaimError::NoPack("pack_id"))?;
                let close_by_ms = close_by_ms.ok_or(ClaimError::NoPack("close_by"))?;
                Ok(Self::Pack(PackRef { pack_id: parse_id("pack_id", pack_id)?, close_by_ms }))
            }
            Some(layout) => {
                let expected = "object or pack";
                Err(ClaimError::Value { attribute: "layout", value: Excerpt::of(layout), expected })
            }
        }
    }

    /// Returns the value of the attribute `layout`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Object => OBJECT,
            Self::Pack(_) => PACK_LAYOUT,
        }
    }

    /// Returns the pack that a packed claim names; `None` for a claim with an object of its own.
    #[must_use]
    pub fn pack(&self) -> Option<PackRef> {
        match self {
            Self::Object => None,
            Self::Pack(pack) => Some(*pack),
        }
    }

    /// Returns the size in bytes that the layout adds to a claim's item, including the longer name of the body.
    pub(crate) fn bytes(&self) -> usize {
        const PACK_ID: usize = "pack_id".len() + 36;
        // A time in epoch milliseconds has 13 digits until 2286.
        const CLOSE_BY: usize = "close_by".len() + 13_usize.div_ceil(2) + 1;
        let layout = "layout".len() + self.name().len();
        match self {
            Self::Object => layout,
            Self::Pack(_) => layout + PACK_ID + CLOSE_BY + PACKED_PREFIX.len(),
        }
    }
}
