//! How far a replay is, and what it is a replay of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::settings::ReplaySettings;

/// How far a segment of the scan is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Position {
    Start,
    /// `pk` and `sk` of the last item that was read.
    After(String, String),
    Done,
}

/// What a replay is of: it cannot go on as another.
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
    /// A dry run has been through all of it: what the files hold is what is missing.
    pub(super) compared: bool,
}

impl Checkpoint {
    /// Begins with the claims made before `until`.
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

    /// Whether a replay with these settings, which would begin as `other`, can go on from here.
    pub(super) fn can_continue(&self, other: &Self, settings: &ReplaySettings) -> bool {
        self.scope == other.scope && settings.until.is_none_or(|until| until == self.until)
    }

    pub(super) fn describe(&self) -> String {
        let Scope { table, bucket, object_prefix, since } = &self.scope;
        let since = since.map(|since| format!(" since {}", since.to_rfc3339())).unwrap_or_default();
        format!(
            "the replay of {table} to s3://{bucket}/{object_prefix} of claims{since} until {}",
            self.until.to_rfc3339()
        )
    }
}
