//! Micro-benchmarks of the work for one message, without any service: `cargo bench -p bench`.
//!
//! The benchmarks cover parsing a body (pointer look-up, strictness check and digest in one pass), creating a claim,
//! converting the claim to an item and back, and building the line of an object. The last benchmark runs a whole batch
//! through the handler of `ingest-fn`, including planning and logging. The handler's cache already contains every event, so
//! the handler sends no request.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::{Duration, SystemTime};

use bench::traffic::{Relation, Size, Source, Traffic};
use claim::{Claim, EventRules, SourceMessage, object};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lambda_runtime::{Context, LambdaEvent};

fn main() {
    divan::main();
}

const SIZES: [Size; 2] = Size::ALL;

fn body(size: Size) -> String {
    size.body("grid_stress_00000000")
}

fn claim(body: &str) -> Claim {
    let event = EventRules::default().event(body, None).unwrap();
    let (now, window) = (SystemTime::now(), Duration::from_secs(16 * 86_400));
    let message = SourceMessage::new("059f36b4-87a3-44ab-83d2-661975830a7d", body);
    Claim::new(&event, &message, now, window, &[7; 10]).unwrap()
}

#[divan::bench(args = SIZES)]
fn event_parse(bencher: Bencher, size: Size) {
    let body = body(size);
    let rules = EventRules::default();
    bencher.counter(BytesCount::of_str(&body)).bench(|| rules.event(black_box(&body), None).unwrap());
}

#[divan::bench(args = SIZES)]
fn claim_new(bencher: Bencher, size: Size) {
    let body = body(size);
    let event = EventRules::default().event(&body, None).unwrap();
    let (now, window) = (SystemTime::now(), Duration::from_secs(16 * 86_400));
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| Claim::new(&event, &SourceMessage::new("m", black_box(&body)), now, window, &[7; 10]).unwrap());
}

#[divan::bench(args = SIZES)]
fn claim_to_item(bencher: Bencher, size: Size) {
    let claim = claim(&body(size));
    bencher.bench(|| black_box(&claim).to_item());
}

#[divan::bench(args = SIZES)]
fn claim_from_item(bencher: Bencher, size: Size) {
    let item = claim(&body(size)).to_item();
    bencher.with_inputs(|| item.clone()).bench_values(|item| Claim::from_item(item).unwrap());
}

#[divan::bench(args = SIZES)]
fn object_line(bencher: Bencher, size: Size) {
    let body = body(size);
    let claim = claim(&body);
    bencher.counter(BytesCount::of_str(&body)).bench(|| object::object_line(black_box(&claim)).unwrap());
}

/// Handles a batch of ten duplicates of events in the warm cache: parses the envelope, plans the batch, looks up the
/// events in the cache, and logs to a writer that discards the lines.
#[divan::bench(args = SIZES)]
fn batch_of_ten_known_events(bencher: Bencher, size: Size) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let services = emulator::Services::on_clock(emulator::Clock::real(), 1);
        let _ = services.tables.create_claim_table(pipeline::names::TABLE);
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        let look_up = |name: &str| (name == "TABLE_NAME").then(|| pipeline::names::TABLE.to_owned());
        let config = ingest_fn::Config::from_variables(&lambda_support::Variables::new(&look_up)).unwrap();
        let discard = lambda_support::LogWriter::new(|_| Ok(()));
        let table = ingest_fn::ClaimTable::new(client, pipeline::names::TABLE, EventRules::default());
        let handler =
            ingest_fn::Handler::new(config, table, discard.clone(), services.clock.shared(), ingest_fn::os_random());
        let log =
            lambda_support::logs::dispatch(discard, tracing::level_filters::LevelFilter::INFO, services.clock.shared());
        let (event, _) = Traffic::new(Source::Queue, size, Relation::Duplicates).batch(10);
        let handle = async || {
            let mut context = Context::default();
            context.deadline = services.clock.now_ms() + 30_000;
            let envelope = serde_json::from_str(black_box(&event)).unwrap();
            handler.handle(LambdaEvent::new(envelope, context)).await.unwrap()
        };
        let _guard = tracing::dispatcher::set_default(&log);
        assert!(handle().await.batch_item_failures.is_empty());
        // All events are cached now. The handler never waits, so one poll handles the whole batch.
        bencher.bench_local(|| {
            let mut handling = std::pin::pin!(handle());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(handling.as_mut().poll(&mut context).is_ready());
        });
    });
}
