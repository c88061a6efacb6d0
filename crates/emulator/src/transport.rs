//! HTTP between clients and the services: in process for functions and tests that use the SDK, on loopback for others.

pub mod endpoint;
mod fault_injection;
mod faulty_statements;
mod in_process_client;
pub(crate) mod response;
mod router;
pub(crate) mod server;
