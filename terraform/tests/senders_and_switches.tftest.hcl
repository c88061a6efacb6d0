# Tests of the validations of senders, policy documents and switches of the module pipeline. The tests deploy nothing, so any file can serve
# as a zip.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  ingest  = { zip = "versions.tf" }
  archive = { zip = "versions.tf" }
}

run "senders_and_switches_are_accepted" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest    = { zip = "versions.tf", provisioned_pollers = { maximum = 2000 } }
    functions = { tracing_mode = "PassThrough" }

    senders = {
      sns_topic_arns  = ["arn:aws:sns:sa-east-1:123456789012:orders"]
      event_rule_arns = ["arn:aws:events:sa-east-1:123456789012:rule/orders", "arn:aws:events:sa-east-1:123456789012:rule/bus/orders"]
      s3_bucket_arns  = ["arn:aws:s3:::uploads.example"]
      account_ids     = ["210987654321"]
    }

    queue_policy_documents  = ["{\"Statement\":[]}"]
    bucket_policy_documents = ["{\"Statement\":{\"Sid\":\"Theirs\"}}"]
    on_demand_throughput    = { max_read_request_units = -1, max_write_request_units = 1 }
    permissions_boundary    = "arn:aws:iam::aws:policy/PowerUserAccess"
    queue_kms_key_arn       = "arn:aws:kms:sa-east-1:123456789012:key/queues"
    logs_kms_key_arn        = "arn:aws:kms:sa-east-1:123456789012:key/logs"
  }
}

run "topic_with_a_wildcard_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    senders = { sns_topic_arns = ["arn:aws:sns:sa-east-1:123456789012:*"] }
  }

  expect_failures = [var.senders]
}

run "rule_of_any_account_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    senders = { event_rule_arns = ["arn:aws:events:sa-east-1:*:rule/orders"] }
  }

  expect_failures = [var.senders]
}

run "object_as_bucket_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    senders = { s3_bucket_arns = ["arn:aws:s3:::uploads/*"] }
  }

  expect_failures = [var.senders]
}

run "account_of_eleven_digits_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    senders = { account_ids = ["21098765432"] }
  }

  expect_failures = [var.senders]
}

run "queue_document_without_statement_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    queue_policy_documents = ["{}"]
  }

  expect_failures = [var.queue_policy_documents]
}

run "queue_document_with_sid_of_module_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    queue_policy_documents = ["{\"Statement\":[{},{\"Sid\":\"DenyInsecureTransport\"}]}"]
  }

  expect_failures = [var.queue_policy_documents]
}

run "bucket_document_without_json_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_policy_documents = ["policy.json"]
  }

  expect_failures = [var.bucket_policy_documents]
}

run "bucket_document_with_sid_of_module_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    bucket_policy_documents = ["{\"Statement\":{\"Sid\":\"DenyWriteWithoutIfNoneMatch\"}}"]
  }

  expect_failures = [var.bucket_policy_documents]
}

run "limit_of_zero_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    on_demand_throughput = { max_write_request_units = 0 }
  }

  expect_failures = [var.on_demand_throughput]
}

run "role_as_boundary_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:role/boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "alias_of_queue_key_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    queue_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:alias/queues"
  }

  expect_failures = [var.queue_kms_key_arn]
}

run "queue_key_of_another_region_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    queue_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/queues"
  }

  expect_failures = [var.queue_kms_key_arn]
}

run "alias_of_logs_key_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    logs_kms_key_arn = "arn:aws:kms:sa-east-1:123456789012:alias/logs"
  }

  expect_failures = [var.logs_kms_key_arn]
}

run "logs_key_of_another_region_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    logs_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/logs"
  }

  expect_failures = [var.logs_kms_key_arn]
}

run "unknown_tracing_mode_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    functions = { tracing_mode = "Disabled" }
  }

  expect_failures = [var.functions]
}

run "pollers_exclude_maximum_concurrency" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", maximum_concurrency = 10, provisioned_pollers = {} }
  }

  expect_failures = [var.ingest]
}

run "one_poller_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", provisioned_pollers = { minimum = 1 } }
  }

  expect_failures = [var.ingest]
}

run "more_minimum_than_maximum_pollers_is_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", provisioned_pollers = { minimum = 20, maximum = 10 } }
  }

  expect_failures = [var.ingest]
}

run "too_many_pollers_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    ingest = { zip = "versions.tf", provisioned_pollers = { maximum = 2001 } }
  }

  expect_failures = [var.ingest]
}

# The name of a role is longer than that of any other resource except the bucket, which can have a name of its own.
run "names_too_long_for_a_role_are_refused" {
  command = plan

  module {
    source = "./modules/pipeline"
  }

  variables {
    project     = "the-project-with-the-longest-name"
    stage       = "acceptance"
    bucket_name = "lake"
  }

  expect_failures = [var.project]
}
