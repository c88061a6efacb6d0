//! The rules that turn the messages of a world into events. The simulation computes ids and sort keys with its own
//! code, so that it can find a mistake in the crate `claim`.

use fastrand::Rng;
use sha2::{Digest as _, Sha256};

/// The settings of a world that decide which messages belong to one event, and what the functions log.
#[derive(Clone, Debug)]
pub struct EventRules {
    pub key: DedupKey,
    /// The lists of ignored members, each as the value of `CONFLICT_IGNORE`. Each sandbox of `ingest-fn` uses one of
    /// them, as during the deployment of a new list.
    pub lists: Vec<&'static str>,
    /// True if some sandboxes run the previous version of `ingest-fn`, as during a deployment or a roll-back.
    pub has_old_version: bool,
    /// `LOG_ROUTINE_OUTCOMES`.
    pub log_routine_outcomes: bool,
}

/// `DEDUP_KEY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupKey {
    /// A JSON Pointer: `/event_id` or `/detail/id`.
    Pointer(&'static str),
    /// Two JSON Pointers: `/source` and `/detail/id`.
    Composite,
    /// The message attribute `event`.
    Attribute,
    Content,
}

const NOTHING: &str = "[]";
const SENT_AT: &str = r#"["/sent_at"]"#;
const SENT_AT_AND_TRACE: &str = r#"["/sent_at","/trace/id"]"#;

impl EventRules {
    /// Returns rules with a JSON Pointer as the dedup key, and the defaults of the other settings.
    #[must_use]
    pub fn with_pointer(pointer: &'static str) -> Self {
        Self {
            key: DedupKey::Pointer(pointer),
            lists: vec![NOTHING],
            has_old_version: false,
            log_routine_outcomes: true,
        }
    }

    /// Chooses random rules. In half of all cases, returns the same rules as [`with_pointer`](Self::with_pointer).
    #[must_use]
    pub fn random(random: &mut Rng, pointer: &'static str) -> Self {
        let mut rules = Self::with_pointer(pointer);
        if random.bool() {
            return rules;
        }
        rules.key = match random.u8(..6) {
            0 | 1 => DedupKey::Composite,
            2 => DedupKey::Attribute,
            3 => DedupKey::Content,
            _ => rules.key,
        };
        rules.lists = match random.u8(..5) {
            0 => vec![NOTHING],
            1 => vec![SENT_AT_AND_TRACE],
            2 => vec![SENT_AT],
            3 => vec![SENT_AT_AND_TRACE, SENT_AT],
            _ => vec![SENT_AT_AND_TRACE, NOTHING],
        };
        if rules.key == DedupKey::Content {
            // Another list would be another key space.
            rules.lists.truncate(1);
        }
        // The previous version supports only JSON Pointers as the dedup key. With any key other than the default, it
        // would use another sort key.
        if rules.key == DedupKey::Pointer("/event_id") && random.bool() {
            rules.has_old_version = true;
            rules.lists.push(NOTHING);
        }
        rules.log_routine_outcomes = random.u8(..4) > 0;
        rules
    }

    /// Returns true if every sandbox ignores the member at `pointer`, which is `/sent_at` or `/trace/id`.
    #[must_use]
    pub fn is_ignored(&self, pointer: &str) -> bool {
        self.lists.iter().all(|list| list.contains(pointer))
    }

    /// Returns the sort key of all claims of the world.
    #[must_use]
    pub fn sort_key(&self) -> String {
        let setting = self.key.setting();
        let tagged = match self.key {
            DedupKey::Pointer("/event_id") => return "CLAIM".to_owned(),
            DedupKey::Content => format!("{setting}\n{}", self.lists[0]),
            _ => setting.to_owned(),
        };
        format!("CLAIM#{}", &sha256_hex(&tagged)[..8])
    }
}

impl DedupKey {
    /// Returns the value of `DEDUP_KEY`.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Pointer(pointer) => pointer,
            Self::Composite => r#"["/source","/detail/id"]"#,
            Self::Attribute => "attribute:event",
            Self::Content => "content",
        }
    }
}

pub(crate) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
