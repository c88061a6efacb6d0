//! Entry point of the Lambda function.

use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use ingest_fn::{ClaimTable, Config, Handler};
use lambda_runtime::service_fn;
use lambda_support::{LogWriter, function};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::main(async || {
        let config = function::read_variables(Config::from_variables)?;
        let table =
            ClaimTable::new(Client::new(&function::sdk_config().await), &config.table_name, config.rules.clone());
        let clock = SharedTimeSource::new(SystemTimeSource::new());
        let handler = Handler::new(config, table, LogWriter::stdout(), clock, ingest_fn::os_random());
        lambda_runtime::run(service_fn(|event| handler.handle(event))).await.map_err(anyhow::Error::from_boxed)
    })
    .await
}
