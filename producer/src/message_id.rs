//! The id of an SQS message.

use std::fmt;

use uuid::Uuid;

/// The id of an SQS message. SQS uses UUIDs, which need a third of the memory of their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    Uuid(Uuid),
    /// An id that is not a UUID, or that is written in another way than a UUID is printed.
    Other(Box<str>),
}

impl From<&str> for MessageId {
    fn from(id: &str) -> Self {
        // Two spellings of a UUID are different ids.
        let uuid = Uuid::try_parse(id).ok().filter(|uuid| uuid.to_string() == id);
        uuid.map_or_else(|| Self::Other(id.into()), Self::Uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Other(id) => f.write_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every id is printed as SQS returned it, so different ids stay different.
    #[test]
    fn id_is_printed_as_it_was_received() {
        let uuid = "0193a1b2-1111-7222-8333-444455556666";
        for id in [uuid, &uuid.to_uppercase(), &uuid.replace('-', ""), "m0", ""] {
            assert_eq!(MessageId::from(id).to_string(), id);
        }
        assert!(matches!(MessageId::from(uuid), MessageId::Uuid(_)));
    }
}
