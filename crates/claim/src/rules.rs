//! The rules that determine a message's event id and digest: the dedup key and the ignored members.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::conflict_ignore::ConflictIgnore;
use crate::dedup_key::{DEFAULT_DEDUP_KEY, DedupKey, KeyKind};
use crate::differences::differences;
use crate::digest::Digest;
use crate::event::{Event, EventError, Target, read_body};
use crate::excerpt::Excerpt;
use crate::key::{MAX_EVENT_ID_BYTES, SORT_KEY};
use crate::pointer::{PointerTree, Role};

/// The rules that determine a message's event id and digest: the settings `DEDUP_KEY` and `CONFLICT_IGNORE` of
/// `ingest-fn`.
#[derive(Clone, Debug)]
pub struct EventRules {
    dedup_key: DedupKey,
    conflict_ignore: ConflictIgnore,
    sort_key: Arc<str>,
    /// The pointers of both settings.
    pointers: PointerTree,
    /// The bytes in each digest that identify the list of ignored members; `None` if nothing is ignored.
    mark: Option<[u8; 4]>,
}

/// An SQS message attribute.
#[derive(Clone, Copy, Debug)]
pub struct MessageAttribute<'a> {
    /// Data type with its optional label, for example `String` or `Number.float`.
    pub data_type: &'a str,
    /// Value of an attribute whose type is `String` or `Number`; `None` for `Binary`.
    pub string_value: Option<&'a str>,
}

impl EventRules {
    /// Combines the settings. `conflict_ignore` must have been parsed with this `dedup_key`.
    #[must_use]
    pub fn new(dedup_key: DedupKey, conflict_ignore: ConflictIgnore) -> Self {
        let parts = dedup_key.pointers().iter().enumerate().map(|(index, part)| (part, Role::KeyPart(index)));
        let ignored = conflict_ignore.pointers().iter().map(|pointer| (pointer, Role::Ignored));
        let pointers = PointerTree::new(parts.chain(ignored));
        let sort_key = sort_key(&dedup_key, &conflict_ignore).into();
        let mark = conflict_ignore.mark();
        Self { dedup_key, conflict_ignore, sort_key, pointers, mark }
    }

    /// Returns the dedup key.
    #[must_use]
    pub fn dedup_key(&self) -> &DedupKey {
        &self.dedup_key
    }

    /// Returns the ignored members.
    #[must_use]
    pub fn conflict_ignore(&self) -> &ConflictIgnore {
        &self.conflict_ignore
    }

    /// Returns the sort key of the claims that are made under these rules: `CLAIM` for the default dedup key, and
    /// `CLAIM#<tag>` for every other. The tag consists of the first eight hex digits of the SHA-256 of the dedup key's
    /// text. For `content`, the hash also covers a newline and the list of the ignored members, because this list
    /// changes the event ids.
    #[must_use]
    pub fn sort_key(&self) -> &Arc<str> {
        &self.sort_key
    }

    /// Parses a message's body and determines its event id and its digest. `attribute` is the message attribute that
    /// the dedup key names, if the message has it.
    ///
    /// # Errors
    /// Fails if the body breaks the rules in the documentation of the module [`event`](crate::event), or if the message
    /// has no usable event id.
    pub fn event(&self, body: &str, attribute: Option<MessageAttribute<'_>>) -> Result<Event, EventError> {
        let (canonical, parts) = read_body(body, &self.pointers, self.dedup_key.pointers().len())?;
        let digest = Digest::of_canonical(self.mark, &canonical);
        let id = match &self.dedup_key.kind {
            KeyKind::Pointer(_) | KeyKind::Pointers(_) => self.id_from_parts(parts)?,
            KeyKind::Attribute(name) => id_from_attribute(name, attribute)?,
            KeyKind::Content => format!("sha256:{}", digest.hash_hex()),
        };
        if id.len() > MAX_EVENT_ID_BYTES {
            return Err(EventError::IdTooLong { key: self.dedup_key.to_string(), bytes: id.len() });
        }
        Ok(Event { id, sort_key: Arc::clone(&self.sort_key), digest })
    }

    /// Computes the digest of a body, which does not need an event id.
    ///
    /// # Errors
    /// Fails if the body breaks the rules in the documentation of the module [`event`](crate::event).
    pub fn digest(&self, body: &str) -> Result<Digest, EventError> {
        self.canonical(body).map(|canonical| Digest::of_canonical(self.mark, &canonical))
    }

    /// Returns true if `digest` can be compared with the digests that these rules make. Both must have the same version
    /// and the same list of ignored members.
    #[must_use]
    pub fn can_compare(&self, digest: &Digest) -> bool {
        digest.mark() == self.mark
    }

    /// Returns JSON Pointers to the places in which two bodies differ, apart from the ignored members. For a member or
    /// an item that exists in only one body, returns its own pointer but not the pointers of the values inside it.
    /// Returns at most [`MAX_DIFFERENCES`] pointers, each cut to its first [`MAX_DIFFERENCE_CHARS`] characters. Members
    /// are sorted by the UTF-8 of their names, and array items by their index.
    ///
    /// Needs memory for about two canonical forms.
    ///
    /// # Errors
    /// Fails if one of the bodies breaks the rules in the documentation of the module [`event`](crate::event).
    ///
    /// [`MAX_DIFFERENCES`]: crate::MAX_DIFFERENCES
    /// [`MAX_DIFFERENCE_CHARS`]: crate::MAX_DIFFERENCE_CHARS
    pub fn differences(&self, body: &str, other: &str) -> Result<Vec<String>, EventError> {
        Ok(differences(&self.canonical(body)?, &self.canonical(other)?))
    }

    fn canonical(&self, body: &str) -> Result<Vec<u8>, EventError> {
        read_body(body, &self.pointers, self.dedup_key.pointers().len()).map(|(canonical, _)| canonical)
    }

    fn id_from_parts(&self, parts: Vec<Target>) -> Result<String, EventError> {
        let mut texts = Vec::with_capacity(parts.len());
        for (part, pointer) in parts.into_iter().zip(self.dedup_key.pointers()) {
            match part {
                Target::Missing => return Err(EventError::NoKey { pointer: pointer.to_string() }),
                Target::Other(found) => return Err(EventError::KeyKind { pointer: pointer.to_string(), found }),
                Target::Text(text) => texts.push(text),
            }
        }
        Ok(match &self.dedup_key.kind {
            KeyKind::Pointers(_) => serde_json::to_string(&texts).expect("strings can always be encoded"),
            _ => texts.pop().expect("a pointer has one value"),
        })
    }
}

/// The rules with the dedup key `/event_id` and without ignored members.
impl Default for EventRules {
    fn default() -> Self {
        let dedup_key = DedupKey::parse(DEFAULT_DEDUP_KEY).expect("the default is a JSON Pointer");
        Self::new(dedup_key, ConflictIgnore::none())
    }
}

fn id_from_attribute(name: &str, attribute: Option<MessageAttribute<'_>>) -> Result<String, EventError> {
    let name = || name.to_owned();
    let MessageAttribute { data_type, string_value } =
        attribute.ok_or_else(|| EventError::NoAttribute { name: name() })?;
    let (kind, _) = data_type.split_once('.').unwrap_or((data_type, ""));
    match string_value {
        Some(value) if matches!(kind, "String" | "Number") => {
            if value.is_empty() {
                Err(EventError::EmptyAttribute { name: name() })
            } else {
                Ok(value.to_owned())
            }
        }
        _ => Err(EventError::AttributeKind { name: name(), data_type: Excerpt::of(data_type) }),
    }
}

fn sort_key(dedup_key: &DedupKey, conflict_ignore: &ConflictIgnore) -> String {
    let text = dedup_key.to_string();
    if text == DEFAULT_DEDUP_KEY {
        return SORT_KEY.to_owned();
    }
    let tagged = if dedup_key.is_content() { format!("{text}\n{conflict_ignore}") } else { text };
    let hash = Sha256::digest(tagged);
    format!("{SORT_KEY}#{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
}
