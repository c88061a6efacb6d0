//! The function's environment variables.

use claim::ObjectPrefix;
use lambda_support::{VariableError, Variables};

/// The function's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `BUCKET_NAME`: the bucket of the data lake.
    pub bucket_name: String,
    /// `OBJECT_PREFIX`: the prefix of all the lake's keys. Changing it starts a new, empty lake.
    pub object_prefix: ObjectPrefix,
    /// `LOG_ROUTINE_OUTCOMES`: whether each `written`, `already_there` and `skipped` has a log line.
    pub log_routine_outcomes: bool,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets. It becomes the `FunctionName` dimension of the metrics.
    pub function_name: String,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// Fails if a variable is missing or malformed. The error names the variable.
    pub fn from_variables(variables: &Variables<'_>) -> Result<Self, VariableError> {
        Ok(Self {
            bucket_name: variables.required("BUCKET_NAME")?,
            object_prefix: variables.parsed("OBJECT_PREFIX", "events/", ObjectPrefix::parse)?,
            log_routine_outcomes: variables.log_routine_outcomes()?,
            function_name: variables.function_name("archive-fn")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, String> {
        let look_up = |variable: &str| set.iter().find(|(name, _)| *name == variable).map(|(_, v)| (*v).to_owned());
        Config::from_variables(&Variables::new(&look_up)).map_err(|error| error.to_string())
    }

    #[test]
    fn only_bucket_name_is_required() {
        let config = read(&[("BUCKET_NAME", "lake")]).unwrap();
        assert_eq!(config.object_prefix.to_string(), "events/");
        assert!(config.log_routine_outcomes);
        assert!(!read(&[("BUCKET_NAME", "lake"), ("LOG_ROUTINE_OUTCOMES", "false")]).unwrap().log_routine_outcomes);
        assert_eq!(read(&[]).unwrap_err(), "environment variable BUCKET_NAME is missing");
    }

    #[test]
    fn malformed_variable_is_named() {
        let error = read(&[("BUCKET_NAME", "lake"), ("OBJECT_PREFIX", "events")]).unwrap_err();
        assert_eq!(error, r#"environment variable OBJECT_PREFIX is "events": must end with `/`"#);
        let error = read(&[("BUCKET_NAME", "lake"), ("LOG_ROUTINE_OUTCOMES", "no")]).unwrap_err();
        assert_eq!(error, r#"environment variable LOG_ROUTINE_OUTCOMES is "no": must be `true` or `false`"#);
    }
}
