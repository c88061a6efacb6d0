//! The progress of a replay, and the parameters that a later run must share to continue it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::settings::ReplaySettings;

/// The progress of one segment of the scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Position {
    Start,
    /// Read up to the item with this `pk` and `sk`.
    After(String, String),
    Done,
}

/// The settings that a later run must share to continue a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Scope {
    table: String,
    bucket: String,
    object_prefix: String,
    since: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    scope: Scope,
    pub(super) until: DateTime<Utc>,
    pub(super) positions: Vec<Position>,
    /// True if a dry run has compared every partition. The files then hold only claims without an object.
    pub(super) compared: bool,
}

impl Checkpoint {
    /// Returns the checkpoint of a replay that starts now, of the claims made before `until`.
    pub(super) fn new(settings: &ReplaySettings, until: DateTime<Utc>) -> Self {
        Self {
            scope: Scope {
                table: settings.table.clone(),
                bucket: settings.bucket.clone(),
                object_prefix: settings.object_prefix.to_string(),
                since: settings.since,
            },
            until,
            positions: vec![Position::Start; settings.segments.get() as usize],
            compared: false,
        }
    }

    /// Returns true if a replay with these settings can continue from this checkpoint. `fresh` is the checkpoint with
    /// which that replay would otherwise start.
    pub(super) fn can_continue(&self, fresh: &Self, settings: &ReplaySettings) -> bool {
        self.scope == fresh.scope && settings.until.is_none_or(|until| until == self.until)
    }

    /// Describes the replay for messages, as in `the replay of TABLE to s3://BUCKET/PREFIX of claims made before TIME`.
    pub(super) fn describe(&self) -> String {
        let Scope { table, bucket, object_prefix, since } = &self.scope;
        let since = since.map(|since| format!("since {} and ", since.to_rfc3339())).unwrap_or_default();
        format!(
            "the replay of {table} to s3://{bucket}/{object_prefix} of claims made {since}before {}",
            self.until.to_rfc3339()
        )
    }
}
