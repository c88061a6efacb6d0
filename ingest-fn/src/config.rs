//! The function's environment variables.

use std::num::NonZeroUsize;
use std::time::Duration;

use claim::{ConflictIgnore, DEFAULT_DEDUP_KEY, DedupKey, EventRules};
use lambda_support::{VariableError, Variables};

/// 16 days: one day in which the producer may send duplicates, 14 days that a message may spend in the dead-letter queue,
/// counted from its first enqueue, and one day in the queue after a redrive. A duplicate that takes all of this time
/// must still find the claim.
const DEFAULT_WINDOW_SECONDS: &str = "1382400";

/// 100 years, so that adding the window to the current time cannot overflow `ttl`.
const MAX_WINDOW_SECONDS: u64 = 100 * 366 * 86_400;

/// An entry takes about 150 bytes, so ten thousand entries take 1.5 MB of memory. The smallest function has 128 MB.
const DEFAULT_CACHE_ENTRIES: &str = "10000";

/// The default of the Terraform module, and so of its queue. If the number is too low, packs only become smaller.
const DEFAULT_RECEIVES: &str = "3";

/// A million entries take about 150 MB, so a function of 128 MB must have fewer.
const MAX_CACHE_ENTRIES: usize = 1_000_000;

/// The action on a conflict: a message whose event was claimed with another body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Acknowledge the message and log both digests. The claim keeps its body.
    Acknowledge,
    /// Report the message as failed on each receive, until SQS moves it to the dead-letter queue.
    DeadLetter,
}

/// The way in which the function writes claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimWrites {
    /// One conditional `PutItem` per claim.
    Single,
    /// One `BatchExecuteStatement` for many claims, and then a conditional `PutItem` for each claim whose insert was
    /// not confirmed. Batching is cheaper for new events, but more expensive for duplicates that are not cached: each
    /// costs two requests.
    Batch,
}

/// The layout of the data lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LakeLayout {
    /// One object per event.
    Objects,
    /// Packs of many events.
    Packs,
}

/// The function's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`.
    pub table_name: String,
    /// `DEDUP_WINDOW_SECONDS`: the time for which a claim is valid.
    pub window: Duration,
    /// `DEDUP_KEY` and `CONFLICT_IGNORE`.
    pub rules: EventRules,
    /// `ON_CONFLICT`.
    pub on_conflict: OnConflict,
    /// `CLAIM_CACHE_ENTRIES`; `None` if it is 0, which turns the cache off.
    pub claim_cache_entries: Option<NonZeroUsize>,
    /// `CLAIM_WRITES`.
    pub claim_writes: ClaimWrites,
    /// `LAKE_LAYOUT`: the layout of new claims. Claims in the table keep theirs.
    pub lake_layout: LakeLayout,
    /// `MAX_RECEIVE_COUNT`: the number of receives after which the queue moves a message to the dead-letter queue.
    pub max_receive_count: u32,
    /// `LOG_ROUTINE_OUTCOMES`: whether each `won` and each `duplicate` has a log line.
    pub log_routine_outcomes: bool,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets: the value of the metric dimension `FunctionName`.
    pub function_name: String,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// Fails if a variable is missing or malformed. The error names the variable.
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
            // The name becomes part of a PartiQL statement, in quotation marks.
            variables.parsed("TABLE_NAME", "", |value| {
                let is_name = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
                is_name.then_some(()).ok_or("must be a table name, not an ARN, with CLAIM_WRITES=batch")
            })?;
        }
        let dedup_key = variables.parsed("DEDUP_KEY", DEFAULT_DEDUP_KEY, DedupKey::parse)?;
        let conflict_ignore =
            variables.parsed("CONFLICT_IGNORE", "[]", |value| ConflictIgnore::parse(value, &dedup_key))?;
        Ok(Self {
            table_name,
            window: Duration::from_secs(window),
            rules: EventRules::new(dedup_key, conflict_ignore),
            on_conflict: variables.parsed("ON_CONFLICT", "acknowledge", |value| match value {
                "acknowledge" => Ok(OnConflict::Acknowledge),
                "dead-letter" => Ok(OnConflict::DeadLetter),
                _ => Err("must be `acknowledge` or `dead-letter`"),
            })?,
            claim_cache_entries: NonZeroUsize::new(entries),
            claim_writes,
            lake_layout: variables.parsed("LAKE_LAYOUT", "objects", |value| match value {
                "objects" => Ok(LakeLayout::Objects),
                "packs" => Ok(LakeLayout::Packs),
                _ => Err("must be `objects` or `packs`"),
            })?,
            max_receive_count: variables.number("MAX_RECEIVE_COUNT", DEFAULT_RECEIVES, 1..=1_000)?,
            log_routine_outcomes: variables.log_routine_outcomes()?,
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
    fn only_table_name_is_required() {
        let config = read(&[("TABLE_NAME", "claims")]).unwrap();
        assert_eq!(config.window.as_secs(), 16 * 86_400);
        assert_eq!(config.rules.dedup_key().to_string(), "/event_id");
        assert_eq!(config.rules.conflict_ignore().to_string(), "[]");
        assert!(config.log_routine_outcomes);
        assert_eq!(config.on_conflict, OnConflict::Acknowledge);
        assert_eq!(config.claim_cache_entries.unwrap().get(), 10_000);
        assert_eq!(config.claim_writes, ClaimWrites::Single);
        assert_eq!(config.lake_layout, LakeLayout::Objects);
        assert_eq!(config.max_receive_count, 3);
        assert_eq!(read(&[("TABLE_NAME", "t"), ("LAKE_LAYOUT", "packs")]).unwrap().lake_layout, LakeLayout::Packs);
        assert_eq!(read(&[("TABLE_NAME", "t"), ("CLAIM_CACHE_ENTRIES", "0")]).unwrap().claim_cache_entries, None);
        let century = read(&[("TABLE_NAME", "t"), ("DEDUP_WINDOW_SECONDS", "3162240000")]).unwrap();
        assert_eq!(century.window.as_secs(), 3_162_240_000);
    }

    #[test]
    fn malformed_variable_is_named() {
        assert_eq!(read(&[]).unwrap_err(), "environment variable TABLE_NAME is missing");
        for (variable, value) in [
            ("DEDUP_WINDOW_SECONDS", "0"),
            ("DEDUP_WINDOW_SECONDS", "two weeks"),
            ("DEDUP_WINDOW_SECONDS", "3162240001"),
            ("DEDUP_KEY", ""),
            ("DEDUP_KEY", "event_id"),
            ("DEDUP_KEY", "/a~2"),
            ("DEDUP_KEY", r#"["/a"]"#),
            ("CONFLICT_IGNORE", ""),
            ("CONFLICT_IGNORE", "/sent_at"),
            ("CONFLICT_IGNORE", r#"["/event_id"]"#),
            ("LOG_ROUTINE_OUTCOMES", "no"),
            ("ON_CONFLICT", "Acknowledge"),
            ("CLAIM_CACHE_ENTRIES", "-1"),
            ("CLAIM_CACHE_ENTRIES", "1000001"),
            ("CLAIM_WRITES", "batched"),
            ("LAKE_LAYOUT", "pack"),
            ("MAX_RECEIVE_COUNT", "0"),
        ] {
            let error = read(&[("TABLE_NAME", "t"), (variable, value)]).unwrap_err();
            assert!(error.starts_with(&format!("environment variable {variable} is {value:?}: ")), "{error}");
        }
    }

    /// With batched claims, `TABLE_NAME` must be a table name. An ARN is refused, and so is a quotation mark, which
    /// could end the quoted name in the `PartiQL` statement.
    #[test]
    fn batched_claims_require_a_table_name() {
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
