//! Tests of runs on a queue to which other producers send too.

use std::future::Future;
use std::time::SystemTime;

use emulator::Clock;
use producer::target::Stack;
use tokio::time::{interval, sleep, timeout};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs the command line while another producer sends an invalid message once a minute. `ingest-fn` rejects these
/// messages, so SQS redelivers them, and the queue is never empty.
async fn run_beside_poison_of_others(line: &str) -> RunReport {
    let send_poison = async |services: Arc<Services>| {
        let mut ticks = interval(MINUTE);
        loop {
            ticks.tick().await;
            services.sqs.send(names::QUEUE, "not JSON").unwrap();
        }
    };
    run_beside(line, send_poison).await
}

/// Receives dead letters as they arrive and hides each of them for `time`. Stops receiving after at least `most` dead
/// letters.
async fn hide_dead_letters(services: Arc<Services>, time: Duration, most: usize) {
    let mut hidden = 0;
    while hidden < most {
        let received = services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, Some(time)).await;
        hidden += received.unwrap().len();
        sleep(Duration::from_millis(100)).await;
    }
    std::future::pending::<()>().await;
}

/// Runs the command line on a pipeline with the default settings of a deployed stack, while `others` use its services.
async fn run_beside<Others>(line: &str, others: impl FnOnce(Arc<Services>) -> Others) -> RunReport
where
    Others: Future<Output = ()>,
{
    let args = arguments(line);
    let services = Services::on_clock(Clock::starting_at(SystemTime::now()), 7);
    let function_settings = settings(&args);
    let mut pipeline_settings = PipelineSettings::default();
    pipeline_settings.ingest.log_routine_outcomes = function_settings.log_routine_outcomes;
    pipeline_settings.archive.log_routine_outcomes = function_settings.log_routine_outcomes;
    let _pipeline = Pipeline::start(&services, pipeline_settings, 7);
    let stack = Stack::embedded("events/".to_owned());
    let mut client = PipelineClient::new(&services.sdk_config(), stack);
    client.describe_queue().await.unwrap();
    let progress = Progress::new(true);
    tokio::select! {
        () = others(Arc::clone(&services)) => unreachable!("it never ends"),
        report = timeout(60 * MINUTE, judge(&client, args.chosen_scenario(), &args, &function_settings, &progress)) => {
            report.unwrap().unwrap()
        }
    }
}

/// A run ends when each of its own messages is acknowledged or a dead letter, even if SQS still redelivers rejected
/// messages of other producers.
#[tokio::test(start_paused = true)]
async fn run_does_not_wait_for_messages_of_others() {
    let report = run_beside_poison_of_others("run herd --messages 10 --timeout 1800").await;
    assert_eq!((report.verdict, report.objects), (Verdict::Held, Some(1)), "{report:?}");
    assert!(report.time < 60.0, "{} s", report.time);
}

/// The run does not end before its own rejected messages are dead letters, which takes three receives.
#[tokio::test(start_paused = true)]
async fn own_poison_is_awaited_beside_that_of_others() {
    let report = run_beside_poison_of_others("run poison --messages 10 --timeout 1800").await;
    assert_eq!((report.verdict, report.dead_letters), (Verdict::Held, Some(2)), "{report:?}");
    assert!((500.0..700.0).contains(&report.time), "{} s", report.time);
}

/// A conflict counts as acknowledged if `ingest-fn` does not log it again within the visibility timeout plus the log
/// delay. By then, the log would have shown a redelivery.
#[tokio::test(start_paused = true)]
async fn conflicts_are_settled_beside_messages_of_others() {
    let report = run_beside_poison_of_others("run conflicts --timeout 1800").await;
    assert_eq!((report.verdict, report.objects), (Verdict::Held, Some(10)), "{report:?}");
    assert!(report.time < 300.0, "{} s", report.time);
}

/// If another consumer keeps dead letters hidden, the verdict is inconclusive, not violated.
#[tokio::test(start_paused = true)]
async fn hidden_dead_letters_are_inconclusive() {
    let hide = |services| hide_dead_letters(services, 60 * MINUTE, 2);
    let report = run_beside("run poison --messages 10 --timeout 1800", hide).await;
    assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
    let why = format!("{:?}", report.unreadable);
    assert!(why.contains("other consumers hide messages of the dead-letter queue"), "{why}");
}

/// A run waits for dead letters that another consumer hides only briefly.
#[tokio::test(start_paused = true)]
async fn briefly_hidden_dead_letters_are_awaited() {
    let hide = |services| hide_dead_letters(services, Duration::from_secs(50), 2);
    let report = run_beside("run poison --messages 10 --timeout 1800", hide).await;
    assert_eq!((report.verdict, report.dead_letters), (Verdict::Held, Some(2)), "{report:?}");
}

/// A run reads all messages of a large dead-letter queue, although the first ones become visible again before it has
/// read the last ones.
#[tokio::test(start_paused = true)]
async fn large_dead_letter_queue_is_read() {
    let fill = async |services: Arc<Services>| {
        for number in 0..2_500 {
            services.sqs.send(names::DEAD_LETTER_QUEUE, &format!("old {number}")).unwrap();
        }
        // 250 receives take 25 seconds, and messages stay hidden for 20 seconds.
        let delay = Fault::RequestDelayed(Duration::from_millis(100));
        services.faults.set(move |call| (call.operation == "ReceiveMessage").then_some(delay));
        std::future::pending::<()>().await;
    };
    let report = run_beside("run poison --messages 10 --timeout 1800", fill).await;
    assert_eq!((report.verdict, report.dead_letters), (Verdict::Held, Some(2)), "{report:?}");
}

/// Without log lines about routine outcomes, the run cannot see that its duplicates were acknowledged. If other senders
/// keep the queue from becoming empty, the run ends after the visibility timeout plus the log delay. By then, SQS has
/// redelivered every message that was not acknowledged.
#[tokio::test(start_paused = true)]
async fn run_without_routine_lines_ends_beside_others() {
    let report = run_beside_poison_of_others("run herd --timeout 1800 --log-routine-outcomes false").await;
    assert_eq!((report.verdict, report.objects), (Verdict::Held, Some(1)), "{report:?}");
    assert!((215.0..300.0).contains(&report.time), "{} s", report.time);
}
