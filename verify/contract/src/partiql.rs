//! `PartiQL`'s batches: many claims in one request, each with its own outcome.

use std::sync::Arc;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_execute_statement::{BatchExecuteStatementError, BatchExecuteStatementOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, BatchStatementResponse, ReturnValuesOnConditionCheckFailure,
};
use claim::Claim;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, HOUR, Item, claim, get, item, now_seconds, put};
use crate::outcome::{Instead, Outcome, answer, at_once, same};
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(
            DynamoDb,
            "a batched insert stores an item as a put does",
            a_batched_insert_stores_an_item_as_a_put_does
        ),
        behavior!(
            DynamoDb,
            "a second batched insert of a key is a duplicate item and changes nothing",
            a_second_batched_insert_of_a_key_is_a_duplicate_item_and_changes_nothing
        ),
        behavior!(
            DynamoDb,
            "a duplicate item does not tell the item even if all old is asked",
            a_duplicate_item_does_not_tell_the_item_even_if_all_old_is_asked
        ),
        behavior!(DynamoDb, "of a herd of batched inserts one wins", of_a_herd_of_batched_inserts_one_wins),
        behavior!(
            DynamoDb,
            "an insert over an expired item that is still there is a duplicate item",
            an_insert_over_an_expired_item_that_is_still_there_is_a_duplicate_item
        ),
        behavior!(
            DynamoDb,
            "a batched update takes an expired claim over",
            a_batched_update_takes_an_expired_claim_over
        ),
        behavior!(
            DynamoDb,
            "a batched update of a claim that holds fails its condition and tells the item",
            a_batched_update_of_a_claim_that_holds_fails_its_condition_and_tells_the_item
        ),
        behavior!(
            DynamoDb,
            "a failing statement does not affect the others",
            a_failing_statement_does_not_affect_the_others
        ),
        behavior!(
            DynamoDb,
            "a batch of 25 statements is done and one of 26 is refused",
            a_batch_of_25_statements_is_done_and_one_of_26_is_refused
        ),
    ]
}

pub(crate) fn insert(table: &Table, claim: &Claim) -> Result<BatchStatementRequest, Instead> {
    let item = item(claim);
    let mut names: Vec<_> = item.keys().cloned().collect();
    names.sort();
    let fields: Vec<_> = names.iter().map(|name| format!("'{name}': ?")).collect();
    let statement = format!("INSERT INTO \"{}\" VALUE {{{}}}", table.name, fields.join(", "));
    let values = names.iter().map(|name| item[name].clone()).collect();
    let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(values));
    Ok(request.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).build()?)
}

/// Sets everything but the key, if the claim's time is over.
fn take_over(table: &Table, claim: &Claim, now: u64) -> Result<BatchStatementRequest, Instead> {
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

/// What became of each statement: `done`, or the code of its error; and the item that the error tells.
pub(crate) async fn outcomes(
    stage: &Stage,
    statements: Vec<BatchStatementRequest>,
) -> Result<Vec<(String, Option<Item>)>, Instead> {
    let outcome = |response: BatchStatementResponse| match response.error {
        None => ("done".to_owned(), None),
        Some(error) => {
            (error.code.map_or_else(|| "without a code".to_owned(), |code| code.as_str().to_owned()), error.item)
        }
    };
    Ok(send(stage, statements).await?.responses.unwrap_or_default().into_iter().map(outcome).collect())
}

pub(crate) fn done() -> (String, Option<Item>) {
    ("done".to_owned(), None)
}

fn duplicate_item() -> (String, Option<Item>) {
    ("DuplicateItem".to_owned(), None)
}

async fn a_batched_insert_stores_an_item_as_a_put_does(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_id = stage.unique("inserted");
    let claim = claim(&event_id, now_seconds() + HOUR);
    same("insert", outcomes(&stage, vec![insert(table, &claim)?]).await?, vec![done()])?;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&claim)))
}

async fn a_second_batched_insert_of_a_key_is_a_duplicate_item_and_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_id = stage.unique("inserted-twice");
    let first = claim(&event_id, now_seconds() + HOUR);
    let second = claim(&event_id, now_seconds() + 2 * HOUR);
    outcomes(&stage, vec![insert(table, &first)?]).await?;
    let codes: Vec<_> =
        outcomes(&stage, vec![insert(table, &second)?]).await?.into_iter().map(|(code, _)| code).collect();
    same("second insert", codes, vec!["DuplicateItem".to_owned()])?;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&first)))
}

/// So whoever loses by a batched insert must ask the table who holds the event.
async fn a_duplicate_item_does_not_tell_the_item_even_if_all_old_is_asked(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let claim = claim(&stage.unique("insert-untold"), now_seconds() + HOUR);
    outcomes(&stage, vec![insert(table, &claim)?]).await?;
    same("second insert", outcomes(&stage, vec![insert(table, &claim)?]).await?, vec![duplicate_item()])
}

async fn of_a_herd_of_batched_inserts_one_wins(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let event_ids: Vec<_> = (0..5).map(|_| stage.unique("insert-herd")).collect();
    let batches =
        (0..HERD).map(|_| event_ids.iter().map(|id| insert(table, &claim(id, now_seconds() + HOUR))).collect());
    let batches: Vec<Vec<_>> = batches.collect::<Result<_, _>>()?;
    let mut wins = vec![0; event_ids.len()];
    let sent = at_once(batches.into_iter().map(|batch| {
        let stage = Arc::clone(&stage);
        async move { outcomes(&stage, batch).await }
    }));
    for outcomes in sent.await {
        for (wins, (code, _)) in wins.iter_mut().zip(outcomes?) {
            *wins += u32::from(code == "done");
        }
    }
    same("winners of each event", wins, vec![1; event_ids.len()])
}

/// A batched insert alone cannot keep the dedup window: what has expired needs the conditional put.
async fn an_insert_over_an_expired_item_that_is_still_there_is_a_duplicate_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("insert-expired");
    // TTL never deletes what expired more than five years ago.
    put(&stage, table, &claim(&event_id, 999_999_999), now).await?;
    same("insert", outcomes(&stage, vec![insert(table, &claim(&event_id, now + HOUR))?]).await?, vec![duplicate_item()])
}

async fn a_batched_update_takes_an_expired_claim_over(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("update");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &expired, now).await?;
    same("update", outcomes(&stage, vec![take_over(table, &next, now + HOUR + 1)?]).await?, vec![done()])?;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&next)))
}

async fn a_batched_update_of_a_claim_that_holds_fails_its_condition_and_tells_the_item(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_id = stage.unique("update-held");
    let held = claim(&event_id, now + HOUR);
    put(&stage, table, &held, now).await?;
    let outcome = outcomes(&stage, vec![take_over(table, &claim(&event_id, now + 2 * HOUR), now + HOUR)?]).await?;
    same("update", outcome, vec![("ConditionalCheckFailed".to_owned(), Some(item(&held)))])?;
    same("item in the table", get(&stage, table, &event_id).await?, Some(item(&held)))
}

async fn a_failing_statement_does_not_affect_the_others(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let now = now_seconds();
    let event_ids: Vec<_> = (0..3).map(|_| stage.unique("mixed")).collect();
    outcomes(&stage, vec![insert(table, &claim(&event_ids[1], now + HOUR))?]).await?;
    let batch = event_ids.iter().map(|id| insert(table, &claim(id, now + HOUR))).collect::<Result<_, _>>()?;
    same("three inserts", outcomes(&stage, batch).await?, vec![done(), duplicate_item(), done()])?;
    for event_id in &event_ids {
        same("item in the table", get(&stage, table, event_id).await?.is_some(), true)?;
    }
    Ok(())
}

async fn a_batch_of_25_statements_is_done_and_one_of_26_is_refused(stage: Arc<Stage>) -> Outcome {
    let table = stage.claims().await?;
    let batch = |statements: usize| {
        (0..statements).map(|_| insert(table, &claim(&stage.unique("batch"), now_seconds() + HOUR))).collect()
    };
    let twenty_five: Result<Vec<_>, Instead> = batch(25);
    same("25 inserts", outcomes(&stage, twenty_five?).await?, vec![done(); 25])?;
    let twenty_six: Result<Vec<_>, Instead> = batch(26);
    same("26 inserts", answer(&send(&stage, twenty_six?).await).as_str(), "ValidationException")
}
