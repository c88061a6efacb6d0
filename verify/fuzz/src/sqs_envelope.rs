//! Whole batches of messages, through the handler of `ingest-fn` and an embedded table.

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

/// A message is acknowledged only if it names itself, its body is an event, and the table holds a claim of that event. A
/// message of nothing but its id and an event is acknowledged. Nothing else is claimed. So it is with single writes and with
/// batched ones, which claim the same.
pub fn sqs_envelope(input: &[u8]) {
    let single = claimed_with("single", input);
    assert_eq!(single, claimed_with("batch", input));
}

/// The bodies of the claims by event id, if the input is a batch.
fn claimed_with(writes: &str, input: &[u8]) -> Option<BTreeMap<String, String>> {
    let (Ok(envelope), Ok(again)) =
        (serde_json::from_slice::<Envelope>(input), serde_json::from_slice::<Envelope>(input))
    else {
        return None;
    };
    let (reported, claims) = handled(writes, envelope);

    let mut times_named = BTreeMap::<String, usize>::new();
    let mut messages = Vec::new();
    for record in &again.records {
        // A record that `Value` cannot hold, such as one with 1E400, says nothing here.
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
            let event = event.unwrap_or_else(|| panic!("{body:?} was acknowledged"));
            assert!(!id.is_empty() && claims.contains_key(&event), "{event:?} was acknowledged, and is not claimed");
        } else if *is_bare && event.is_some() && times_named[id] == 1 {
            assert!(id.is_empty() || !reported.contains(id), "{body:?} was reported");
        }
    }
    for (event, body) in &claims {
        let is_its = |(_, sent, _): &(String, String, bool)| sent == body && event_of(sent).as_ref() == Some(event);
        assert!(messages.iter().any(is_its), "{event:?} was claimed, and not sent");
    }
    Some(claims)
}

/// What was reported, and the bodies of the claims by event id.
fn handled(writes: &str, envelope: Envelope) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(async {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let services = Services::on_clock(clock, 1);
        let _ = services.tables.create_claim_table(names::TABLE);
        let look_up = |variable: &str| match variable {
            "TABLE_NAME" => Some(names::TABLE.to_owned()),
            "CLAIM_WRITES" => Some(writes.to_owned()),
            _ => None,
        };
        let config = Config::from_variables(&Variables::new(&look_up)).expect("all has a default");
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        let table = ClaimTable::new(client.clone(), names::TABLE);
        let log = services.logs.writer("log");
        let handler = Handler::new(config, table, log, clock.shared(), Box::new(|| [7; 10]));
        let mut context = Context::default();
        context.deadline = clock.now_ms() + 30_000;

        let Ok(response) = handler.handle(LambdaEvent::new(envelope, context)).await;
        let reported = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier);
        let scan = client.scan().table_name(names::TABLE).send().await.expect("the table answers");
        let claims = scan.items.unwrap_or_default().into_iter().map(|item| {
            let claim = Claim::from_item(item).expect("only claims are put");
            (claim.event_id.clone(), claim.body_text().expect("it decompresses").into_owned())
        });
        (reported.collect(), claims.collect())
    })
}
