//! The function's variables.

use claim::ObjectPrefix;
use lambda_support::{VariableError, Variables};

/// What the function is told by its variables.
#[derive(Clone, Debug)]
pub struct Config {
    /// `BUCKET_NAME`.
    pub bucket_name: String,
    /// `OBJECT_PREFIX`: another prefix is another lake.
    pub object_prefix: ObjectPrefix,
    /// `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets: the metrics' dimension.
    pub function_name: String,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// When one is missing or malformed; the error names it.
    pub fn from_variables(variables: &Variables<'_>) -> Result<Self, VariableError> {
        Ok(Self {
            bucket_name: variables.required("BUCKET_NAME")?,
            object_prefix: variables.parsed("OBJECT_PREFIX", "events/", ObjectPrefix::parse)?,
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
    fn the_bucket_is_all_that_must_be_set() {
        assert_eq!(read(&[("BUCKET_NAME", "lake")]).unwrap().object_prefix.to_string(), "events/");
        assert_eq!(read(&[]).unwrap_err(), "environment variable BUCKET_NAME is missing");
    }

    #[test]
    fn a_prefix_that_would_lose_objects_is_named() {
        let error = read(&[("BUCKET_NAME", "lake"), ("OBJECT_PREFIX", "events")]).unwrap_err();
        assert_eq!(error, r#"environment variable OBJECT_PREFIX is "events": must end with `/`"#);
    }
}
