//! Behaviors of batched `PartiQL` statements in DynamoDB: one request writes many claims, each with its own outcome.

use std::sync::Arc;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_execute_statement::{BatchExecuteStatementError, BatchExecuteStatementOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, BatchStatementResponse, ReturnValuesOnConditionCheckFailure,
};
use claim::Claim;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, HOUR, Item, claim, get, item, now_seconds, put};
use crate::outcome::{Mismatch, Outcome, expect_eq, response_code, run_concurrently};
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(DynamoDb, "A batched insert stores the same item as a put", batched_insert_stores_same_item_as_put),
        behavior!(
            DynamoDb,
            "A second batched insert of a key fails with `DuplicateItem` and changes nothing",
            repeated_batched_insert_is_duplicate_item
        ),
        behavior!(
            DynamoDb,
            "The error `DuplicateItem` does not contain the current item, even if `ALL_OLD` was requested",
            duplicate_item_never_returns_item
        ),
        behavior!(
            DynamoDb,
            "Of 50 concurrent batched inserts of an event, one wins",
            herd_of_batched_inserts_has_one_winner
        ),
        behavior!(
            DynamoDb,
            "A batched insert over an expired item that still exists fails with `DuplicateItem`",
            insert_over_expired_item_is_duplicate_item
        ),
        behavior!(DynamoDb, "A batched update takes over an expired claim", batched_update_takes_over_expired_claim),
        behavior!(
            DynamoDb,
            "A batched update of a claim that has not expired fails its condition and returns the item",
            batched_update_of_held_claim_returns_item
        ),
        behavior!(
            DynamoDb,
            "A failed statement does not affect the other statements of its batch",
            failed_statement_leaves_others_alone
        ),
        behavior!(
            DynamoDb,
            "A batch of 25 statements is executed; a batch of 26 is rejected",
            batch_limit_is_25_statements
        ),
    ]
}

pub(crate) fn insert(table: &Table, claim: &Claim) -> Result<BatchStatementRequest, Mismatch> {
    let item = item(claim);
    let mut names: Vec<_> = item.keys().cloned().collect();
    names.sort();
    let fields: Vec<_> = names.iter().map(|name| format!("'{name}': ?")).collect();
    let statement = format!("INSERT INTO \"{}\" VALUE {{{}}}", table.name, fields.join(", "));
    let values = names.iter().map(|name| item[name].clone()).collect();
    let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(values));
    Ok(request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).build()?)
}

/// Returns an update that replaces the event's claim in the table with `claim`. The update fails unless the claim in the
/// table has expired at `now`.
fn take_over(table: &Table, claim: &Claim, now: u64) -> Result<BatchStatementRequest, Mismatch> {
    let mut item = item(claim);
    let pk = item.remove("pk").unwrap();
    let sk = item.remove("sk").unwrap();
    let (names, mut values): (Vec<_>, Vec<_>) = item.into_iter().unzip();
    let sets: Vec<_> = names.iter().map(|name| format!("SET \"{name}\" = ?")).collect();
    let statement = format!("UPDATE \"{}\" {} WHERE pk = ? AND sk = ? AND \"ttl\" < ?", table.name, sets.join(" "));
    values.extend([pk, sk, AttributeValue::N(now.to_string())]);
    let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(values));
    Ok(request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).build()?)
}

async fn send(
    stage: &Stage,
    statements: Vec<BatchStatementRequest>,
) -> Result<BatchExecuteStatementOutput, SdkError<BatchExecuteStatementError>> {
    stage.operator.dynamodb.batch_execute_statement().set_statements(Some(statements)).send().await
}

/// Executes `statements`. Returns `done` for each statement that succeeds. For each one that fails, returns the error
/// code, and the item if the error contains it.
pub(crate) async fn outcomes(
    stage: &Stage,
    statements: Vec<BatchStatementRequest>,
) -> Result<Vec<(String, Option<Item>)>, Mismatch> {
    let outcome = |response: BatchStatementResponse| match response.error {
        None => ("done".to_owned(), None),
        Some(error) => (error.code.map_or_else(|| "no code".to_owned(), |code| code.as_str().to_owned()), error.item),
    };
    Ok(send(stage, statements).await?.responses.unwrap_or_default().into_iter().map(outcome).collect())
}

pub(crate) fn done() -> (String, Option<Item>) {
    ("done".to_owned(), None)
}

fn duplicate_item() -> (String, Option<Item>) {
    ("DuplicateItem".to_owned(), None)
}

async fn batched_insert_stores_same_item_as_put(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_id = stage.unique("inserted");
    let claim = claim(&event_id, now_seconds() + HOUR);
    expect_eq("insert", outcomes(&stage, vec![insert(table, &claim)?]).await?, vec![done()])?;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&claim)))
}

async fn repeated_batched_insert_is_duplicate_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_id = stage.unique("inserted-twice");
    let first = claim(&event_id, now_seconds() + HOUR);
    let second = claim(&event_id, now_seconds() + 2 * HOUR);
    outcomes(&stage, vec![insert(table, &first)?]).await?;
    let codes: Vec<_> =
        outcomes(&stage, vec![insert(table, &second)?]).await?.into_iter().map(|(code, _)| code).collect();
    expect_eq("second insert", codes, vec!["DuplicateItem".to_owned()])?;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&first)))
}

/// The error of a failed batched insert does not contain the claim that holds the event. `ingest-fn` therefore sends the
/// conditional put next: the error of that put contains the claim.
async fn duplicate_item_never_returns_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let claim = claim(&stage.unique("insert-no-item"), now_seconds() + HOUR);
    outcomes(&stage, vec![insert(table, &claim)?]).await?;
    expect_eq("second insert", outcomes(&stage, vec![insert(table, &claim)?]).await?, vec![duplicate_item()])
}

async fn herd_of_batched_inserts_has_one_winner(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_ids: Vec<_> = (0..5).map(|_| stage.unique("insert-herd")).collect();
    let batches =
        (0..HERD).map(|_| event_ids.iter().map(|id| insert(table, &claim(id, now_seconds() + HOUR))).collect());
    let batches: Vec<Vec<_>> = batches.collect::<Result<_, _>>()?;
    let mut wins = vec![0; event_ids.len()];
    let sent = run_concurrently(batches.into_iter().map(|batch| {
        let stage = Arc::clone(&stage);
        async move { outcomes(&stage, batch).await }
    }));
    for outcomes in sent.await {
        for (wins, (code, _)) in wins.iter_mut().zip(outcomes?) {
            *wins += u32::from(code == "done");
        }
    }
    expect_eq("winners of each event", wins, vec![1; event_ids.len()])
}

/// Batched inserts alone cannot implement the dedup window, because they cannot replace an expired claim. `ingest-fn`
/// uses the conditional put for that.
async fn insert_over_expired_item_is_duplicate_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("insert-expired");
    // TTL never deletes an item that expired more than five years ago, so this item stays in the table.
    put(&stage, table, &claim(&event_id, 999_999_999), now).await?;
    expect_eq(
        "insert",
        outcomes(&stage, vec![insert(table, &claim(&event_id, now + HOUR))?]).await?,
        vec![duplicate_item()],
    )
}

async fn batched_update_takes_over_expired_claim(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("update");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &expired, now).await?;
    expect_eq("update", outcomes(&stage, vec![take_over(table, &next, now + HOUR + 1)?]).await?, vec![done()])?;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&next)))
}

async fn batched_update_of_held_claim_returns_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("update-held");
    let held = claim(&event_id, now + HOUR);
    put(&stage, table, &held, now).await?;
    let outcome = outcomes(&stage, vec![take_over(table, &claim(&event_id, now + 2 * HOUR), now + HOUR)?]).await?;
    expect_eq("update", outcome, vec![("ConditionalCheckFailed".to_owned(), Some(item(&held)))])?;
    expect_eq("item in the table", get(&stage, table, &event_id).await?, Some(item(&held)))
}

async fn failed_statement_leaves_others_alone(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_ids: Vec<_> = (0..3).map(|_| stage.unique("mixed")).collect();
    outcomes(&stage, vec![insert(table, &claim(&event_ids[1], now + HOUR))?]).await?;
    let batch = event_ids.iter().map(|id| insert(table, &claim(id, now + HOUR))).collect::<Result<_, _>>()?;
    expect_eq("three inserts", outcomes(&stage, batch).await?, vec![done(), duplicate_item(), done()])?;
    for event_id in &event_ids {
        expect_eq("item in the table", get(&stage, table, event_id).await?.is_some(), true)?;
    }
    Ok(())
}

async fn batch_limit_is_25_statements(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let batch = |statements: usize| {
        (0..statements).map(|_| insert(table, &claim(&stage.unique("batch"), now_seconds() + HOUR))).collect()
    };
    let twenty_five: Result<Vec<_>, Mismatch> = batch(25);
    expect_eq("25 inserts", outcomes(&stage, twenty_five?).await?, vec![done(); 25])?;
    let twenty_six: Result<Vec<_>, Mismatch> = batch(26);
    expect_eq("26 inserts", response_code(&send(&stage, twenty_six?).await).as_str(), "ValidationException")
}
