//! The objects of the data lake that may contain the line of a claim.

use claim::{Layout, ObjectPrefix};
use uuid::Uuid;

/// An object that may contain the line of a claim. Its key follows from the prefix and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The single object of the claim with this id.
    Single(Uuid),
    /// The object of the pack with this id.
    Pack(Uuid),
}

impl Place {
    /// Returns the places in which a claim's line may be. A packed claim's line is in the claim's pack, or in a pack of its
    /// own, whose id is the claim id.
    pub(crate) fn of_claim(claim_id: Uuid, layout: Layout) -> impl Iterator<Item = Self> {
        let places = match layout.pack() {
            None => [Some(Self::Single(claim_id)), None],
            Some(pack) => [Some(Self::Pack(pack.pack_id)), Some(Self::Pack(claim_id))],
        };
        places.into_iter().flatten()
    }

    /// Returns the object's key.
    #[must_use]
    pub fn key(self, prefix: &ObjectPrefix) -> String {
        match self {
            Self::Single(claim_id) => prefix.object_key_of(claim_id),
            Self::Pack(pack_id) => prefix.pack_key(pack_id),
        }
    }

    /// Returns the place with this key; `None` if no claim has such a key.
    pub(crate) fn from_key(prefix: &ObjectPrefix, key: &str) -> Option<Self> {
        let (id, extension) = key.rsplit_once('/')?.1.split_once('.')?;
        let id = id.parse().ok()?;
        let place = if extension == "json" { Self::Single(id) } else { Self::Pack(id) };
        (place.key(prefix) == key).then_some(place)
    }

    /// Returns true for the object of a pack.
    pub(crate) fn is_pack(self) -> bool {
        matches!(self, Self::Pack(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only a key that a claim or a pack has, character by character, is a place.
    #[test]
    fn only_exact_keys_are_places() {
        let prefix = ObjectPrefix::parse("events/").unwrap();
        let id: Uuid = "019aaf66-1d80-7123-8456-0123456789ab".parse().unwrap();
        for place in [Place::Single(id), Place::Pack(id)] {
            let key = place.key(&prefix);
            assert_eq!(Place::from_key(&prefix, &key), Some(place), "{key}");
            for other in
                [key.to_uppercase(), key.replace("events/", "other/"), format!("{key}x"), key.replace("-7123-", "7123")]
            {
                assert_eq!(Place::from_key(&prefix, &other), None, "{other}");
            }
        }
    }
}
