//! The table's stream, as the mapping to `archive-fn` reads it.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue as StreamValue, OperationType, Record, ShardIteratorType, StreamRecord,
};
use aws_smithy_types::Blob;
use claim::Claim;
use claim::key::SORT_KEY;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HOUR, Item, claim, now_seconds, put};
use crate::engine::Engine;
use crate::outcome::{Instead, Outcome, eventually, holds, same};
use crate::partiql;
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Streams, "a new claim is an insert with its new image", a_new_claim_is_an_insert_with_its_new_image),
        behavior!(Streams, "a takeover is a modify with its new image", a_takeover_is_a_modify_with_its_new_image),
        behavior!(Streams, "a batched insert is an insert with its new image", a_batched_insert_is_an_insert_with_its_new_image).differs(
            Engine::Ministack,
            r#"records of a batched insert and a takeover: ["MODIFY"], not ["INSERT", "MODIFY"]"#,
            "The other engines and the developer guide are believed: a stream has every modification of an item. ministack's \
             PartiQL writes no records, so that batched claims cannot be archived there.",
        ),
        behavior!(Streams, "a put that changes nothing writes no record", a_put_that_changes_nothing_writes_no_record).differs(
            Engine::Embedded,
            r#"records of three equal puts and another: ["INSERT", "MODIFY", "MODIFY", "MODIFY"], not ["INSERT", "MODIFY"]"#,
            "AWS's own engine and the developer guide are believed. dynoxide writes a record for each put; it is left \
             at that, because no put of ours that succeeds leaves an item as it was (each claim has an id of its own), \
             and a record too many is archived once all the same.",
        ),
        behavior!(Streams, "a failed condition writes no record", a_failed_condition_writes_no_record),
        behavior!(Streams, "a deletion is a remove without a new image", a_deletion_is_a_remove_without_a_new_image),
        behavior!(Streams, "what ttl deletes is a remove by the service", what_ttl_deletes_is_a_remove_by_the_service)
            .differs(
                Engine::DynamoDbLocal,
                r#"records: ["INSERT", "UNKNOWN_TO_SDK_VERSION"], not ["INSERT", "REMOVE"]"#,
                "The developer guide is believed. The mapping's filter passes neither on, since both are without a new \
                 image, and the function skips event names that nobody knows.",
            )
            .not_on(Engine::Ministack, "deletes every minute, and writes no record of it")
            .not_on(Engine::Aws, "deletes within days, which no test waits for"),
        behavior!(Streams, "records of a key come in the order of its writes", records_of_a_key_come_in_the_order_of_its_writes),
        behavior!(Streams, "a shard is read on from after a sequence number", a_shard_is_read_on_from_after_a_sequence_number),
        behavior!(Streams, "a record has its name key sequence number and time", a_record_has_its_name_key_sequence_number_and_time),
        behavior!(Streams, "the image of a claim is the claim", the_image_of_a_claim_is_the_claim),
    ]
}

/// All records of a shard, from one place on: until its end, or until nothing new comes.
async fn read(stage: &Stage, table: &Table, shard: &str, after: Option<&str>) -> Result<Vec<Record>, Instead> {
    let from = if after.is_some() { ShardIteratorType::AfterSequenceNumber } else { ShardIteratorType::TrimHorizon };
    let request = stage.archive.streams.get_shard_iterator().stream_arn(&table.stream_arn).shard_id(shard);
    let request = request.shard_iterator_type(from).set_sequence_number(after.map(str::to_owned));
    let mut records = Vec::new();
    let mut iterator = request.send().await?.shard_iterator;
    let mut empty_pages = 0;
    // An empty page may be followed by one that is not.
    while let Some(position) = iterator
        && empty_pages < 3
    {
        let page = stage.archive.streams.get_records().shard_iterator(position).send().await?;
        let found = page.records.unwrap_or_default();
        empty_pages = if found.is_empty() { empty_pages + 1 } else { 0 };
        records.extend(found);
        iterator = page.next_shard_iterator;
    }
    Ok(records)
}

async fn shards(stage: &Stage, table: &Table) -> Result<Vec<String>, Instead> {
    let stream = stage.archive.streams.describe_stream().stream_arn(&table.stream_arn).send().await?.stream_description;
    let shards = stream.and_then(|stream| stream.shards).unwrap_or_default();
    Ok(shards.into_iter().filter_map(|shard| shard.shard_id).collect())
}

fn image(record: &Record) -> &StreamRecord {
    record.dynamodb.as_ref().expect("a record holds one")
}

fn is_of(record: &Record, event_id: &str) -> bool {
    let pk = image(record).keys.as_ref().and_then(|keys| keys.get("pk"));
    pk == Some(&StreamValue::S(Claim::partition_key(event_id)))
}

/// The records of an event, once there are so many.
async fn records(stage: &Stage, event_id: &str, at_least: usize) -> Result<Vec<Record>, Instead> {
    let table = stage.streamed().await?;
    eventually(&format!("{at_least} records of a key"), async || {
        let mut found = Vec::new();
        for shard in shards(stage, table).await? {
            found.extend(read(stage, table, &shard, None).await?.into_iter().filter(|record| is_of(record, event_id)));
        }
        Ok((found.len() >= at_least).then_some(found))
    })
    .await
}

fn names(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event_name.as_ref().map_or("none", OperationType::as_str)).collect()
}

/// The claims that the new images of records are.
fn claims(records: &[Record]) -> Result<Vec<Claim>, Instead> {
    let claim = |record: &Record| Claim::from_item(item(image(record).new_image.as_ref()));
    Ok(records.iter().map(claim).collect::<Result<_, _>>()?)
}

/// The same item in the types of the table's client. A claim has no other types of attributes; one that had would not be read.
fn item(image: Option<&HashMap<String, StreamValue>>) -> Item {
    let value = |value: &StreamValue| match value {
        StreamValue::S(text) => AttributeValue::S(text.clone()),
        StreamValue::N(number) => AttributeValue::N(number.clone()),
        StreamValue::B(bytes) => AttributeValue::B(Blob::new(bytes.as_ref())),
        _ => AttributeValue::Null(true),
    };
    image.into_iter().flatten().map(|(name, attribute)| (name.clone(), value(attribute))).collect()
}

async fn delete(stage: &Stage, table: &Table, event_id: &str) -> Outcome {
    let request = stage.operator.dynamodb.delete_item().table_name(&table.name);
    let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
    request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
    Ok(())
}

async fn a_new_claim_is_an_insert_with_its_new_image(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("new");
    let claim = claim(&event_id, now + HOUR);
    put(&stage, table, &claim, now).await?;
    let records = records(&stage, &event_id, 1).await?;
    same("records", names(&records), vec!["INSERT"])?;
    same("claims in them", claims(&records)?, vec![claim])
}

/// Whoever writes it: `archive-fn` sees batched claims as it sees single ones.
async fn a_batched_insert_is_an_insert_with_its_new_image(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("batched");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    let outcomes = partiql::outcomes(&stage, vec![partiql::insert(table, &expired)?]).await?;
    same("insert", outcomes, vec![partiql::done()])?;
    // With whose record those before it have come.
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = eventually("a record of the takeover", async || {
        let records = records(&stage, &event_id, 1).await?;
        Ok((claims(&records)?.last() == Some(&next)).then_some(records))
    })
    .await?;
    same("records of a batched insert and a takeover", names(&records), vec!["INSERT", "MODIFY"])?;
    same("claims in them", claims(&records)?, vec![expired, next])
}

/// A mapping that passed INSERT alone would lose this event.
async fn a_takeover_is_a_modify_with_its_new_image(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("takeover");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &expired, now).await?;
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    same("records", names(&records), vec!["INSERT", "MODIFY"])?;
    same("claims in them", claims(&records)?, vec![expired, next])
}

async fn a_put_that_changes_nothing_writes_no_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("nothing");
    let next = claim(&event_id, now + 2 * HOUR);
    let claim = claim(&event_id, now + HOUR);
    for _ in 0..3 {
        // As of a moment at which it has expired, so that the condition holds.
        put(&stage, table, &claim, now + HOUR + 1).await?;
    }
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    same("records of three equal puts and another", names(&records), vec!["INSERT", "MODIFY"])
}

async fn a_failed_condition_writes_no_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("refused");
    let held = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &held, now).await?;
    for _ in 0..3 {
        let refused = put(&stage, table, &next, now).await;
        holds(refused.is_err(), || "the condition held".to_owned())?;
    }
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    same("claims in the stream", claims(&records)?, vec![held, next])
}

/// So the mapping's filter, which looks at the new image, passes it over.
async fn a_deletion_is_a_remove_without_a_new_image(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("deleted");
    put(&stage, table, &claim(&event_id, now + HOUR), now).await?;
    delete(&stage, table, &event_id).await?;
    let records = records(&stage, &event_id, 2).await?;
    same("records", names(&records), vec!["INSERT", "REMOVE"])?;
    same("new image of the last", &image(&records[1]).new_image, &None)
}

/// "Working with expired items" in the developer guide: by `dynamodb.amazonaws.com`, of type `Service`.
async fn what_ttl_deletes_is_a_remove_by_the_service(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("expired");
    put(&stage, table, &claim(&event_id, now - HOUR), now).await?;
    stage.expire();
    let records = records(&stage, &event_id, 2).await?;
    same("records", names(&records), vec!["INSERT", "REMOVE"])?;
    same("new image of the last", &image(&records[1]).new_image, &None)?;
    let by =
        records[1].user_identity.as_ref().and_then(|by| Some((by.r#type.as_deref()?, by.principal_id.as_deref()?)));
    same("deleted by", by, Some(("Service", "dynamodb.amazonaws.com")))
}

async fn records_of_a_key_come_in_the_order_of_its_writes(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("order");
    let written: Vec<_> = (1..=20).map(|hour| claim(&event_id, now + hour * HOUR)).collect();
    for claim in &written {
        put(&stage, table, claim, claim.ttl).await?;
    }
    let records = records(&stage, &event_id, written.len()).await?;
    same("claims in the stream", claims(&records)?, written)?;
    let numbers: Vec<_> = records.iter().map(sequence_number).collect::<Result<_, _>>()?;
    holds(numbers.is_sorted_by(|a, b| a < b), || format!("sequence numbers do not rise: {numbers:?}"))
}

/// Whole numbers, of up to 40 digits.
fn sequence_number(record: &Record) -> Result<u128, Instead> {
    Ok(image(record).sequence_number().unwrap_or_default().parse::<u128>()?)
}

/// How a mapping goes on from its checkpoint.
async fn a_shard_is_read_on_from_after_a_sequence_number(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("checkpoint");
    let written: Vec<_> = (1..=4).map(|hour| claim(&event_id, now + hour * HOUR)).collect();
    for claim in &written {
        put(&stage, table, claim, claim.ttl).await?;
    }
    let all = records(&stage, &event_id, written.len()).await?;
    let checkpoint = image(&all[1]).sequence_number().unwrap_or_default();
    // Which shard it was is not in a record; the others refuse a number that is none of theirs, or give nothing.
    let mut after = Vec::new();
    for shard in shards(&stage, table).await? {
        let rest = read(&stage, table, &shard, Some(checkpoint)).await.unwrap_or_default();
        after.extend(rest.into_iter().filter(|record| is_of(record, &event_id)));
    }
    same("claims after the second", claims(&after)?, written[2..].to_vec())
}

/// The function goes by the name and the image, reports and quarantines by the sequence number, and Lambda gives up by the time.
async fn a_record_has_its_name_key_sequence_number_and_time(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("record");
    put(&stage, table, &claim(&event_id, now + HOUR), now).await?;
    let records = records(&stage, &event_id, 1).await?;
    let record = &records[0];
    sequence_number(record)?;
    holds(record.event_id().is_some_and(|id| !id.is_empty()), || "no event id".to_owned())?;
    same("event source", record.event_source(), Some("aws:dynamodb"))?;
    same("keys", image(record).keys().map(std::collections::HashMap::len), Some(2))?;
    same("view", image(record).stream_view_type().map(|view| view.as_str()), Some("NEW_IMAGE"))?;
    same("old image", &image(record).old_image, &None)?;
    let created = image(record).approximate_creation_date_time().map(|at| at.secs().unsigned_abs());
    // Engines and tests on one machine agree on the time; on AWS, clocks do by a minute.
    holds(created.is_some_and(|at| at.abs_diff(now) < 120), || format!("created at {created:?}, written at {now}"))
}

/// Text, number and bytes, as they were put.
async fn the_image_of_a_claim_is_the_claim(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let odd = format!("{}-ä\u{1F41F}\"\\\u{7f}/ ", stage.unique("image"));
    let claim = Claim { body: claim::Body::Zstd((0..=255).collect()), ..claim(&odd, now + HOUR) };
    put(&stage, table, &claim, now).await?;
    same("claims in the stream", claims(&records(&stage, &odd, 1).await?)?, vec![claim])
}
