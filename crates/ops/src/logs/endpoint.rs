//! Resolves the endpoint of CloudWatch Logs by the rules of the AWS SDK.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// AWS partitions: the prefix of a partition's region names, its endpoint suffix, and its endpoint suffix for dual
/// stack. The first entry whose prefix matches applies.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("", "amazonaws.com", "api.aws"),
];

/// Returns the endpoint that the configuration sets, or else the default endpoint of the region.
pub(super) fn resolve(config: &SdkConfig, service_id: &str) -> String {
    let general = || config.endpoint_url().map(str::to_owned);
    let own = || {
        let key = ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        config.service_config()?.load_config(key.build().ok()?)
    };
    // An endpoint set in code takes precedence over one from the environment or a profile, as in the SDK's clients.
    let configured =
        if config.get_origin("endpoint_url").is_client_config() { general() } else { own().or_else(general) };
    configured.unwrap_or_else(|| {
        let region = config.region().map(AsRef::as_ref).unwrap_or_default();
        region_endpoint(region, config.use_fips() == Some(true), config.use_dual_stack() == Some(true))
    })
}

fn region_endpoint(region: &str, is_fips: bool, is_dual_stack: bool) -> String {
    let partition = PARTITIONS.iter().find(|(prefix, _, _)| region.starts_with(prefix));
    let (_, single_stack, dual_stack) = partition.expect("the last prefix is empty and matches every region");
    let suffix = if is_dual_stack { dual_stack } else { single_stack };
    // In GovCloud, the only endpoint without dual stack is a FIPS endpoint, and its name does not say `fips`.
    let is_named_fips = is_fips && (is_dual_stack || !region.starts_with("us-gov-"));
    let host = if is_named_fips { "logs-fips" } else { "logs" };
    format!("https://{host}.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use aws_types::region::Region;

    use super::*;

    /// Without a configured endpoint, the region and the two flags determine the endpoint. A configured endpoint takes
    /// precedence over them.
    #[test]
    fn endpoint_follows_the_configuration() {
        let config = || SdkConfig::builder().region(Region::new("us-east-1"));
        for (config, expected) in [
            (config(), "https://logs.us-east-1.amazonaws.com"),
            (config().use_fips(true), "https://logs-fips.us-east-1.amazonaws.com"),
            (config().use_dual_stack(true), "https://logs.us-east-1.api.aws"),
            (config().use_fips(false).use_dual_stack(false), "https://logs.us-east-1.amazonaws.com"),
            (config().use_fips(true).endpoint_url("http://127.0.0.1:4566"), "http://127.0.0.1:4566"),
        ] {
            assert_eq!(resolve(&config.build(), "CloudWatch Logs"), expected);
        }
    }

    /// The expected endpoints are those of the endpoint tests in `aws-sdk-cloudwatchlogs` 1.162.
    #[test]
    fn each_partition_has_its_endpoint() {
        for (region, is_fips, is_dual_stack, expected) in [
            ("sa-east-1", false, false, "https://logs.sa-east-1.amazonaws.com"),
            ("us-east-1", true, false, "https://logs-fips.us-east-1.amazonaws.com"),
            ("us-east-1", true, true, "https://logs-fips.us-east-1.api.aws"),
            ("us-east-1", false, true, "https://logs.us-east-1.api.aws"),
            ("cn-north-1", false, false, "https://logs.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", true, true, "https://logs-fips.cn-north-1.api.amazonwebservices.com.cn"),
            ("cn-north-1", true, false, "https://logs-fips.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "https://logs.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-west-1", false, false, "https://logs.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://logs.us-gov-west-1.amazonaws.com"),
            ("us-gov-east-1", true, true, "https://logs-fips.us-gov-east-1.api.aws"),
            ("us-iso-east-1", false, false, "https://logs.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", true, false, "https://logs-fips.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(region_endpoint(region, is_fips, is_dual_stack), expected);
        }
    }
}
