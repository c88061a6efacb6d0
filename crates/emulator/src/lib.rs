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
//! | `transport` | the way there, and what goes wrong on it |
//! | [`function`] | Lambda's sandboxes |
//! | [`fault_plan`] | what queues and mappings may do, and seldom do |
//! | [`sqs_mapping`], [`stream_mapping`], [`filter`] | Lambda's event source mappings |
//! | [`meter`] | what all that would be charged for |
//! | [`runtime_api`] | Lambda's Runtime API on loopback, for compiled functions |
//! | [`endpoint`] | all services behind one address of loopback |

pub mod clock;
pub mod dynamodb;
pub mod fault_plan;
mod lambda;
pub mod logs;
pub mod meter;
pub mod region;
pub mod s3;
pub mod services;
pub mod sqs;
mod transport;

pub use clock::Clock;
pub use lambda::{filter, function, runtime_api, sqs_mapping, stream_mapping};
pub use services::Services;
pub use sqs::protocol::queue_url;
pub use transport::endpoint;
pub use transport::in_process_client::{Call, Fault, Faults, Service};
