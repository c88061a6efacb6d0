//! The whole pipeline, from the queue to the lake.

use std::time::{Duration, SystemTime};

use local::{Clock, Pipeline, PipelineSettings, Services, names};

#[tokio::test(start_paused = true)]
async fn fifty_identical_messages_become_one_object() {
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let services = Services::on_clock(clock, 7);
    let _pipeline = Pipeline::start(&services, PipelineSettings::default(), 7);
    for _ in 0..50 {
        services.sqs.send(names::QUEUE, r#"{"event_id":"grid_stress_999"}"#).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lake = services.lakes.versions(names::BUCKET);
    assert_eq!(lake.len(), 1);
}
