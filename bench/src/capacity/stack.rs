//! The parameters of a deployed stack: AWS's limits, the defaults of `terraform/modules/pipeline`, measured CPU times,
//! and assumed latencies.

use crate::capacity::UNLIMITED;
use crate::capacity::model::{Function, MILLISECOND, Model, SECOND};

/// Writes per second that a new on-demand table accepts, and the quota of a table.
pub(crate) const NEW_TABLE_WRITES: u64 = 4_000;
pub(crate) const TABLE_QUOTA_WRITES: u64 = 40_000;
/// Minutes that the capacity of an on-demand table needs to double.
pub(crate) const TABLE_GROWTH_MINUTES: u64 = 30;
/// Writes per second of one partition of a table. The model assumes one stream shard per partition.
pub(crate) const PARTITION_WRITES: u64 = 1_000;
/// PUT requests per second that S3 supports in one partitioned prefix.
pub(crate) const PREFIX_PUTS: u64 = 3_500;
/// Default quota of an account's concurrent invocations.
pub(crate) const ACCOUNT_CONCURRENCY: u64 = 1_000;
/// Maximum number of invocations per second that one sandbox serves.
pub(crate) const SANDBOX_RATE: u64 = 10;
/// The concurrency of a queue mapping at the start, its growth per minute, and the largest `maximum_concurrency`.
pub(crate) const RAMP: (u64, u64) = (5, 300);
pub(crate) const LARGEST_CONCURRENCY: u64 = 1_000;
pub(crate) const LARGEST_PARALLELIZATION: u64 = 10;
/// Maximum number of messages in flight in a queue.
pub(crate) const MESSAGES_IN_FLIGHT: u64 = 120_000;
/// The time between two polls of a shard.
pub(crate) const POLL_INTERVAL: u64 = 250 * MILLISECOND;
/// The time until DynamoDB answers a write, and until S3 answers a PUT. Both are assumptions.
pub(crate) const WRITE_LATENCY: u64 = 10 * MILLISECOND;
pub(crate) const PUT_LATENCY: u64 = 100 * MILLISECOND;

/// CPU time per message on a full core, in batches of ten (bench/README.md, events of 250 bytes).
pub(crate) const INGEST_CPU: u64 = 114;
pub(crate) const ARCHIVE_CPU: u64 = 110;
/// Memory of each function, and the memory with which a function gets a full core.
pub(crate) const MEMORY_MB: u64 = 256;
pub(crate) const FULL_CORE_MB: u64 = 1_769;

/// Maximum number of requests in flight (`MAX_IN_FLIGHT` in `ingest-fn/src/claimer.rs` and
/// `archive-fn/src/archiver.rs`).
pub(crate) const WRITES_IN_FLIGHT: usize = 10;
pub(crate) const PUTS_IN_FLIGHT: usize = 8;

/// The settings of a stack that decide its capacity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ingest_batch_size: usize,
    pub(crate) maximum_concurrency: u64,
    pub(crate) archive_batch_size: usize,
    pub(crate) parallelization_factor: u64,
    /// Writes per second that the table accepts.
    pub(crate) table_writes: u64,
    /// Number of prefixes among which the objects are spread. It is 1 in every stack today.
    pub(crate) prefixes: u64,
    pub(crate) account_concurrency: u64,
    pub(crate) put_latency: u64,
}

/// The default settings of a stack with a new table.
pub(crate) const DEFAULTS: Settings = Settings {
    ingest_batch_size: 10,
    maximum_concurrency: 10,
    archive_batch_size: 100,
    parallelization_factor: 2,
    table_writes: NEW_TABLE_WRITES,
    prefixes: 1,
    account_concurrency: ACCOUNT_CONCURRENCY,
    put_latency: PUT_LATENCY,
};

impl Settings {
    pub(crate) fn shards(&self) -> u64 {
        self.table_writes.div_ceil(PARTITION_WRITES)
    }

    pub(crate) fn lanes(&self) -> u64 {
        self.shards() * self.parallelization_factor
    }

    pub(crate) fn ingest(&self) -> Function {
        Function {
            batch_size: self.ingest_batch_size,
            window: 5 * SECOND,
            cpu_per_batch: 0,
            cpu_per_message: INGEST_CPU * FULL_CORE_MB / MEMORY_MB,
            latency: WRITE_LATENCY,
            in_flight: WRITES_IN_FLIGHT,
        }
    }

    pub(crate) fn archive(&self) -> Function {
        Function {
            batch_size: self.archive_batch_size,
            window: 0,
            cpu_per_batch: 0,
            cpu_per_message: ARCHIVE_CPU * FULL_CORE_MB / MEMORY_MB,
            latency: self.put_latency,
            in_flight: PUTS_IN_FLIGHT,
        }
    }

    /// Returns a model of the stack under a load that starts after the queue mapping has scaled up.
    pub(crate) fn steady(&self, rate: u32, seconds: u64) -> Model {
        Model { ramp: (LARGEST_CONCURRENCY, 0), stops_with_load: true, ..self.burst(rate, seconds) }
    }

    /// Returns a model of an idle stack that gets a sudden load. The run ends when the backlog is gone.
    pub(crate) fn burst(&self, rate: u32, seconds: u64) -> Model {
        Model {
            seed: 1,
            rate,
            load_time: seconds * SECOND,
            stops_with_load: false,
            sender: None,
            ingest: self.ingest(),
            maximum_concurrency: self.maximum_concurrency,
            ramp: RAMP,
            // Six times the function's timeout of 30 s, plus the batching window.
            visibility_timeout: 185 * SECOND,
            maximum_in_flight: MESSAGES_IN_FLIGHT,
            max_receive_count: 3,
            table_rate: self.table_writes,
            archive: self.archive(),
            lanes: usize::try_from(self.lanes()).expect("a few thousand lanes"),
            poll_interval: POLL_INTERVAL,
            lake_rate: PREFIX_PUTS * self.prefixes,
            account_concurrency: self.account_concurrency,
            shortest_slot: SECOND / SANDBOX_RATE,
            cores: UNLIMITED,
        }
    }
}
