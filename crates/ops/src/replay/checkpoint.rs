//! The progress of a replay, and the settings that must be the same in a run that continues it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::claim_table::TableIdentity;
use super::settings::ReplaySettings;

/// The progress of one segment of the scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Position {
    Start,
    /// The segment has been read up to the item with this `pk` and `sk`.
    After(String, String),
    Done,
}

/// The state in which the last run left the checkpoint folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RunState {
    /// The run was interrupted, or is still running. The next run continues it.
    Unfinished,
    /// A dry run has compared every partition, and has found claims without an object or unusable items. The next run
    /// with `write` takes them from the folder and does not scan the table.
    ReadyToWrite,
    /// The run is complete. The files contain only the claims and unusable items that it could not archive. The next
    /// run scans the table again, because the table may have new claims.
    Finished,
}

/// The format of the files in the folder. A checkpoint without a format is from a version that skipped all claims
/// except those of the default dedup key, and `EveryDedupKey` is the format of a version without packs. A replay refuses
/// the folder of such a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    Packs,
}

/// The settings, besides `until`, that must be the same in a run that continues a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Scope {
    table: TableIdentity,
    bucket: String,
    object_prefix: String,
    since: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    format: Format,
    scope: Scope,
    pub(super) until: DateTime<Utc>,
    pub(super) positions: Vec<Position>,
    pub(super) state: RunState,
}

impl Checkpoint {
    /// Returns the checkpoint of a new replay, which covers the claims in `table` that were made before `until`.
    pub(super) fn new(table: TableIdentity, settings: &ReplaySettings, until: DateTime<Utc>) -> Self {
        Self {
            format: Format::Packs,
            scope: Scope {
                table,
                bucket: settings.bucket.clone(),
                object_prefix: settings.object_prefix.to_string(),
                since: settings.since,
            },
            until,
            positions: vec![Position::Start; settings.segments.get() as usize],
            state: RunState::Unfinished,
        }
    }

    /// Returns true if a replay with `settings` can use the folder of this checkpoint. `fresh` is a new checkpoint for
    /// the same settings.
    pub(super) fn can_continue(&self, fresh: &Self, settings: &ReplaySettings) -> bool {
        let is_same_until = settings.until.is_none_or(|until| until == self.until);
        self.scope == fresh.scope && (is_same_until || self.state == RunState::Finished)
    }

    /// Describes the replay for messages, as in `the replay of TABLE_ARN (table id ID) to
    /// s3://BUCKET/PREFIX of claims made before TIME`.
    pub(super) fn describe(&self) -> String {
        let Scope { table: TableIdentity { arn, id }, bucket, object_prefix, since } = &self.scope;
        let since = since.map(|since| format!("since {} and ", since.to_rfc3339())).unwrap_or_default();
        let id = id.as_ref().map(|id| format!(" (table id {id})")).unwrap_or_default();
        format!(
            "the replay of {arn}{id} to s3://{bucket}/{object_prefix} of claims made {since}before {}",
            self.until.to_rfc3339()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn checkpoint(arn: &str, id: &str, settings: &ReplaySettings) -> Checkpoint {
        let table = TableIdentity { arn: arn.to_owned(), id: Some(id.to_owned()) };
        Checkpoint::new(table, settings, DateTime::UNIX_EPOCH)
    }

    /// A replay does not continue from the checkpoint of another table of the same name. That table may be in another
    /// region or account, or may be an earlier, deleted table.
    #[test]
    fn checkpoint_belongs_to_one_table() {
        let settings = ReplaySettings::for_test("checkpoint".into());
        let here = checkpoint("arn:aws:dynamodb:sa-east-1:111111111111:table/claims", "1", &settings);
        for (arn, id, expected) in [
            ("arn:aws:dynamodb:sa-east-1:111111111111:table/claims", "1", true),
            ("arn:aws:dynamodb:us-east-1:111111111111:table/claims", "1", false),
            ("arn:aws:dynamodb:sa-east-1:222222222222:table/claims", "1", false),
            ("arn:aws:dynamodb:sa-east-1:111111111111:table/claims", "2", false),
        ] {
            assert_eq!(here.can_continue(&checkpoint(arn, id, &settings), &settings), expected, "{arn} {id}");
        }
    }

    /// A run with another `until` does not continue a replay that has work left. It can use the folder of a finished
    /// replay.
    #[test]
    fn until_may_change_after_a_finished_run() {
        let settings = ReplaySettings::for_test("checkpoint".into());
        let another_lake = ReplaySettings { bucket: "another".to_owned(), ..settings.clone() };
        let same = DateTime::UNIX_EPOCH;
        for (state, until, expected) in [
            (RunState::Unfinished, None, true),
            (RunState::Unfinished, Some(same), true),
            (RunState::Unfinished, Some(same + Duration::from_secs(1)), false),
            (RunState::ReadyToWrite, None, true),
            (RunState::ReadyToWrite, Some(same), true),
            (RunState::ReadyToWrite, Some(same + Duration::from_secs(1)), false),
            (RunState::Finished, None, true),
            (RunState::Finished, Some(same), true),
            (RunState::Finished, Some(same + Duration::from_secs(1)), true),
        ] {
            let found = Checkpoint { state, ..checkpoint("arn", "1", &settings) };
            let settings = ReplaySettings { until, ..settings.clone() };
            assert_eq!(found.can_continue(&found, &settings), expected, "{state:?} {until:?}");
            let another = checkpoint("arn", "1", &another_lake);
            assert!(!found.can_continue(&another, &settings), "{state:?} {until:?}");
        }
    }

    /// The description names everything that must be the same in a run that continues the replay.
    #[test]
    fn description_names_the_scope() {
        let since = Some(DateTime::UNIX_EPOCH - Duration::from_secs(60));
        let settings = ReplaySettings { since, ..ReplaySettings::for_test("checkpoint".into()) };
        assert_eq!(
            checkpoint("arn:aws:dynamodb:sa-east-1:111111111111:table/claims", "1", &settings).describe(),
            "the replay of arn:aws:dynamodb:sa-east-1:111111111111:table/claims (table id 1) to s3://lake/events/ of claims \
             made since 1969-12-31T23:59:00+00:00 and before 1970-01-01T00:00:00+00:00"
        );
    }
}
