//! DynamoDB with Streams: the `dynoxide` emulator, with the one table that the pipeline has.

mod metered_writes;

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
use crate::dynamodb::metered_writes::{batch_execute_statement, put_item};
use crate::meter::Meter;

/// All tables of a region, and their streams.
pub struct Tables {
    pub(crate) database: Database,
    pub(crate) meter: Meter,
}

impl Tables {
    /// On a clock that tests control. A write takes the longer, the more records the stream holds: for some thousands.
    ///
    /// # Panics
    /// If `SQLite` cannot open a database in memory.
    #[must_use]
    pub fn on_clock(clock: Clock) -> Self {
        let database = Database::memory_with_clock(Arc::new(clock)).expect("a database in memory can be opened");
        Self { database, meter: Meter::default() }
    }

    /// On the real clock, for any number of records.
    ///
    /// # Errors
    /// When `SQLite` refuses the index.
    ///
    /// # Panics
    /// If `SQLite` cannot open a database in memory.
    pub fn on_real_clock() -> Result<Self, rusqlite::Error> {
        // A name of its own, under which a second connection finds the same memory.
        let name = format!("file:claims-{:016x}?mode=memory&cache=shared", fastrand::u64(..));
        let database = Database::new(&name).expect("a database in memory can be opened");
        // dynoxide looks for the stream's highest sequence number on every write, and without an index reads all of it.
        rusqlite::Connection::open(&name)?.execute_batch(
            "CREATE INDEX stream_order ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
             CREATE INDEX shard_order ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));",
        )?;
        Ok(Self { database, meter: Meter::default() })
    }

    /// The table of claims as Terraform makes it: keys `pk` and `sk`, on demand, TTL on `ttl`, a stream of new images. Gives
    /// the stream's ARN.
    ///
    /// # Panics
    /// If the table is there already.
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

    /// Deletes what has expired, as DynamoDB does within days; the stream shows each as a REMOVE. Gives their number.
    ///
    /// # Panics
    /// If the database fails.
    #[must_use]
    pub fn sweep_ttl(&self) -> usize {
        self.database.sweep_ttl().expect("the database in memory answers")
    }

    /// The sequence number and new image of every record of a stream, the oldest first. dynoxide keeps them for good.
    ///
    /// # Panics
    /// If there is no such stream.
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

    /// Items and bytes of all tables, as DynamoDB counts them.
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
            "GetItem" => call(body, |request| db.get_item(request)),
            "UpdateItem" => call(body, |request| db.update_item(request)),
            "DeleteItem" => call(body, |request| db.delete_item(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "Query" => call(body, |request| db.query(request)),
            "Scan" => call(body, |request| db.scan(request)),
            "DescribeTable" => call(body, |request| db.describe_table(request)),
            "ListTables" => call(body, |request| db.list_tables(request)),
            "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
            "BatchExecuteStatement" => call(body, |request| batch_execute_statement(&self.meter, db, request)),
            // Of the stream's own API, whose operations have names of their own.
            "ListStreams" => call(body, |request| db.list_streams(request)),
            "DescribeStream" => call(body, |request| db.describe_stream(request)),
            "GetShardIterator" => call(body, |request| db.get_shard_iterator(request)),
            "GetRecords" => call(body, |request| db.get_records(request).map(|answer| in_the_apis_words(&answer))),
            _ => Err(DynoxideError::ValidationException(format!("{operation} is not embedded"))),
        };
        match answer {
            Ok(answer) => (200, answer),
            Err(error) => (error.status_code(), error.to_json().into_bytes()),
        }
    }
}

/// Lambda hands a record on with `type` and `principalId` of whoever deleted the item, and so does dynoxide. The stream's
/// own API capitalises them.
fn in_the_apis_words(answer: &GetRecordsResponse) -> serde_json::Value {
    let mut answer = json!(answer);
    for record in answer["Records"].as_array_mut().into_iter().flatten() {
        if let Some(by) = record.get_mut("userIdentity") {
            *by = json!({ "Type": by["type"], "PrincipalId": by["principalId"] });
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
