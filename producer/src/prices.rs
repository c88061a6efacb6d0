//! What AWS charges for the units of a bill, in US dollars, without free tiers, volume discounts and taxes.
//!
//! us-east-1: AWS's pricing pages of SQS, DynamoDB, Lambda, S3, CloudWatch, KMS and X-Ray, in public copies. sa-east-1: the AWS
//! Price List's files of that region as public documents quote them: S3 (published 2026-09-26), CloudWatch Logs
//! (2026-09-22), Lambda (read 2026-10-08); KMS's page has one price for all regions. A price that no such document gives is
//! `None`, and no total is made up from it.

/// When the prices were looked up.
pub const LOOKED_UP: &str = "2026-11-25";

/// A region's prices.
pub struct Prices {
    /// `us-east-1`.
    pub region: &'static str,
    /// For a request of up to 64 KB.
    pub sqs_request: Option<f64>,
    /// On demand.
    pub write_request_unit: Option<f64>,
    /// For a GB of table a month.
    pub table_gb_month: Option<f64>,
    /// Point-in-time recovery, for a GB of table a month.
    pub pitr_gb_month: Option<f64>,
    /// For an invocation.
    pub invocation: Option<f64>,
    /// For a second of 1 GB of memory, on x86.
    pub gb_second: Option<f64>,
    /// For a PUT into S3 Standard.
    pub s3_put: Option<f64>,
    /// S3 Standard, for a GB a month, within the first 50 TB.
    pub lake_gb_month: Option<f64>,
    /// CloudWatch Logs, for a GB taken in.
    pub log_gb: Option<f64>,
    /// X-Ray, for a trace that is recorded.
    pub trace: Option<f64>,
    /// For a custom metric a month, within the first 10,000.
    pub metric_month: Option<f64>,
    /// For an alarm of standard resolution a month.
    pub alarm_month: Option<f64>,
    /// For a dashboard a month.
    pub dashboard_month: Option<f64>,
    /// For a customer-managed KMS key a month.
    pub key_month: Option<f64>,
}

/// The regions that a bill is made out for; the second is the deployed system's default.
pub const REGIONS: [Prices; 2] = [
    Prices {
        region: "us-east-1",
        sqs_request: Some(0.40e-6),
        write_request_unit: Some(0.625e-6),
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
        key_month: Some(1.00),
    },
    Prices {
        region: "sa-east-1",
        sqs_request: None,
        write_request_unit: None,
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
        key_month: Some(1.00),
    },
];
