//! HTTP between the SDK's clients and the services: in process for the functions and tests, on loopback for others.

pub mod endpoint;
mod fault_injection;
mod faulty_statements;
mod in_process_client;
pub(crate) mod response;
mod router;
pub(crate) mod server;
