//! The emulated services of one region.

use std::sync::Arc;

use crate::clock::Clock;
use crate::dynamodb::{TableStorage, Tables};
use crate::fault::RequestFaults;
use crate::fault_plan::{FaultPlan, NoFaults};
use crate::logs::Logs;
use crate::meter::{CpuTimes, Meter, Usage};
use crate::s3::DataLakes;
use crate::sqs::Sqs;

/// An emulated AWS region.
pub struct Services {
    /// The clock that all services use.
    pub clock: Clock,
    /// The SQS queues.
    pub sqs: Sqs,
    /// The DynamoDB tables and their streams.
    pub tables: Tables,
    /// The S3 buckets.
    pub lakes: DataLakes,
    /// The CloudWatch log groups.
    pub logs: Logs,
    /// The hook that injects faults into single requests.
    pub faults: RequestFaults,
    /// The plan that decides which faults happen in queues and mappings.
    pub fault_plan: Arc<dyn FaultPlan>,
    pub(crate) meter: Meter,
}

impl Services {
    /// Creates the services on a clock that the test controls. `seed` determines the ids of SQS messages.
    #[must_use]
    pub fn on_clock(clock: Clock, seed: u64) -> Arc<Self> {
        Self::with_fault_plan(clock, seed, Arc::new(NoFaults))
    }

    /// Creates the services as [`Services::on_clock`] does. Queues and mappings follow `fault_plan`.
    #[must_use]
    pub fn with_fault_plan(clock: Clock, seed: u64, fault_plan: Arc<dyn FaultPlan>) -> Arc<Self> {
        Self::with(clock, Tables::on_clock(clock), seed, fault_plan)
    }

    /// Creates the services on the machine's clock. Writes to the table stay fast with any number of stream records.
    ///
    /// # Errors
    /// Fails if the table's database cannot be created.
    pub fn on_real_clock(seed: u64) -> Result<Arc<Self>, impl std::error::Error + Send + Sync + 'static> {
        Self::on_real_clock_with(seed, TableStorage::Memory, Arc::new(NoFaults))
    }

    /// Creates the services as [`Services::on_real_clock`] does, with the table in `storage`. Queues and mappings follow
    /// `fault_plan`.
    ///
    /// # Errors
    /// Fails if the table's database cannot be created.
    pub fn on_real_clock_with(
        seed: u64,
        storage: TableStorage,
        fault_plan: Arc<dyn FaultPlan>,
    ) -> Result<Arc<Self>, impl std::error::Error + Send + Sync + 'static> {
        Tables::on_real_clock(storage).map(|tables| Self::with(Clock::real(), tables, seed, fault_plan))
    }

    fn with(clock: Clock, tables: Tables, seed: u64, fault_plan: Arc<dyn FaultPlan>) -> Arc<Self> {
        let meter = tables.meter.clone();
        Arc::new(Self {
            clock,
            sqs: Sqs::with_fault_plan(clock, seed, Arc::clone(&fault_plan)),
            tables,
            lakes: DataLakes::new(clock),
            logs: Logs::new(clock),
            faults: RequestFaults::default(),
            fault_plan,
            meter,
        })
    }

    /// Returns the CPU time that each service has spent so far.
    #[must_use]
    pub fn cpu_times(&self) -> CpuTimes {
        self.meter.cpu_times()
    }

    /// Returns the units that AWS would have billed so far, for all services.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (log_lines, log_bytes, custom_metrics) = self.logs.billable();
        let (table_items, table_bytes) = self.tables.size();
        let lake_bytes = self.lakes.bytes();
        Usage { log_lines, log_bytes, custom_metrics, table_bytes, table_items, lake_bytes, ..self.meter.usage() }
    }
}
