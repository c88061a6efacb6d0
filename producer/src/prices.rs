//! AWS list prices in US dollars, without free tiers, volume discounts or taxes.
//!
//! The sources for us-east-1 are public copies of AWS's pricing pages for SQS, DynamoDB, Lambda, S3, CloudWatch and
//! X-Ray. The sources for sa-east-1 are public documents that quote the region's AWS Price List files for S3 (published
//! 2026-09-26), CloudWatch Logs (2026-09-22) and Lambda (read 2026-10-08). If no such document gives a price, the price
//! is `None`, and a sum that needs it is not computed. KMS has no prices here, because the bill leaves KMS costs out.
//! The bill only mentions the price of a key, which is the same in all regions according to the KMS pricing page.

/// Date on which the prices were looked up.
pub const LOOKED_UP: &str = "2026-11-25";

/// The prices in one region.
pub struct Prices {
    /// Name of the region, such as `us-east-1`.
    pub region: &'static str,
    /// Price of an SQS request of up to 64 KB.
    pub sqs_request: Option<f64>,
    /// Price of a DynamoDB write request unit in on-demand mode.
    pub write_request_unit: Option<f64>,
    /// Price of a DynamoDB read request unit in on-demand mode.
    pub read_request_unit: Option<f64>,
    /// Price of a GB of table storage per month.
    pub table_gb_month: Option<f64>,
    /// Price of point-in-time recovery for a GB of the table per month.
    pub pitr_gb_month: Option<f64>,
    /// Price of a Lambda invocation.
    pub invocation: Option<f64>,
    /// Price of a second of Lambda time with 1 GB of memory, on x86.
    pub gb_second: Option<f64>,
    /// Price of a PUT into S3 Standard.
    pub s3_put: Option<f64>,
    /// Price of a GB in S3 Standard per month, within the first 50 TB.
    pub lake_gb_month: Option<f64>,
    /// Price of a GB ingested by CloudWatch Logs.
    pub log_gb: Option<f64>,
    /// Price of a trace recorded by X-Ray.
    pub trace: Option<f64>,
    /// Price of a custom metric per month, within the first 10,000 metrics.
    pub metric_month: Option<f64>,
    /// Price per month of one metric that an alarm of standard resolution watches.
    pub alarm_month: Option<f64>,
    /// Price of a dashboard per month.
    pub dashboard_month: Option<f64>,
}

/// The regions that a bill has prices for. The second one is the default region of the Terraform configuration.
pub const REGIONS: [Prices; 2] = [
    Prices {
        region: "us-east-1",
        sqs_request: Some(0.40e-6),
        write_request_unit: Some(0.625e-6),
        read_request_unit: Some(0.125e-6),
        table_gb_month: Some(0.25),
        pitr_gb_month: Some(0.20),
        invocation: Some(0.20e-6),
        gb_second: Some(0.000_016_666_7),
        s3_put: Some(5.00e-6),
        lake_gb_month: Some(0.023),
        log_gb: Some(0.50),
        trace: Some(5.00e-6),
        metric_month: Some(0.30),
        alarm_month: Some(0.10),
        dashboard_month: Some(3.00),
    },
    Prices {
        region: "sa-east-1",
        sqs_request: None,
        write_request_unit: None,
        read_request_unit: None,
        table_gb_month: None,
        pitr_gb_month: None,
        invocation: Some(0.20e-6),
        gb_second: Some(0.000_016_666_7),
        s3_put: Some(7.00e-6),
        lake_gb_month: Some(0.0405),
        log_gb: Some(0.90),
        trace: None,
        metric_month: None,
        alarm_month: None,
        dashboard_month: None,
    },
];
