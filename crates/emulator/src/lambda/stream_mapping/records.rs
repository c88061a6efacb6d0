//! Reads the records of a stream's shard.

use std::time::{Duration, SystemTime};

use dynoxide::Database;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::errors::DynoxideError;
use serde_json::Value;

use crate::checksum::md5_hex;

/// A stream record in the form that the function receives.
pub(crate) struct Record {
    pub(crate) sequence_number: String,
    pub(crate) created_at: SystemTime,
    pub(crate) json: String,
}

/// Reads at most `limit` records of a shard. Starts after the sequence number `after`, or at the shard's beginning.
/// Returns each record's sequence number, creation time and JSON.
pub(crate) fn read_records(
    database: &Database,
    stream_arn: &str,
    shard: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, SystemTime, Value)>, DynoxideError> {
    let iterator = database.get_shard_iterator(GetShardIteratorRequest {
        stream_arn: stream_arn.to_owned(),
        shard_id: shard.to_owned(),
        shard_iterator_type: if after.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" }.to_owned(),
        sequence_number: after.map(str::to_owned),
    })?;
    let Some(shard_iterator) = iterator.shard_iterator else { return Ok(Vec::new()) };
    let read = database.get_records(GetRecordsRequest { shard_iterator, limit: Some(limit) })?;
    let records = read.records.into_iter().map(|record| {
        let created_at = Duration::from_secs_f64(record.dynamodb.approximate_creation_date_time);
        let sequence_number = record.dynamodb.sequence_number.clone();
        let mut value =
            serde_json::to_value(record).map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
        // dynoxide generates random event ids. This replacement is the same in every run with the same seed, like all
        // other fields.
        value["eventID"] = md5_hex(&sequence_number).into();
        Ok((sequence_number, SystemTime::UNIX_EPOCH + created_at, value))
    });
    records.collect()
}
