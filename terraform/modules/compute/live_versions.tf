# The event source mappings invoke the version that the alias `live` points to. That is the newest one, or after a roll-back an older one.
resource "aws_lambda_alias" "ingest" {
  name             = "live"
  description      = "The version that the queue mapping invokes."
  function_name    = aws_lambda_function.ingest.function_name
  function_version = coalesce(var.ingest_version, aws_lambda_function.ingest.version)

  # If one apply takes back a roll-back of archive-fn and sets packs, a version without support for packs must not receive any.
  depends_on = [aws_lambda_alias.archive]

  lifecycle {
    precondition {
      condition     = length(local.stale_ingest_settings) == 0
      error_message = "Version ${coalesce(var.ingest_version, "?")} of ${local.ingest_name} was published with ${join(" and ", local.stale_ingest_settings)}. A version keeps its settings: set the Terraform variables to the same values, or choose another version."
    }
  }
}

resource "aws_lambda_alias" "archive" {
  name             = "live"
  description      = "The version that the stream mapping invokes."
  function_name    = aws_lambda_function.archive.function_name
  function_version = coalesce(var.archive_version, aws_lambda_function.archive.version)

  lifecycle {
    precondition {
      condition     = length(local.stale_archive_settings) == 0
      error_message = "Version ${coalesce(var.archive_version, "?")} of ${local.archive_name} was published with ${join(" and ", local.stale_archive_settings)}. A version keeps its settings: set the Terraform variables to the same values, or choose another version."
    }

    precondition {
      condition     = !local.archive_skips_claims
      error_message = "Version ${coalesce(var.archive_version, "?")} of ${local.archive_name} skips claims of the dedup key ${var.dedup_key}: it was published before dedup_key existed, and archives only claims of the key /event_id. Choose another version."
    }

    precondition {
      condition     = !local.archive_skips_packs
      error_message = "Version ${coalesce(var.archive_version, "?")} of ${local.archive_name} does not write packs: it was published before lake_layout existed, and the events in packs would be missing in the data lake. Choose a version that writes packs."
    }
  }
}

# The version of a roll-back. If it does not exist, the plan fails.
data "aws_lambda_function" "chosen_ingest" {
  count = var.ingest_version == null ? 0 : 1

  function_name = local.ingest_name
  qualifier     = var.ingest_version
}

data "aws_lambda_function" "chosen_archive" {
  count = var.archive_version == null ? 0 : 1

  function_name = local.archive_name
  qualifier     = var.archive_version
}

locals {
  # The settings of the chosen version of ingest-fn. A version that is older than dedup keys has EVENT_ID_POINTER, and ignores no members.
  # A version that is older than packs cannot read packed claims.
  chosen_ingest_settings = merge([
    for version in data.aws_lambda_function.chosen_ingest : merge(
      {
        DEDUP_KEY       = try(one(version.environment).variables["EVENT_ID_POINTER"], "/event_id")
        CONFLICT_IGNORE = "[]"
        LAKE_LAYOUT     = "objects"
      },
      try(one(version.environment).variables, {}),
    )
  ]...)

  # With other values of these settings, a roll-back archives events twice, treats duplicates as conflicts or conflicts as
  # duplicates, drops bodies that should become dead letters, makes packs or cannot read them, or writes to a prefix for which the role
  # has no permission. A version that lacks another setting is older than the setting, and does not use it.
  stale_ingest_settings = [
    for name, value in local.chosen_ingest_settings : "${name} = ${value}"
    if contains(["DEDUP_WINDOW_SECONDS", "DEDUP_KEY", "CONFLICT_IGNORE", "ON_CONFLICT", "LAKE_LAYOUT"], name) && lookup(local.ingest_environment, name, null) != value
  ]

  stale_archive_settings = [
    for name, value in try(one(one(data.aws_lambda_function.chosen_archive).environment).variables, {}) : "${name} = ${value}"
    if name == "OBJECT_PREFIX" && local.archive_environment[name] != value
  ]

  # A version of archive-fn without this variable is older than dedup keys. It skips every claim whose sort key has a tag, so the events
  # of these claims would be missing in the lake.
  archive_skips_claims = var.dedup_key != "/event_id" && anytrue([
    for version in data.aws_lambda_function.chosen_archive : !can(one(version.environment).variables["LOG_ROUTINE_OUTCOMES"])
  ])

  # A version of archive-fn with another description is older than packs, and skips them.
  archive_skips_packs = var.lake_layout == "packs" && anytrue([
    for version in data.aws_lambda_function.chosen_archive : !startswith(coalesce(version.description, "-"), local.archive_purpose)
  ])
}
