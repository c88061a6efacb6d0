//! The properties of `ingest-fn`'s handler. The emulator provides the table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use claim::Claim;
use emulator::{Clock, Services};
use ingest_fn::{ClaimTable, Config, Handler};
use lambda_runtime::{Context, LambdaEvent};
use lambda_support::{Envelope, Variables};
use pipeline::names;
use serde_json::Value;

use crate::json::Json;

/// Handles the input as a batch of messages. Checks that a message is acknowledged only if it has an id, its body is an
/// event, and the table contains a claim of that event. A message with a unique id, an event as its body and no other
/// field must not be reported as failed, unless the whole batch is. Only events from the batch may be claimed. The
/// handler must claim the same events with either value of `CLAIM_WRITES`.
pub fn sqs_envelope(input: &[u8]) {
    let single = check_batch("single", input);
    assert_eq!(single, check_batch("batch", input));
}

/// Handles the input with `CLAIM_WRITES` set to `writes`, and checks the outcome. Returns the bodies of the claims by
/// event id. Returns `None` if the input is not a batch of messages, or if `Value` cannot represent one of its records.
fn check_batch(writes: &str, input: &[u8]) -> Option<BTreeMap<String, String>> {
    let (Ok(envelope), Ok(again)) =
        (serde_json::from_slice::<Envelope>(input), serde_json::from_slice::<Envelope>(input))
    else {
        return None;
    };
    let (reported, claims) = handle(writes, envelope);

    let mut times_named = BTreeMap::<String, usize>::new();
    let mut messages = Vec::new();
    for record in &again.records {
        // Skip the input if `serde_json::Value` cannot represent a record, for example because it contains the number 1E400.
        let Ok(value) = serde_json::from_str::<Value>(record.get()) else { return None };
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let is_bare =
            value.as_object().is_some_and(|members| members.len() == 2 && Json::read(record.get(), 128).is_some());
        *times_named.entry(text("messageId")).or_default() += 1;
        messages.push((text("messageId"), text("body"), is_bare));
    }
    let event_of = |body: &str| Json::read(body, 128)?.member("event_id")?.as_event_id().map(str::to_owned);

    assert!(reported.iter().all(|id| id.is_empty() || times_named.contains_key(id)), "{reported:?}");
    for (id, body, is_bare) in &messages {
        let event = event_of(body);
        let acknowledged = !reported.contains(id) && !reported.contains("");
        if acknowledged {
            let event = event.unwrap_or_else(|| panic!("{body:?} was acknowledged but is not an event"));
            assert!(!id.is_empty() && claims.contains_key(&event), "{event:?} was acknowledged but not claimed");
        } else if *is_bare && event.is_some() && times_named[id] == 1 {
            assert!(id.is_empty() || !reported.contains(id), "{body:?} was reported as failed");
        }
    }
    for (event, body) in &claims {
        let has_claimed_body =
            |(_, sent, _): &(String, String, bool)| sent == body && event_of(sent).as_ref() == Some(event);
        assert!(messages.iter().any(has_claimed_body), "{event:?} was claimed but not sent");
    }
    Some(claims)
}

/// Runs the handler on a batch. Returns the ids of the messages that it reports as failed, and the bodies of the claims by
/// event id.
fn handle(writes: &str, envelope: Envelope) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let services = Services::on_clock(clock, 1);
        let _ = services.tables.create_claim_table(names::TABLE);
        let look_up = |variable: &str| match variable {
            "TABLE_NAME" => Some(names::TABLE.to_owned()),
            "CLAIM_WRITES" => Some(writes.to_owned()),
            _ => None,
        };
        let config = Config::from_variables(&Variables::new(&look_up)).expect("every other variable has a default");
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        let table = ClaimTable::new(client.clone(), names::TABLE, config.rules.clone());
        let log = services.logs.writer("log");
        let handler = Handler::new(config, table, log, clock.shared(), Box::new(|| [7; 10]));
        let mut context = Context::default();
        context.deadline = clock.now_ms() + 30_000;

        let Ok(response) = handler.handle(LambdaEvent::new(envelope, context)).await;
        let reported = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier);
        let scan = client.scan().table_name(names::TABLE).send().await.expect("the emulator answers");
        let claims = scan.items.unwrap_or_default().into_iter().map(|item| {
            let claim = Claim::from_item(item).expect("the handler writes only claims");
            (claim.event_id.clone(), claim.body_text().expect("the body decompresses").into_owned())
        });
        (reported.collect(), claims.collect())
    })
}
