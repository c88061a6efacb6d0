//! DynamoDB with Streams. The `dynoxide` emulator does the work; this module adds the pipeline's table of claims and a
//! meter.

mod metered;

use std::sync::Arc;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, GetRecordsResponse};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_tables::ListTablesRequest;
use dynoxide::actions::update_time_to_live::UpdateTimeToLiveRequest;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::dynamodb::metered::{batch_execute_statement, get_item, put_item};
use crate::meter::Meter;

/// The path for which `SQLite` creates a private temporary database. It creates the file once the database outgrows the
/// page cache, and deletes it at once or, on Windows, when the process ends.
const TEMPORARY_DATABASE: &str = "";

/// The place where the emulated DynamoDB stores its items and stream records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableStorage {
    /// In memory. A claim with a body of 250 bytes needs about 1.8 KB, and its stream record is included.
    #[default]
    Memory,
    /// In a temporary file, beyond the first 2 MB. Writes need about a quarter more CPU time. The operating system deletes
    /// the file when the process ends.
    TemporaryFile,
}

/// An error that prevents the creation of the database for the tables.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// `dynoxide` cannot create the database.
    #[error(transparent)]
    Database(#[from] DynoxideError),
    /// `SQLite` cannot create the indexes.
    #[error(transparent)]
    Index(#[from] rusqlite::Error),
}

/// All DynamoDB tables of the emulated region, and their streams.
pub struct Tables {
    pub(crate) database: Database,
    pub(crate) meter: Meter,
}

impl Tables {
    /// Creates an emulated DynamoDB without tables, on a clock that the test controls. Each write reads all records of
    /// the stream, so use this for at most a few thousand records.
    ///
    /// # Panics
    /// Panics if `SQLite` cannot open an in-memory database.
    #[must_use]
    pub fn on_clock(clock: Clock) -> Self {
        let database = Database::memory_with_clock(Arc::new(clock)).expect("a database in memory can be opened");
        Self { database, meter: Meter::default() }
    }

    /// Creates an emulated DynamoDB without tables, on the machine's clock. It indexes the stream's records, so writes
    /// stay fast however many records there are.
    ///
    /// # Errors
    /// Fails if `SQLite` cannot create the database or the indexes on the stream's records.
    pub fn on_real_clock(storage: TableStorage) -> Result<Self, TablesError> {
        // The unique name lets a second connection open the same in-memory database.
        let name = format!("file:claims-{:016x}?mode=memory&cache=shared", fastrand::u64(..));
        let mut database = Database::new(&name)?;
        // dynoxide looks up the stream's highest sequence number on every write. Without an index it reads every record.
        rusqlite::Connection::open(&name)?.execute_batch(
            "CREATE INDEX stream_order ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
             CREATE INDEX shard_order ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));",
        )?;
        if storage == TableStorage::TemporaryFile {
            // No second connection can open a temporary database, so it gets the indexes as a copy of this one.
            let temporary = Database::new(TEMPORARY_DATABASE)?;
            temporary.restore_from(&name)?;
            database = temporary;
        }
        Ok(Self { database, meter: Meter::default() })
    }

    /// Creates the table of claims as Terraform does: keys `pk` and `sk`, on-demand capacity, TTL on `ttl`, and a
    /// stream of new images. Returns the stream's ARN.
    ///
    /// # Panics
    /// Panics if the table already exists.
    #[must_use]
    pub fn create_claim_table(&self, name: &str) -> String {
        let create: CreateTableRequest = serde_json::from_value(json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "sk", "AttributeType": "S" },
            ],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" },
                { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        }))
        .expect("the request is well formed");
        let ttl: UpdateTimeToLiveRequest = serde_json::from_value(json!({
            "TableName": name,
            "TimeToLiveSpecification": { "AttributeName": "ttl", "Enabled": true },
        }))
        .expect("the request is well formed");
        let table = self.database.create_table(create).expect("the table is new").table_description;
        self.database.update_time_to_live(ttl).expect("the table is there");
        table.latest_stream_arn.expect("the table has a stream")
    }

    /// Deletes all expired items now. The real DynamoDB takes up to a few days for this. The stream gets a REMOVE
    /// record for each deleted item. Returns the number of deleted items.
    ///
    /// # Panics
    /// Panics if the database fails.
    #[must_use]
    pub fn sweep_ttl(&self) -> usize {
        self.database.sweep_ttl().expect("the database in memory answers")
    }

    /// Returns the sequence number and the new image of every record of a stream, the oldest first. Unlike DynamoDB,
    /// dynoxide keeps all records forever.
    ///
    /// # Panics
    /// Panics if the stream does not exist.
    #[must_use]
    pub fn stream_records(&self, stream_arn: &str) -> Vec<(String, Option<Value>)> {
        let describe = DescribeStreamRequest { stream_arn: stream_arn.to_owned(), ..DescribeStreamRequest::default() };
        let stream = self.database.describe_stream(describe).expect("the stream is there").stream_description;
        let mut records = Vec::new();
        for shard in stream.shards {
            let from_the_start = GetShardIteratorRequest {
                stream_arn: stream_arn.to_owned(),
                shard_id: shard.shard_id,
                shard_iterator_type: "TRIM_HORIZON".to_owned(),
                sequence_number: None,
            };
            let iterator = self.database.get_shard_iterator(from_the_start).expect("the shard is there");
            let mut next = iterator.shard_iterator;
            while let Some(shard_iterator) = next {
                let page = GetRecordsRequest { shard_iterator, limit: None };
                let page = self.database.get_records(page).expect("the iterator is dynoxide's own");
                next = page.next_shard_iterator.filter(|_| !page.records.is_empty());
                records.extend(page.records.into_iter().map(|record| {
                    let image = record.dynamodb.new_image;
                    let image = image.map(|image| serde_json::to_value(image).expect("an item is JSON"));
                    (record.dynamodb.sequence_number, image)
                }));
            }
        }
        records
    }

    /// Returns the number of items in all tables, and their size in bytes as DynamoDB counts it.
    pub(crate) fn size(&self) -> (u64, u64) {
        let tables = self.database.list_tables(ListTablesRequest::default()).expect("the database answers").table_names;
        let mut items = 0;
        let mut bytes = 0;
        for table_name in tables {
            let request = DescribeTableRequest { table_name };
            let table = self.database.describe_table(request).expect("the table was listed").table;
            items += u64::try_from(table.item_count.unwrap_or_default()).unwrap_or_default();
            bytes += u64::try_from(table.table_size_bytes.unwrap_or_default()).unwrap_or_default();
        }
        (items, bytes)
    }

    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let db = &self.database;
        let answer = match operation {
            "PutItem" => call(body, |request| put_item(&self.meter, db, request)),
            "GetItem" => call(body, |request| get_item(&self.meter, db, request)),
            "UpdateItem" => call(body, |request| db.update_item(request)),
            "DeleteItem" => call(body, |request| db.delete_item(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "Query" => call(body, |request| db.query(request)),
            "Scan" => call(body, |request| db.scan(request)),
            "DescribeTable" => call(body, |request| db.describe_table(request)),
            "ListTables" => call(body, |request| db.list_tables(request)),
            "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
            "BatchExecuteStatement" => call(body, |request| batch_execute_statement(&self.meter, db, request)),
            // Requests to the Streams API have another `x-amz-target` prefix. The prefix can be ignored, because no
            // operation of one API has the name of an operation of the other.
            "ListStreams" => call(body, |request| db.list_streams(request)),
            "DescribeStream" => call(body, |request| db.describe_stream(request)),
            "GetShardIterator" => call(body, |request| db.get_shard_iterator(request)),
            "GetRecords" => call(body, |request| db.get_records(request).map(|answer| with_api_field_names(&answer))),
            _ => Err(DynoxideError::ValidationException(format!("the emulator does not support {operation}"))),
        };
        match answer {
            Ok(answer) => (200, answer),
            Err(error) => (error.status_code(), error.to_json().into_bytes()),
        }
    }
}

/// Renames the fields of `userIdentity` to `Type` and `PrincipalId`, as the real `GetRecords` names them. dynoxide
/// names them `type` and `principalId`, as in the records that Lambda delivers.
fn with_api_field_names(answer: &GetRecordsResponse) -> serde_json::Value {
    let mut answer = json!(answer);
    for record in answer["Records"].as_array_mut().into_iter().flatten() {
        if let Some(identity) = record.get_mut("userIdentity") {
            *identity = json!({ "Type": identity["type"], "PrincipalId": identity["principalId"] });
        }
    }
    answer
}

fn call<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let malformed = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let answer = operation(serde_json::from_slice(body).map_err(malformed)?)?;
    serde_json::to_vec(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the indexes, the time of a write would grow with the number of stream records.
    #[test]
    fn stream_records_are_indexed() {
        for storage in [TableStorage::Memory, TableStorage::TemporaryFile] {
            let tables = Tables::on_real_clock(storage).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("copy.db");
            tables.database.vacuum_into(copy.to_str().unwrap()).unwrap();
            let query = "SELECT count(*) FROM sqlite_master WHERE name IN ('stream_order', 'shard_order')";
            let copy = rusqlite::Connection::open(copy).unwrap();
            let indexes: i64 = copy.query_row(query, [], |row| row.get(0)).unwrap();
            assert_eq!(indexes, 2, "{storage:?}");
        }
    }

    /// The file has no name any more, so nothing is left even if the process is killed.
    #[cfg(target_os = "linux")]
    #[test]
    fn large_table_continues_in_a_deleted_file() {
        let tables = Tables::on_real_clock(TableStorage::TemporaryFile).unwrap();
        let _stream = tables.create_claim_table("claims");
        for number in 0..40 {
            let body = "x".repeat(99_999);
            let item = json!({ "pk": { "S": number.to_string() }, "sk": { "S": "CLAIM" }, "body": { "S": body } });
            let put = json!({ "TableName": "claims", "Item": item });
            assert_eq!(tables.answer("PutItem", put.to_string().as_bytes()).0, 200);
        }
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        // The name that SQLite gives to its temporary files.
        let is_deleted = |file: &std::path::PathBuf| {
            file.to_string_lossy().ends_with(" (deleted)") && file.to_string_lossy().contains("etilqs_")
        };
        assert!(open.filter(is_deleted).count() > 0);
    }
}
