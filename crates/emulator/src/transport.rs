//! HTTP between clients and the services. Functions and tests that use the SDK connect inside the process. All other
//! clients connect over loopback.

pub mod endpoint;
mod fault_injection;
mod faulty_statements;
mod in_process_client;
pub(crate) mod response;
mod router;
pub(crate) mod server;
