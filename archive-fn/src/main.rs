//! Entry point of the Lambda function.

use std::process::ExitCode;

use archive_fn::{Config, DataLake, Handler};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use lambda_runtime::service_fn;
use lambda_support::{LogWriter, function};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::main(async || {
        let config = function::read_variables(Config::from_variables)?;
        let lake = DataLake::new((&function::sdk_config().await).into(), &config.bucket_name);
        let clock = SharedTimeSource::new(SystemTimeSource::new());
        let handler = Handler::new(config, lake, LogWriter::stdout(), clock);
        lambda_runtime::run(service_fn(|event| handler.handle(event))).await.map_err(anyhow::Error::from_boxed)
    })
    .await
}
