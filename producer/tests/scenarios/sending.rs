//! What is sent, and what is said of sends that did not go well.

use std::sync::Mutex;

use producer::events::Plan;

use super::*;

fn planned(line: &str) -> Plan {
    let args = arguments(line);
    Plan::new(args.chosen_scenario(), &args, &pointer(), 1024 * 1024).unwrap()
}

/// What is said of a run while requests go wrong.
async fn with_faults(line: &str, fault: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) -> RunReport {
    let args = arguments(line);
    let mut world = EmbeddedStack::new(&pointer(), args.chosen_scenario(), 7).unwrap();
    // A single message would wait for others.
    world.settings.sqs_mapping.batching_window = Duration::ZERO;
    world.services.faults.set(fault);
    let _pipeline = world.start(7);
    let mut client = PipelineClient::embedded(&world);
    client.describe_queue().await.unwrap();
    judge(&client, args.chosen_scenario(), &args, &pointer(), &Progress::new(true)).await.unwrap()
}

/// What the command says of events in a file, which it need not hold.
fn of_file(lines: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.ndjson");
    std::fs::write(&file, lines).unwrap();
    let mut command = Process::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.args(["--local", "--json", "--file"]).arg(&file).args(arguments).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_same_seed_makes_the_same_messages_and_another_seed_others() {
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

#[tokio::test]
async fn what_is_sent_is_what_the_seed_says_byte_for_byte() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        with_faults("run mixed --messages 60 --seed 5", move |call| {
            if call.operation == "SendMessageBatch" {
                let request: Value = serde_json::from_slice(call.request.body()).unwrap();
                let entries = request["Entries"].as_array().unwrap();
                let bodies = entries.iter().map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
                seen.lock().unwrap().extend(bodies);
            }
            None
        })
        .await;
        // Requests are made in order, and sent at once: which comes first is chance.
        let mut sent = sent.lock().unwrap().clone();
        sent.sort();
        runs.push(sent);
    }
    assert_eq!(runs[0].len(), 60);
    assert!(runs[0] == runs[1]);
}

#[test]
fn another_rate_is_kept_up_for_the_scenarios_minute_unless_the_number_is_said() {
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
fn more_bodies_than_fit_into_memory_are_refused() {
    let refused = |line: &str| {
        let args = arguments(line);
        Plan::new(args.chosen_scenario(), &args, &pointer(), 1024 * 1024).map(drop).unwrap_err().to_string()
    };
    let why = refused("run large --messages 2000000");
    assert!(
        why.starts_with("2000000 bodies of up to 1048576 bytes") && why.ends_with("no more than 1024 will do"),
        "{why}"
    );
    let long = "x".repeat(1_000);
    let why = refused(&format!("run distinct --messages 2000000 --event-id {long}"));
    assert!(why.starts_with("2000000 bodies of up to 1256 bytes"), "{why}");
    // One body, two million times.
    planned(&format!("run herd --messages 100000 --event-id {long}"));
}

#[tokio::test]
async fn a_rate_is_kept_up_for_longer_than_the_timeout_and_all_is_sent() {
    let report = with_faults("run mixed --rate 10 --duration 2 --timeout 1", |_| None).await;
    assert_eq!((report.sent, report.unsent), (20, 0));
    assert!(report.time >= 2.0, "{report:?}");
}

#[tokio::test]
async fn a_run_that_did_not_send_all_is_never_held_and_counts_what_was_sent() {
    let is_first = |call: &Call<'_>| String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-1\\\"");
    let line = "run distinct --messages 20 --batch-size 1 --concurrency 1 --timeout 2";
    let report =
        with_faults(line, move |call| (call.operation == "SendMessage" && !is_first(call)).then_some(Fault::Throttled))
            .await;
    assert!(report.sent == 1 && report.unsent > 0 && report.unconfirmed > 0, "{report:?}");
    assert_eq!(report.events, 1 + report.unconfirmed, "no event counts that was not sent");
    assert!(report.invariants.iter().all(|invariant| invariant.held == Some(true)), "{report:?}");
    assert_eq!(report.verdict, Verdict::Inconclusive);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_ten_messages_of_which_nothing_is_known() {
    let is_first = |call: &Call<'_>| String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-7\\\"");
    let report = with_faults("run distinct --messages 30", move |call| {
        (call.operation == "SendMessageBatch" && is_first(call)).then_some(Fault::AnswerLost)
    })
    .await;
    assert_eq!((report.sent, report.unconfirmed, report.refused, report.events), (20, 10, 0, 30));
    assert_eq!(report.verdict, Verdict::Held, "they may have come, and need not: {report:?}");
}

#[test]
fn what_sqs_refuses_is_recorded_as_refused_in_a_batch_or_alone_and_the_rest_is_sent() {
    // JSON, and yet no character of XML 1.0.
    let lines = "{\"event_id\":\"a\"}\n{\"event_id\":\"b\",\"x\":\"\u{fffe}\"}\n{\"event_id\":\"c\"}\n";
    for batch_size in ["10", "1"] {
        let (code, report) = of_file(lines, &["--batch-size", batch_size]);
        assert_eq!((code, &report["scenario"]), (Some(0), &"file".into()), "{report:#}");
        let numbers = [("sent", 2), ("refused", 1), ("unconfirmed", 0), ("unsent", 0), ("events", 2), ("objects", 2)];
        for (name, number) in numbers {
            assert_eq!(report[name], number, "{batch_size} at a time: {name}: {report:#}");
        }
    }
}
