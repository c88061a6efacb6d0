# Tests of the validations of `alarms`. A run that expects a failure breaks one validation. The tests deploy nothing, so any file can
# serve as a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

run "settings_at_their_limits_are_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = {
      email                = "on-call@example.com"
      topic_arns           = ["arn:aws:sns:sa-east-1:210987654321:pager"]
      period_seconds       = 3600
      no_progress_seconds  = 43200
      queue_age_seconds    = 60
      iterator_age_seconds = 43200
      archive_lag_seconds  = 43200
    }
  }
}

run "address_without_domain_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { email = "on-call" }
  }

  expect_failures = [var.alarms]
}

run "topic_of_another_service_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { topic_arns = ["arn:aws:sqs:sa-east-1:123456789012:queue"] }
  }

  expect_failures = [var.alarms]
}

run "topic_of_another_region_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { topic_arns = ["arn:aws:sns:sa-east-1:123456789012:pager", "arn:aws:sns:eu-west-1:123456789012:pager"] }
  }

  expect_failures = [var.alarms]
}

run "period_of_half_a_minute_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { period_seconds = 30 }
  }

  expect_failures = [var.alarms]
}

run "period_of_90_seconds_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { period_seconds = 90, no_progress_seconds = 900 }
  }

  expect_failures = [var.alarms]
}

run "period_above_an_hour_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { period_seconds = 3660, no_progress_seconds = 3660 }
  }

  expect_failures = [var.alarms]
}

run "no_progress_in_part_of_a_period_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { no_progress_seconds = 1000 }
  }

  expect_failures = [var.alarms]
}

run "no_progress_for_less_than_a_period_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { no_progress_seconds = 0 }
  }

  expect_failures = [var.alarms]
}

run "no_progress_for_over_12_hours_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { no_progress_seconds = 43500 }
  }

  expect_failures = [var.alarms]
}

run "queue_age_below_a_minute_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { queue_age_seconds = 59 }
  }

  expect_failures = [var.alarms]
}

run "iterator_age_above_12_hours_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { iterator_age_seconds = 43201 }
  }

  expect_failures = [var.alarms]
}

run "iterator_age_below_a_minute_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { iterator_age_seconds = 59 }
  }

  expect_failures = [var.alarms]
}

run "archive_lag_of_0_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { archive_lag_seconds = 0 }
  }

  expect_failures = [var.alarms]
}

run "archive_lag_above_12_hours_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { archive_lag_seconds = 43201 }
  }

  expect_failures = [var.alarms]
}

run "negative_conflicts_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { conflicts = -1 }
  }

  expect_failures = [var.alarms]
}

run "negative_rejected_messages_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { rejected_messages = -1 }
  }

  expect_failures = [var.alarms]
}

run "negative_failed_messages_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { failed_messages = -1 }
  }

  expect_failures = [var.alarms]
}

run "negative_failed_records_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { failed_records = -1 }
  }

  expect_failures = [var.alarms]
}

run "negative_throttled_writes_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    alarms = { throttled_writes = -1 }
  }

  expect_failures = [var.alarms]
}
