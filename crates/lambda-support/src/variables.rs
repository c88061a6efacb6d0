//! Environment variables, which a function reads once per cold start. Tests pass a lookup function instead of setting
//! variables of the process.

use std::env::VarError;
use std::fmt::Display;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// A source of environment variables: the process's environment or a lookup function.
pub struct Variables<'a>(LookUp<'a>);

enum LookUp<'a> {
    Process,
    Given(&'a dyn Fn(&str) -> Option<String>),
}

/// A missing or malformed variable, which prevents the function from starting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The variable is not set, or it is empty.
    #[error("environment variable {0} is missing")]
    Missing(&'static str),
    /// The variable has an invalid value.
    #[error("environment variable {variable} is {value:?}: {problem}")]
    Malformed {
        /// Name of the variable.
        variable: &'static str,
        /// Value of the variable.
        value: String,
        /// Requirement that the value violates, for example `must be UTF-8`.
        problem: String,
    },
}

impl<'a> Variables<'a> {
    /// Returns a source that calls `look_up` with the name of a variable. `look_up` must return `None` if the variable
    /// is not set.
    pub fn new(look_up: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(LookUp::Given(look_up))
    }

    /// Returns a source that reads the environment of the process.
    #[must_use]
    pub fn from_process() -> Self {
        Self(LookUp::Process)
    }

    /// Returns the value of a variable, or `None` if it is not set. A value that is not UTF-8 is an error instead of
    /// `None`: otherwise, the default would silently replace a value that someone has set.
    fn value(&self, variable: &'static str) -> Result<Option<String>, VariableError> {
        match self.0 {
            LookUp::Given(look_up) => Ok(look_up(variable)),
            LookUp::Process => match std::env::var(variable) {
                Ok(value) => Ok(Some(value)),
                Err(VarError::NotPresent) => Ok(None),
                Err(VarError::NotUnicode(value)) => {
                    let value = value.to_string_lossy().into_owned();
                    Err(VariableError::Malformed { variable, value, problem: "must be UTF-8".to_owned() })
                }
            },
        }
    }

    /// Returns the value of a variable that must be set.
    ///
    /// # Errors
    /// Fails if the variable is missing, empty or not UTF-8.
    pub fn required(&self, variable: &'static str) -> Result<String, VariableError> {
        self.value(variable)?.filter(|value| !value.is_empty()).ok_or(VariableError::Missing(variable))
    }

    /// Parses the value of a variable, or `default` if the variable is not set. The error of `parse` must state the
    /// requirement that the value violates.
    ///
    /// # Errors
    /// Fails if `parse` rejects the value, or if the value is not UTF-8.
    pub fn parsed<T, E: Display>(
        &self,
        variable: &'static str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, VariableError> {
        let value = self.value(variable)?.unwrap_or_else(|| default.to_owned());
        parse(&value).map_err(|problem| VariableError::Malformed { variable, value, problem: problem.to_string() })
    }

    /// Parses the value of a variable as a whole number in `range`. Parses `default` if the variable is not set.
    ///
    /// # Errors
    /// Fails if the value is not a whole number in `range`.
    pub fn number<N: FromStr + PartialOrd + Display + Copy>(
        &self,
        variable: &'static str,
        default: &str,
        range: std::ops::RangeInclusive<N>,
    ) -> Result<N, VariableError> {
        self.parsed(variable, default, |value| match value.parse::<N>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {} to {}", range.start(), range.end())),
        })
    }

    /// Returns the function's name from `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets, or `default` if the variable is
    /// not set.
    ///
    /// # Errors
    /// Fails if the name is empty. The name is the value of the metrics' dimension, and CloudWatch drops metrics with
    /// an empty dimension.
    pub fn function_name(&self, default: &str) -> Result<String, VariableError> {
        let not_empty = |name: &str| if name.is_empty() { Err("must not be empty") } else { Ok(name.to_owned()) };
        self.parsed("AWS_LAMBDA_FUNCTION_NAME", default, not_empty)
    }

    /// Returns the value of `LOG_ROUTINE_OUTCOMES`, or true if the variable is not set. If true, the function logs a
    /// line for each routine outcome. An outcome is routine if the message or record was processed as expected, for
    /// example `won` or `written`.
    ///
    /// # Errors
    /// Fails if the value is neither `true` nor `false`.
    pub fn log_routine_outcomes(&self) -> Result<bool, VariableError> {
        self.parsed("LOG_ROUTINE_OUTCOMES", "true", |value| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`"),
        })
    }

    /// Returns the log level from `AWS_LAMBDA_LOG_LEVEL`, or INFO if the variable is not set. Lambda sets it from the
    /// function's logging configuration.
    ///
    /// # Errors
    /// Fails if the value is not one of Lambda's levels.
    pub fn log_level(&self) -> Result<LevelFilter, VariableError> {
        self.parsed("AWS_LAMBDA_LOG_LEVEL", "INFO", |value| match value.to_ascii_uppercase().as_str() {
            "TRACE" => Ok(LevelFilter::TRACE),
            "DEBUG" => Ok(LevelFilter::DEBUG),
            "INFO" => Ok(LevelFilter::INFO),
            "WARN" => Ok(LevelFilter::WARN),
            "ERROR" | "FATAL" => Ok(LevelFilter::ERROR),
            _ => Err("must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(value: Option<&str>, get: impl FnOnce(&Variables<'_>) -> Result<T, VariableError>) -> Result<T, String> {
        let look_up = |_: &str| value.map(str::to_owned);
        get(&Variables::new(&look_up)).map_err(|error| error.to_string())
    }

    #[test]
    fn bad_variable_is_named_in_one_line() {
        let table = |value| read(value, |variables| variables.required("TABLE_NAME"));
        assert_eq!(table(Some("t")), Ok("t".into()));
        for missing in [None, Some("")] {
            assert_eq!(table(missing), Err("environment variable TABLE_NAME is missing".into()));
        }
        let number = |value| read(value, |variables| variables.number("N", "7", 1..=10_u32));
        assert_eq!(number(None), Ok(7));
        assert_eq!(number(Some("10")), Ok(10));
        for malformed in ["", "0", "11", "x", "1.5", " 1", "-1"] {
            let expected = format!("environment variable N is {malformed:?}: must be a whole number from 1 to 10");
            assert_eq!(number(Some(malformed)), Err(expected));
        }
    }

    #[test]
    fn function_name_is_never_empty() {
        let name = |value| read(value, |variables| variables.function_name("archive-fn"));
        assert_eq!(name(Some("archive-eu")), Ok("archive-eu".into()));
        assert_eq!(name(None), Ok("archive-fn".into()));
        assert_eq!(
            name(Some("")),
            Err(r#"environment variable AWS_LAMBDA_FUNCTION_NAME is "": must not be empty"#.into())
        );
    }

    #[test]
    fn routine_outcomes_are_logged_by_default() {
        let logged = |value| read(value, |variables| variables.log_routine_outcomes());
        assert_eq!([None, Some("true"), Some("false")].map(logged), [Ok(true), Ok(true), Ok(false)]);
        for malformed in ["", "False", "0"] {
            assert_eq!(
                logged(Some(malformed)),
                Err(format!("environment variable LOG_ROUTINE_OUTCOMES is {malformed:?}: must be `true` or `false`"))
            );
        }
    }

    #[test]
    fn every_lambda_log_level_parses() {
        let level = |value| read(value, |variables| variables.log_level());
        for (value, expected) in [
            (None, LevelFilter::INFO),
            (Some("TRACE"), LevelFilter::TRACE),
            (Some("DEBUG"), LevelFilter::DEBUG),
            (Some("debug"), LevelFilter::DEBUG),
            (Some("INFO"), LevelFilter::INFO),
            (Some("WARN"), LevelFilter::WARN),
            (Some("ERROR"), LevelFilter::ERROR),
            (Some("FATAL"), LevelFilter::ERROR),
        ] {
            assert_eq!(level(value), Ok(expected), "{value:?}");
        }
        assert!(level(Some("LOUD")).unwrap_err().contains("AWS_LAMBDA_LOG_LEVEL"));
    }
}
