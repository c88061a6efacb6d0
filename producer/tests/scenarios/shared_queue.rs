//! Tests of runs on a queue to which other producers send too.

use std::time::SystemTime;

use emulator::{Clock, queue_url};
use pipeline::PipelineSettings;
use producer::target::Stack;
use tokio::time::{interval, timeout};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs the command line on a pipeline with the settings of a deployed one. Meanwhile, another producer sends a message every
/// minute that `ingest-fn` rejects, so the queue is never empty.
async fn run_beside_poison_of_others(line: &str) -> RunReport {
    let args = arguments(line);
    let services = Services::on_clock(Clock::starting_at(SystemTime::now()), 7);
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 7);
    let stack = Stack {
        queue_url: queue_url(names::QUEUE),
        table: Some(names::TABLE.to_owned()),
        bucket: Some(names::BUCKET.to_owned()),
        object_prefix: "events/".to_owned(),
        ingest_log_group: Some(names::log_group(names::INGEST_FUNCTION)),
        archive_log_group: Some(names::log_group(names::ARCHIVE_FUNCTION)),
        dlq_url: Some(queue_url(names::DEAD_LETTER_QUEUE)),
        on_failure_url: None,
        event_id_pointer: None,
    };
    let mut client = PipelineClient::new(&services.sdk_config(), stack);
    client.describe_queue().await.unwrap();
    let others = async {
        let mut ticks = interval(MINUTE);
        loop {
            ticks.tick().await;
            services.sqs.send(names::QUEUE, "not JSON").unwrap();
        }
    };
    let (pointer, progress) = (pointer(), Progress::new(true));
    tokio::select! {
        () = others => unreachable!("it never ends"),
        report = timeout(60 * MINUTE, judge(&client, args.chosen_scenario(), &args, &pointer, &progress)) => {
            report.unwrap().unwrap()
        }
    }
}

/// A run ends when its own messages are settled, even if SQS still redelivers rejected messages of other producers.
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

/// A conflict is settled once the time has passed after which the queue would have redelivered it.
#[tokio::test(start_paused = true)]
async fn conflicts_are_settled_beside_messages_of_others() {
    let report = run_beside_poison_of_others("run conflicts --timeout 1800").await;
    assert_eq!((report.verdict, report.objects), (Verdict::Held, Some(10)), "{report:?}");
    assert!(report.time < 300.0, "{} s", report.time);
}
