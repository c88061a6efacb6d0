//! Tests of the messages that scenarios send, and of the report when sends fail.

use std::sync::Mutex;

use emulator::dynamodb::TableStorage;
use producer::events::Plan;
use producer::send::{SendSettings, send_all};

use super::*;

fn planned(line: &str) -> Plan {
    let args = arguments(line);
    Plan::new(args.chosen_scenario(), &args, &settings(&args).rules, 1024 * 1024).unwrap()
}

/// Runs a scenario while `fault` makes requests fail, and returns the report.
async fn run_with_faults(line: &str, fault: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) -> RunReport {
    let args = arguments(line);
    let mut stack = EmbeddedStack::new(&settings(&args), args.chosen_scenario(), TableStorage::Memory, 7).unwrap();
    // With a batching window, a single message would wait for others.
    stack.settings.sqs_mapping.batching_window = Duration::ZERO;
    stack.services.faults.set(fault);
    let _pipeline = stack.start(7).unwrap();
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    judge(&client, args.chosen_scenario(), &args, &settings(&args), &Progress::new(true)).await.unwrap()
}

/// Two plans with the same seed have the same messages. Another seed gives other messages.
#[test]
fn seed_determines_the_messages() {
    for name in ["herd", "distinct", "mixed", "conflicts", "poison", "large", "redelivery", "outage", "soak"] {
        let bodies = |seed: u64| -> Vec<Arc<str>> {
            let plan = planned(&format!("run {name} --messages 25 --copies 2 --seed {seed}"));
            plan.messages.into_iter().map(|message| message.body).collect()
        };
        let first = bodies(1);
        assert_eq!(first.len(), 50, "{name}");
        assert!(first == bodies(1), "{name}");
        assert!(first != bodies(2), "{name}");
    }
}

/// Two runs with the same seed send the same bodies, byte for byte.
#[tokio::test]
async fn seed_determines_the_sent_bodies() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        run_with_faults("run mixed --messages 60 --seed 5", move |call| {
            if call.operation == "SendMessageBatch" {
                let request: Value = serde_json::from_slice(call.request.body()).unwrap();
                let entries = request["Entries"].as_array().unwrap();
                let bodies = entries.iter().map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
                seen.lock().unwrap().extend(bodies);
            }
            None
        })
        .await;
        // The requests are concurrent, so their order may differ between the runs.
        let mut sent = sent.lock().unwrap().clone();
        sent.sort();
        runs.push(sent);
    }
    assert_eq!(runs[0].len(), 60);
    assert!(runs[0] == runs[1]);
}

/// In `soak`, the number of messages is the rate times the duration, unless the command line gives the number. In
/// `mixed`, which has no duration by default, `--rate` alone does not change the number of messages.
#[test]
fn rate_and_duration_set_the_number_of_messages() {
    for (line, messages) in [
        ("run soak", 3_000),
        ("run soak --rate 10", 600),
        ("run soak --rate 10 --messages 7", 7),
        ("run soak --rate 10 --duration 2", 20),
        ("run soak --duration 2", 100),
        ("run mixed --rate 10", 1_000),
    ] {
        assert_eq!(planned(line).messages.len(), messages, "{line}");
    }
}

#[test]
fn bodies_beyond_the_memory_limit_are_refused() {
    let refused = |line: &str| {
        let args = arguments(line);
        Plan::new(args.chosen_scenario(), &args, &settings(&args).rules, 1024 * 1024).map(drop).unwrap_err().to_string()
    };
    let why = refused("run large --messages 2000000");
    assert!(
        why.starts_with("2000000 bodies of up to 1048576 bytes") && why.ends_with("send at most 1024 messages"),
        "{why}"
    );
    let long = "x".repeat(1_000);
    let why = refused(&format!("run distinct --messages 2000000 --event-id {long}"));
    assert!(why.starts_with("2000000 bodies of up to 1256 bytes"), "{why}");
    // All messages of a herd share one body in memory.
    planned(&format!("run herd --messages 100000 --event-id {long}"));
}

/// If sending at the given rate takes longer than the timeout, all messages are still sent.
#[tokio::test]
async fn rate_may_take_longer_than_the_timeout() {
    let report = run_with_faults("run mixed --rate 10 --duration 2 --timeout 1", |_| None).await;
    assert_eq!((report.sent, report.unsent), (20, 0));
    assert!(report.time >= 2.0, "{report:?}");
}

/// The verdict of a run that could not send every message is never `held`, and the report does not count the unsent
/// events.
#[tokio::test]
async fn incomplete_run_is_never_held() {
    let is_first = |call: &Call<'_>| String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-1\\\"");
    let line = "run distinct --messages 20 --batch-size 1 --concurrency 1 --timeout 2";
    let report = run_with_faults(line, move |call| {
        (call.operation == "SendMessage" && !is_first(call)).then_some(Fault::Throttled)
    })
    .await;
    assert!(report.sent == 1 && report.unsent > 0 && report.unconfirmed > 0, "{report:?}");
    assert_eq!(report.events, 1 + report.unconfirmed, "unsent events do not count");
    assert!(report.invariants.iter().all(|invariant| invariant.held == Some(true)), "{report:?}");
    assert_eq!(report.verdict, Verdict::Inconclusive);
}

/// If the answer to a batch is lost, all ten of its messages are unconfirmed.
#[tokio::test]
async fn lost_batch_answer_leaves_ten_unconfirmed() {
    let is_first = |call: &Call<'_>| String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-7\\\"");
    let report = run_with_faults("run distinct --messages 30", move |call| {
        (call.operation == "SendMessageBatch" && is_first(call)).then_some(Fault::AnswerLost)
    })
    .await;
    assert_eq!((report.sent, report.unconfirmed, report.refused, report.events), (20, 10, 0, 30));
    assert_eq!(report.verdict, Verdict::Held, "they may or may not have arrived: {report:?}");
}

/// A message that SQS rejects counts as refused, whether it was sent in a batch or alone. The other messages are still
/// sent.
#[tokio::test]
async fn message_refused_by_sqs_is_counted() {
    let args = arguments("run distinct --messages 3");
    let stack = EmbeddedStack::new(&settings(&args), args.chosen_scenario(), TableStorage::Memory, 7).unwrap();
    let _pipeline = stack.start(7).unwrap();
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    for batch_size in [10, 1] {
        let mut plan = planned("run distinct --messages 3");
        // U+FFFE is valid in JSON but not in XML 1.0.
        plan.messages[1].body = "{\"event_id\":\"b\",\"x\":\"\u{fffe}\"}".into();
        let settings = SendSettings { concurrency: 1, batch_size, rate: None, slack: Duration::from_secs(60) };
        let sent = send_all(&client, &plan, settings, &Progress::new(true)).await;
        let refused: Vec<usize> = sent.refused.iter().map(|(index, _)| *index).collect();
        assert_eq!((sent.confirmed.len(), refused, sent.unconfirmed, sent.unsent), (2, vec![1], vec![], 0));
    }
}
