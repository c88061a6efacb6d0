//! The pipeline on one machine: the services that the functions stand on, and what Lambda does between them, in one
//! process.
//!
//! The functions are the real ones, called with JSON and answering with JSON, and their SDK clients are the real ones,
//! with an HTTP client that ends here. All time comes from one [`Clock`], which a test can stop; only
//! [`runtime_api`], which talks to other processes, goes by the machine's.
//!
//! | module | what it stands for |
//! | --- | --- |
//! | [`sqs`] | queues |
//! | [`dynamodb`] | the table and its stream (the `dynoxide` emulator) |
//! | [`s3`] | the data lake (the `s3s` library over a map) |
//! | [`logs`] | CloudWatch Logs |
//! | `lambda` | Lambda: sandboxes ([`function`]), event source mappings ([`sqs_mapping`], [`stream_mapping`] and its [`filter`]), and the [`runtime_api`] on loopback, for compiled functions |
//! | `transport` | the way to the services: the SDK's HTTP client in process, and one address of loopback ([`endpoint`]) |
//! | [`meter`] | what all that would be charged for |
//!
//! Two things can go wrong, and a test says when: a single request, by [`RequestFaults`] ([`Services::faults`]); and what
//! queues and mappings may do by their documentation, and seldom do, by a [`FaultPlan`](fault_plan::FaultPlan).

mod call;
mod checksum;
pub mod clock;
pub mod dynamodb;
mod fault;
pub mod fault_plan;
mod lambda;
pub mod logs;
pub mod meter;
pub mod region;
pub mod s3;
pub mod services;
pub mod sqs;
mod transport;

pub use call::{Call, Service};
pub use clock::Clock;
pub use fault::{Fault, RequestFaults};
pub use lambda::{filter, function, runtime_api, sqs_mapping, stream_mapping};
pub use services::Services;
pub use sqs::names::queue_url;
pub use transport::endpoint;
