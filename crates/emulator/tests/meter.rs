//! The meter counts billable units by the rules of AWS's pricing pages. Each test checks one rule.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnValuesOnConditionCheckFailure};
use emulator::{Clock, Services, queue_url};

const TABLE: &str = "claims";
const BUCKET: &str = "lake";
const QUEUE: &str = "queue";

fn services() -> Arc<Services> {
    let services =
        Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)), 1);
    let _ = services.tables.create_claim_table(TABLE);
    services.lakes.create_bucket(BUCKET);
    services.sqs.create_queue(
        QUEUE,
        emulator::sqs::QueueSettings {
            visibility_timeout: Duration::from_secs(30),
            retention: Duration::from_secs(86_400),
            redrive: None,
        },
    );
    services
}

/// Puts an item with `pk` = `id` and a body of `bytes` bytes. Returns true if the item is new.
async fn put(services: &Arc<Services>, id: &str, bytes: usize) -> bool {
    let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let put = client.put_item().table_name(TABLE).item("pk", AttributeValue::S(id.to_owned()));
    put.item("sk", AttributeValue::S("CLAIM".to_owned()))
        .item("body", AttributeValue::S("x".repeat(bytes)))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn claim_costs_a_unit_per_started_kb() {
    for (bytes, units) in [(10, 1), (1_000, 1), (1_024, 2), (5_000, 5)] {
        let services = services();
        assert!(put(&services, "a", bytes).await);
        let usage = services.usage();
        assert_eq!((usage.write_request_units, usage.write_request_units_refused), (units, 0), "{bytes}");
        // The sizes, in order: `pk` and its value, `sk` and its value, `body` and its value.
        assert_eq!((usage.table_items, usage.table_bytes), (1, 2 + 1 + 2 + 5 + 4 + bytes as u64));
    }
}

/// A refused claim costs as many units as the larger of the existing item and the new item.
#[tokio::test(start_paused = true)]
async fn refused_claim_costs_the_larger_item() {
    for (old, new, units) in [(10, 5_000, 5), (5_000, 10, 5), (10, 10, 1)] {
        let services = services();
        assert!(put(&services, "a", old).await);
        let written = services.usage().write_request_units;
        assert!(!put(&services, "a", new).await);
        let usage = services.usage();
        assert_eq!((usage.write_request_units, usage.write_request_units_refused), (written, units));
    }
}

/// Each statement of a batch costs its own units, even if DynamoDB refuses it.
#[tokio::test(start_paused = true)]
async fn each_statement_of_a_batch_costs_its_units() {
    let services = services();
    let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let insert = |id: &str, bytes| {
        BatchStatementRequest::builder()
            .statement(format!(r#"INSERT INTO "{TABLE}" VALUE {{'pk':?,'sk':'CLAIM','body':?}}"#))
            .parameters(AttributeValue::S(id.to_owned()))
            .parameters(AttributeValue::S("x".repeat(bytes)))
            .build()
            .unwrap()
    };
    for (ids, written, refused) in [(["a", "b"], 1 + 3, 0), (["a", "c"], 3, 1), (["a", "c"], 0, 1 + 3)] {
        let before = services.usage();
        let statements = vec![insert(ids[0], 10), insert(ids[1], 3_000)];
        client.batch_execute_statement().set_statements(Some(statements)).send().await.unwrap();
        let usage = services.usage();
        assert_eq!(usage.write_request_units - before.write_request_units, written, "{ids:?}");
        assert_eq!(usage.write_request_units_refused - before.write_request_units_refused, refused, "{ids:?}");
    }
    assert_eq!(services.usage().table_items, 3);
}

#[tokio::test(start_paused = true)]
async fn refused_object_counts_as_a_put() {
    let services = services();
    let client = aws_sdk_s3::Client::new(&services.sdk_config());
    for written in [true, false] {
        let put = client.put_object().bucket(BUCKET).key("k").if_none_match("*");
        assert_eq!(put.body(b"12345".to_vec().into()).send().await.is_ok(), written);
    }
    let usage = services.usage();
    assert_eq!((usage.s3_puts, usage.s3_puts_refused, usage.lake_bytes), (1, 1, 5));
}

#[tokio::test(start_paused = true)]
async fn message_is_a_request_per_started_64_kb() {
    let services = services();
    let client = aws_sdk_sqs::Client::new(&services.sdk_config());
    let send = |body| client.send_message().queue_url(queue_url(QUEUE)).message_body(body).send();
    for (body, requests) in [("x".repeat(10), 1), ("x".repeat(100 * 1024), 2), ("x".repeat(250 * 1024), 4)] {
        let before = services.usage().sqs_sends;
        send(body).await.unwrap();
        assert_eq!(services.usage().sqs_sends - before, requests);
    }
    // Only the body is billed, not the JSON around it.
    let before = services.usage().sqs_sends;
    send("\"".repeat(64 * 1024)).await.unwrap();
    assert_eq!(services.usage().sqs_sends - before, 1);
}
