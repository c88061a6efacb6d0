//! The function's variables.

use std::num::NonZeroUsize;
use std::time::Duration;

use claim::EventIdPointer;
use lambda_support::{VariableError, Variables};

/// A message that waits out the dead-letter queue's 14 days, counted from its first enqueue, and then a day in the queue
/// after its redrive still meets its claim: 14 + 1 days, and one to spare.
const DEFAULT_WINDOW_SECONDS: &str = "1382400";

/// A century: what `ttl` can be added up to without a second thought.
const MAX_WINDOW_SECONDS: u64 = 100 * 366 * 86_400;

/// An entry takes about 150 bytes: ten thousand are 1.5 MB of a 128 MB function.
const DEFAULT_CACHE_ENTRIES: &str = "10000";

/// A million entries would be all of a 128 MB function's memory.
const MAX_CACHE_ENTRIES: usize = 1_000_000;

/// What becomes of a message whose event was claimed with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The first content counts: acknowledged, with both digests in the log.
    Acknowledge,
    /// Reported as failed, so that it reaches the dead-letter queue by its receives.
    DeadLetter,
}

/// How claims are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimWrites {
    /// Each by a conditional `PutItem`.
    Single,
    /// Those of a batch by `BatchExecuteStatement` first, and what that leaves open by a conditional `PutItem` each. Cheaper for
    /// new events, and dearer for duplicates, which take two requests.
    Batch,
}

/// What the function is told by its variables.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`.
    pub table_name: String,
    /// `DEDUP_WINDOW_SECONDS`: how long a claim holds.
    pub window: Duration,
    /// `EVENT_ID_POINTER`: where a body's event id stands.
    pub event_id_pointer: EventIdPointer,
    /// `ON_CONFLICT`.
    pub on_conflict: OnConflict,
    /// `CLAIM_CACHE_ENTRIES`; `None` if it is 0, which switches the cache off.
    pub claim_cache_entries: Option<NonZeroUsize>,
    /// `CLAIM_WRITES`.
    pub claim_writes: ClaimWrites,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets: the metrics' dimension.
    pub function_name: String,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// When one is missing or malformed; the error names it.
    pub fn from_variables(variables: &Variables<'_>) -> Result<Self, VariableError> {
        let window = variables.number("DEDUP_WINDOW_SECONDS", DEFAULT_WINDOW_SECONDS, 1..=MAX_WINDOW_SECONDS)?;
        let entries = variables.number("CLAIM_CACHE_ENTRIES", DEFAULT_CACHE_ENTRIES, 0..=MAX_CACHE_ENTRIES)?;
        let claim_writes = variables.parsed("CLAIM_WRITES", "single", |value| match value {
            "single" => Ok(ClaimWrites::Single),
            "batch" => Ok(ClaimWrites::Batch),
            _ => Err("must be `single` or `batch`"),
        })?;
        let table_name = variables.required("TABLE_NAME")?;
        if claim_writes == ClaimWrites::Batch {
            // It stands in a statement, in quotation marks.
            variables.parsed("TABLE_NAME", "", |value| {
                let is_name = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
                is_name.then_some(()).ok_or("must be a name, and no ARN, with CLAIM_WRITES=batch")
            })?;
        }
        Ok(Self {
            table_name,
            window: Duration::from_secs(window),
            // RFC 6901's empty pointer is the whole body. An event that is nothing but its id is not what is meant; a
            // variable that nobody filled is, and would make every other body a dead letter.
            event_id_pointer: variables.parsed("EVENT_ID_POINTER", "/event_id", |value| match value {
                "" => Err("must not be empty".to_owned()),
                pointer => EventIdPointer::parse(pointer).map_err(|error| error.to_string()),
            })?,
            on_conflict: variables.parsed("ON_CONFLICT", "acknowledge", |value| match value {
                "acknowledge" => Ok(OnConflict::Acknowledge),
                "dead-letter" => Ok(OnConflict::DeadLetter),
                _ => Err("must be `acknowledge` or `dead-letter`"),
            })?,
            claim_cache_entries: NonZeroUsize::new(entries),
            claim_writes,
            function_name: variables.function_name("ingest-fn")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, String> {
        let look_up = |variable: &str| set.iter().find(|(name, _)| *name == variable).map(|(_, v)| (*v).to_owned());
        Config::from_variables(&Variables::new(&look_up)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_is_all_that_must_be_set() {
        let config = read(&[("TABLE_NAME", "claims")]).unwrap();
        assert_eq!(config.window.as_secs(), 16 * 86_400);
        assert_eq!(config.event_id_pointer.to_string(), "/event_id");
        assert_eq!(config.on_conflict, OnConflict::Acknowledge);
        assert_eq!(config.claim_cache_entries.unwrap().get(), 10_000);
        assert_eq!(config.claim_writes, ClaimWrites::Single);
        assert_eq!(read(&[("TABLE_NAME", "t"), ("CLAIM_CACHE_ENTRIES", "0")]).unwrap().claim_cache_entries, None);
    }

    #[test]
    fn each_malformed_variable_is_named() {
        assert_eq!(read(&[]).unwrap_err(), "environment variable TABLE_NAME is missing");
        for (variable, value) in [
            ("DEDUP_WINDOW_SECONDS", "0"),
            ("DEDUP_WINDOW_SECONDS", "two weeks"),
            ("EVENT_ID_POINTER", ""),
            ("EVENT_ID_POINTER", "event_id"),
            ("EVENT_ID_POINTER", "/a~2"),
            ("ON_CONFLICT", "Acknowledge"),
            ("CLAIM_CACHE_ENTRIES", "-1"),
            ("CLAIM_CACHE_ENTRIES", "1000001"),
            ("CLAIM_WRITES", "batched"),
        ] {
            let error = read(&[("TABLE_NAME", "t"), (variable, value)]).unwrap_err();
            assert!(error.starts_with(&format!("environment variable {variable} is {value:?}: ")), "{error}");
        }
    }

    #[test]
    fn a_table_whose_claims_are_batched_is_known_by_its_name() {
        let arn = "arn:aws:dynamodb:sa-east-1:123456789012:table/claims";
        assert_eq!(read(&[("TABLE_NAME", arn)]).unwrap().table_name, arn);
        for table in [arn, "a\" VALUE {}; --", "a b"] {
            let error = read(&[("TABLE_NAME", table), ("CLAIM_WRITES", "batch")]).unwrap_err();
            assert!(error.starts_with(&format!("environment variable TABLE_NAME is {table:?}: ")), "{error}");
        }
        let config = read(&[("TABLE_NAME", "dynamo-locking_1.claims"), ("CLAIM_WRITES", "batch")]).unwrap();
        assert_eq!(config.claim_writes, ClaimWrites::Batch);
    }
}
