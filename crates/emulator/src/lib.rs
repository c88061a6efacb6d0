//! An in-process emulator of the AWS services that the pipeline uses: SQS, DynamoDB, S3, CloudWatch Logs, and Lambda
//! with its event source mappings.
//!
//! Tests run the functions' deployed code, including its SDK clients. They replace only the SDK's HTTP client, with one
//! that calls this crate. All code takes the time from one [`Clock`], which a test can stop. The exception is
//! [`runtime_api`]: it always uses the machine's clock, because it talks to other processes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`sqs`] | queues |
//! | [`dynamodb`] | the table and its stream (the `dynoxide` emulator) |
//! | [`s3`] | the data lake (the `s3s` library, with a map as storage) |
//! | [`logs`] | CloudWatch Logs |
//! | `lambda` | Lambda: sandboxes ([`function`]), event source mappings ([`sqs_mapping`], [`stream_mapping`] and its [`filter`]), and the [`runtime_api`] for compiled functions in their own process |
//! | `transport` | HTTP to the services: an in-process client for the SDK, and one loopback address ([`endpoint`]) for other clients |
//! | [`meter`] | the units that AWS would bill |
//!
//! A test can inject two kinds of faults. [`RequestFaults`] ([`Services::faults`]) makes single requests fail or arrive
//! late. A [`FaultPlan`](fault_plan::FaultPlan) makes queues and mappings do rare things that AWS's documentation
//! allows, such as delivering a batch twice.

#![warn(missing_docs)]

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
