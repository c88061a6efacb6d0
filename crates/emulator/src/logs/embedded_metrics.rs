//! Finds the metrics in log lines that use CloudWatch's embedded metric format.

use serde_json::Value;

/// Returns the metrics that a line defines, as `namespace/dimensions/name`. A metric is returned once for each set of
/// dimensions
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
pub(crate) fn metric_names(line: &str) -> Vec<String> {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut metrics = Vec::new();
    for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let values = list(&dimensions)
                .iter()
                .map(|name| line[name.as_str().unwrap_or_default()].to_string())
                .collect::<Vec<_>>();
            for metric in list(&directive["Metrics"]) {
                metrics.push(
                    format!("{}/{}/{}", directive["Namespace"], values.join(","), metric["Name"]).replace('"', ""),
                );
            }
        }
    }
    metrics
}
