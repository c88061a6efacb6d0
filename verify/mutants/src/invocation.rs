//! Mutants that rewrite the payload, the answer or the log lines of an invocation.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write as _;

use emulator::function::Sandbox;
use lambda_support::LogWriter;
use pipeline::Role;
use serde_json::{Value, json};

use crate::batch::{Batch, LogLine};
use crate::mutant::Mutant;

tokio::task_local! {
    /// The batch of the invocation whose code is running at the moment.
    static BATCH: RefCell<Batch>;
}

/// Returns a log writer that adds each line to the current batch, and then writes the line or the mutant's version of the
/// line to `writer`.
pub(crate) fn log_writer(mutant: Mutant, role: Role, writer: LogWriter) -> LogWriter {
    LogWriter::new(move |text| {
        let mut writer = writer.clone();
        let Ok(line) = serde_json::from_slice::<Value>(text) else { return writer.write_all(text) };
        let rewritten = BATCH.try_with(|batch| {
            let mut batch = batch.borrow_mut();
            batch.add_log_line(&line);
            let is_rewritten = mutant == Mutant::FollowerJudgedByLeader && role == Role::Ingest;
            is_rewritten.then(|| batch.judged_by_leader(&line)).flatten()
        });
        match rewritten {
            Ok(Some(line)) => writer.write_all(format!("{line}\n").as_bytes()),
            Ok(None) | Err(_) => writer.write_all(text),
        }
    })
}

/// Returns a sandbox that passes each invocation to `sandbox`, and applies the mutant to the payload and the answer.
pub(crate) fn sandbox(mutant: Mutant, role: Role, sandbox: Sandbox) -> Sandbox {
    Box::new(move |context, payload| {
        let Ok(mut batch) = serde_json::from_slice::<Value>(&payload) else { return sandbox(context, payload) };
        let payload = if mutant == Mutant::InsertOnly && role == Role::Archive {
            drop_modifications(&mut batch);
            batch.to_string().into_bytes()
        } else {
            payload
        };
        let state = RefCell::new(Batch::from_payload(&batch));
        let work = sandbox(context, payload);
        Box::pin(BATCH.scope(state, async move {
            let answer = work.await?;
            let failed = failed(&answer);
            let reported = BATCH.with(|state| rewrite_failures(mutant, role, &batch, &state.borrow(), failed.clone()));
            Ok(if reported == failed { answer } else { partial_batch_response(&reported) })
        }))
    })
}

fn drop_modifications(batch: &mut Value) {
    if let Some(records) = batch["Records"].as_array_mut() {
        records.retain(|record| record["eventName"] != "MODIFY");
    }
}

/// Returns the identifiers that the mutant reports as failed. `failed` are those that the correct function reported.
fn rewrite_failures(mutant: Mutant, role: Role, payload: &Value, batch: &Batch, failed: Vec<String>) -> Vec<String> {
    let acknowledged: BTreeSet<&str> = match (role, mutant) {
        (Role::Ingest, Mutant::AcknowledgedBeforeWrite) => identifiers(batch.lines_with("failed")),
        (Role::Ingest, Mutant::RejectedAcknowledged) => identifiers(batch.lines_with("rejected")),
        (Role::Ingest, Mutant::SameFollowersAcknowledged) => followers(batch, "failed", true),
        (Role::Ingest, Mutant::OtherFollowersAcknowledged) => followers(batch, "failed", false),
        (Role::Ingest, Mutant::FollowerJudgedByLeader) => followers(batch, "conflict", true),
        (Role::Archive, Mutant::UnusableReported) => {
            let quarantined = identifiers(batch.lines_with("quarantined")).into_iter().map(ToOwned::to_owned);
            return failed.into_iter().chain(quarantined).collect();
        }
        (Role::Archive, Mutant::CheckpointAtHighestFailure) => {
            let position = |id: &String| {
                let records = payload["Records"].as_array()?;
                records.iter().position(|record| record["dynamodb"]["SequenceNumber"].as_str() == Some(id))
            };
            return failed.into_iter().max_by_key(position).into_iter().collect();
        }
        _ => return failed,
    };
    failed.into_iter().filter(|id| !acknowledged.contains(id.as_str())).collect()
}

fn identifiers<'a>(outcomes: impl Iterator<Item = &'a LogLine>) -> BTreeSet<&'a str> {
    outcomes.filter_map(LogLine::identifier).collect()
}

/// Returns the identifiers of the followers with this outcome. If `is_same` is true, includes only followers that have
/// their leader's content. Otherwise, includes only followers whose content differs from their leader's.
fn followers<'a>(batch: &'a Batch, outcome: &'static str, is_same: bool) -> BTreeSet<&'a str> {
    identifiers(batch.lines_with(outcome).filter(|line| batch.has_content_of_leader(line) == Some(is_same)))
}

fn failed(answer: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    failures.filter_map(|failure| failure["itemIdentifier"].as_str().map(ToOwned::to_owned)).collect()
}

fn partial_batch_response(failed: &[String]) -> Vec<u8> {
    let failures: Vec<Value> = failed.iter().map(|id| json!({ "itemIdentifier": id })).collect();
    json!({ "batchItemFailures": failures }).to_string().into_bytes()
}
