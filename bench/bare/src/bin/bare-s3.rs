//! Writes each message as an object, with up to eight `PutObject` requests at once. This is the baseline for
//! `archive-fn`.

use std::env;

use aws_sdk_s3::Client;
use bare_fn::{Batch, all_done};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let bucket = env::var("BUCKET_NAME")?;
    let client = Client::new(&lambda_support::function::sdk_config().await);
    let (client, bucket) = (&client, bucket.as_str());
    lambda_runtime::run(service_fn(|event: LambdaEvent<Batch>| async move {
        stream::iter(event.payload.records)
            .map(|message| {
                let request = client.put_object().bucket(bucket).key(format!("bare/{}.json", message.message_id));
                // Boxed because the SDK's future is 19 KB large.
                Box::pin(request.content_type("application/json").body(message.body.into_bytes().into()).send())
            })
            .buffer_unordered(8)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok::<_, Error>(all_done())
    }))
    .await
}
