//! All embedded services together.

use std::sync::Arc;

use crate::clock::Clock;
use crate::dynamodb::Tables;
use crate::fault::RequestFaults;
use crate::fault_plan::{FaultPlan, NoFaults};
use crate::logs::Logs;
use crate::meter::{Meter, Usage};
use crate::s3::DataLakes;
use crate::sqs::Sqs;

/// An AWS region on one machine.
pub struct Services {
    /// By which all of them go.
    pub clock: Clock,
    /// Queues.
    pub sqs: Sqs,
    /// Tables and streams.
    pub tables: Tables,
    /// Buckets.
    pub lakes: DataLakes,
    /// Log groups.
    pub logs: Logs,
    /// What goes wrong with single requests.
    pub faults: RequestFaults,
    /// What queues and mappings do that they seldom do.
    pub fault_plan: Arc<dyn FaultPlan>,
    pub(crate) meter: Meter,
}

impl Services {
    /// On a clock that tests control. `seed` decides the message ids.
    #[must_use]
    pub fn on_clock(clock: Clock, seed: u64) -> Arc<Self> {
        Self::with_fault_plan(clock, seed, Arc::new(NoFaults))
    }

    /// The same, where queues and mappings do as `fault_plan` says.
    #[must_use]
    pub fn with_fault_plan(clock: Clock, seed: u64, fault_plan: Arc<dyn FaultPlan>) -> Arc<Self> {
        Self::with(clock, Tables::on_clock(clock), seed, fault_plan)
    }

    /// On the real clock, for any number of events.
    ///
    /// # Errors
    /// When the table's database cannot be made.
    pub fn on_real_clock(seed: u64) -> Result<Arc<Self>, impl std::error::Error + Send + Sync + 'static> {
        Self::on_real_clock_with_fault_plan(seed, Arc::new(NoFaults))
    }

    /// The same, where queues and mappings do as `fault_plan` says.
    ///
    /// # Errors
    /// As there.
    pub fn on_real_clock_with_fault_plan(
        seed: u64,
        fault_plan: Arc<dyn FaultPlan>,
    ) -> Result<Arc<Self>, impl std::error::Error + Send + Sync + 'static> {
        Tables::on_real_clock().map(|tables| Self::with(Clock::real(), tables, seed, fault_plan))
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

    /// What all of it would be charged for, up to now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (log_lines, log_bytes, custom_metrics) = self.logs.billable();
        let (table_items, table_bytes) = self.tables.size();
        let lake_bytes = self.lakes.bytes();
        Usage { log_lines, log_bytes, custom_metrics, table_bytes, table_items, lake_bytes, ..self.meter.counted() }
    }
}
