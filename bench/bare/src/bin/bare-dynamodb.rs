//! Writes each message as an item, with up to ten `PutItem` requests at once. This is the baseline for `ingest-fn`.
//! With `BARE_WRITES=execute`, the function sends one `BatchExecuteStatement` for up to 25 messages instead.

use std::env;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};
use bare_fn::{Batch, all_done};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

/// Maximum number of statements in a `BatchExecuteStatement` request, from the API reference.
const MAX_STATEMENTS: usize = 25;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let table = env::var("TABLE_NAME")?;
    let execute = env::var("BARE_WRITES").is_ok_and(|writes| writes == "execute");
    let client = Client::new(&lambda_support::function::sdk_config().await);
    let (client, table) = (&client, table.as_str());
    lambda_runtime::run(service_fn(|event: LambdaEvent<Batch>| async move {
        if execute { insert(client, table, event.payload).await } else { put(client, table, event.payload).await }
    }))
    .await
}

async fn put(client: &Client, table: &str, batch: Batch) -> Result<Value, Error> {
    stream::iter(batch.records)
        .map(|message| {
            client
                .put_item()
                .table_name(table)
                .item("pk", AttributeValue::S(message.message_id))
                .item("sk", AttributeValue::S("CLAIM".to_owned()))
                .item("body", AttributeValue::S(message.body))
                .send()
        })
        .buffer_unordered(10)
        .try_for_each(async |_| Ok(()))
        .await?;
    Ok(all_done())
}

async fn insert(client: &Client, table: &str, batch: Batch) -> Result<Value, Error> {
    let statement = format!(r#"INSERT INTO "{table}" VALUE {{'pk':?,'sk':'CLAIM','body':?}}"#);
    let statements = batch.records.into_iter().map(|message| {
        BatchStatementRequest::builder()
            .statement(&statement)
            .parameters(AttributeValue::S(message.message_id))
            .parameters(AttributeValue::S(message.body))
            .build()
    });
    let statements = statements.collect::<Result<Vec<_>, _>>()?;
    for statements in statements.chunks(MAX_STATEMENTS) {
        let response = client.batch_execute_statement().set_statements(Some(statements.to_vec())).send().await?;
        if let Some(error) = response.responses().iter().find_map(|response| response.error()) {
            return Err(format!("{error:?}").into());
        }
    }
    Ok(all_done())
}
